/** The rules of pods and pod templates. Source: Kubernetes API reference, "Pod", and the API server's messages. */
import type * as core from 'kubernetes-types/core/v1.js';
import { checkName, checkNonNegative, checkOneOf, checkRange, checkUnique } from '../checks.ts';
import { deepEqual } from '../equal.ts';
import { validateAnnotations, validateLabels } from '../metadata.ts';
import { dnsLabel, dnsSubdomain, ipAddress, qualifiedName } from '../names.ts';
import { type FieldError, fieldError } from '../status.ts';
import { type ContainerRole, type Surroundings, validateContainer } from './container-validation.ts';
import type { Pod } from './pod.ts';
import { validatePodLevel } from './pod-resources.ts';
import { validateResizePolicy } from './resize-policy.ts';
import { validateScheduling } from './scheduling-validation.ts';
import { validatePodSecurity } from './security-validation.ts';
import { validateVolumes } from './volume-validation.ts';

export const restartPolicies = ['Always', 'OnFailure', 'Never'] as const;
const MAX_INT32 = 2 ** 31 - 1;

export function validatePod(pod: Pod, old: Pod | undefined): FieldError[] {
	const errors: FieldError[] = [];
	if (!pod.spec) return [fieldError.required('spec')];
	// What has been accepted stays acceptable: an update of the status is not judged by the spec.
	if (old && deepEqual(pod.spec, old.spec)) return errors;
	validatePodSpec(pod.spec, 'spec', errors);
	if (old) validatePodUpdate(pod.spec, old.spec, errors);
	else if (pod.spec.ephemeralContainers?.length)
		errors.push(fieldError.forbidden('spec.ephemeralContainers', 'cannot be set on create'));
	return errors;
}

/** The template of a controller, whose pods are always restarted. */
export function validatePodTemplate(
	template: core.PodTemplateSpec | undefined,
	path: string,
	owner: string,
	errors: FieldError[],
): void {
	validatePodTemplateSpec(template, path, errors);
	const spec = template?.spec;
	if (!spec) return;
	if (spec.restartPolicy !== 'Always')
		errors.push(fieldError.notSupported(`${path}.spec.restartPolicy`, spec.restartPolicy ?? '', ['Always']));
	if (spec.activeDeadlineSeconds !== undefined)
		errors.push(
			fieldError.forbidden(`${path}.spec.activeDeadlineSeconds`, `activeDeadlineSeconds in ${owner} is not Supported`),
		);
}

/** Any template of pods. */
export function validatePodTemplateSpec(
	template: core.PodTemplateSpec | undefined,
	path: string,
	errors: FieldError[],
): void {
	validateLabels(template?.metadata?.labels, `${path}.metadata.labels`, errors);
	validateAnnotations(template?.metadata?.annotations, `${path}.metadata.annotations`, errors);
	const spec = template?.spec;
	if (!spec) {
		errors.push(fieldError.required(`${path}.spec.containers`));
		return;
	}
	validatePodSpec(spec, `${path}.spec`, errors);
	if (spec.ephemeralContainers?.length)
		errors.push(
			fieldError.forbidden(`${path}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template'),
		);
}

/** The rules of a pod's spec; `path` is where it lies. */
export function validatePodSpec(spec: core.PodSpec, path: string, errors: FieldError[]): void {
	const around: Surroundings = {
		volumes: validateVolumes(spec.volumes, `${path}.volumes`, errors),
		names: new Set(),
		hostNetwork: spec.hostNetwork === true,
		hostPorts: new Set(),
	};
	if (!spec.containers?.length) errors.push(fieldError.required(`${path}.containers`));
	const lists = [
		['containers', 'container', spec.containers],
		['initContainers', 'init', spec.initContainers],
		['ephemeralContainers', 'ephemeral', spec.ephemeralContainers],
	] as const satisfies readonly (readonly [string, ContainerRole, unknown])[];
	for (const [field, role, containers] of lists) {
		// Init containers have ended, or share, when a container takes the same host port.
		const own = role === 'init' ? { ...around, hostPorts: new Set<string>() } : around;
		for (const [index, container] of (containers ?? []).entries())
			validateContainer(container, `${path}.${field}[${index}]`, role, own, errors);
	}

	for (const [index, { targetContainerName }] of (spec.ephemeralContainers ?? []).entries())
		if (
			targetContainerName &&
			![...spec.containers, ...(spec.initContainers ?? [])].some(({ name }) => name === targetContainerName)
		)
			errors.push(
				fieldError.notFound(`${path}.ephemeralContainers[${index}].targetContainerName`, targetContainerName),
			);
	for (const list of ['containers', 'initContainers'] as const)
		for (const [index, { resizePolicy }] of (spec[list] ?? []).entries())
			validateResizePolicy(
				resizePolicy,
				`${path}.${list}[${index}].resizePolicy`,
				spec.restartPolicy === 'Never',
				errors,
			);

	if (!spec.restartPolicy) errors.push(fieldError.required(`${path}.restartPolicy`));
	checkOneOf(spec.restartPolicy, `${path}.restartPolicy`, restartPolicies, errors);
	validateDns(spec, path, errors);
	validateIdentity(spec, path, errors);
	checkNonNegative(spec.terminationGracePeriodSeconds, `${path}.terminationGracePeriodSeconds`, errors);
	checkRange(spec.activeDeadlineSeconds, `${path}.activeDeadlineSeconds`, 1, MAX_INT32, errors);
	checkOneOf(spec.preemptionPolicy, `${path}.preemptionPolicy`, ['Never', 'PreemptLowerPriority'], errors);
	checkOneOf(spec.os?.name, `${path}.os.name`, ['linux', 'windows'], errors);
	validateScheduling(spec, path, errors);
	validatePodLevel(spec, `${path}.resources`, errors);
	validateGates(spec, path, errors);
	validatePodSecurity(spec, path, errors);
}

function validateDns(spec: core.PodSpec, path: string, errors: FieldError[]): void {
	const { dnsPolicy, dnsConfig } = spec;
	const policies = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'];
	checkOneOf(dnsPolicy, `${path}.dnsPolicy`, policies, errors);
	if (dnsPolicy === 'None') {
		if (!dnsConfig)
			errors.push(fieldError.required(`${path}.dnsConfig`, 'must provide `dnsConfig` when `dnsPolicy` is None'));
		else if (!dnsConfig.nameservers?.length)
			errors.push(
				fieldError.required(
					`${path}.dnsConfig.nameservers`,
					'must provide at least one DNS nameserver when `dnsPolicy` is None',
				),
			);
	}
	if ((dnsConfig?.nameservers?.length ?? 0) > 3)
		errors.push(
			fieldError.invalid(
				`${path}.dnsConfig.nameservers`,
				dnsConfig?.nameservers,
				'must not have more than 3 nameservers',
			),
		);
	for (const [index, address] of (dnsConfig?.nameservers ?? []).entries())
		checkName(address, `${path}.dnsConfig.nameservers[${index}]`, ipAddress, errors, 'required');
	for (const [index, option] of (dnsConfig?.options ?? []).entries())
		if (!option.name) errors.push(fieldError.required(`${path}.dnsConfig.options[${index}]`, 'must not be empty'));
	for (const [index, alias] of (spec.hostAliases ?? []).entries()) {
		checkName(alias.ip, `${path}.hostAliases[${index}].ip`, ipAddress, errors, 'required');
		for (const name of alias.hostnames ?? [])
			for (const wrong of dnsSubdomain(name))
				errors.push(fieldError.invalid(`${path}.hostAliases[${index}].hostnames`, name, wrong));
	}
}

function validateIdentity(spec: core.PodSpec, path: string, errors: FieldError[]): void {
	checkName(spec.serviceAccountName, `${path}.serviceAccountName`, dnsSubdomain, errors);
	checkName(spec.nodeName, `${path}.nodeName`, dnsSubdomain, errors);
	checkName(spec.hostname, `${path}.hostname`, dnsLabel, errors);
	checkName(spec.subdomain, `${path}.subdomain`, dnsLabel, errors);
	checkName(spec.priorityClassName, `${path}.priorityClassName`, dnsSubdomain, errors);
	checkName(spec.runtimeClassName, `${path}.runtimeClassName`, dnsSubdomain, errors);
	checkName(spec.schedulerName, `${path}.schedulerName`, qualifiedName, errors);
}

function validateGates(spec: core.PodSpec, path: string, errors: FieldError[]): void {
	for (const [index, gate] of (spec.readinessGates ?? []).entries())
		checkName(gate.conditionType, `${path}.readinessGates[${index}].conditionType`, qualifiedName, errors, 'required');
	const gates = new Set<string>();
	for (const [index, gate] of (spec.schedulingGates ?? []).entries()) {
		checkName(gate.name, `${path}.schedulingGates[${index}]`, qualifiedName, errors, 'required');
		checkUnique(gate.name, `${path}.schedulingGates[${index}]`, gates, errors);
	}
	if (gates.size > 0 && spec.nodeName)
		errors.push(fieldError.forbidden(`${path}.nodeName`, 'cannot be set until all schedulingGates have been cleared'));
}

const updatable =
	'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** What may change in a pod that exists. */
function validatePodUpdate(spec: core.PodSpec, old: core.PodSpec, errors: FieldError[]): void {
	for (const field of ['containers', 'initContainers'] as const)
		if ((spec[field]?.length ?? 0) !== (old[field]?.length ?? 0)) {
			errors.push(fieldError.forbidden(`spec.${field}`, 'pod updates may not add or remove containers'));
			return;
		}
	validateDeadline(spec.activeDeadlineSeconds, old.activeDeadlineSeconds, errors);
	const tolerated = new Set(spec.tolerations?.map(tolerationKey));
	if (!(old.tolerations ?? []).every((toleration) => tolerated.has(tolerationKey(toleration))))
		errors.push(
			fieldError.forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds'),
		);
	const gates = new Set(old.schedulingGates?.map((gate) => gate.name));
	for (const [index, gate] of (spec.schedulingGates ?? []).entries())
		if (!gates.has(gate.name))
			errors.push(
				fieldError.forbidden(
					`spec.schedulingGates[${index}]`,
					'only deletion is allowed, but found new scheduling gate',
				),
			);
	const before = fixedPart(old);
	const after = fixedPart(spec);
	if (gates.size > 0) {
		// A pod that waits at a gate may still be told where to go.
		before.nodeSelector = after.nodeSelector;
		before.affinity = after.affinity;
	}
	if ((old.terminationGracePeriodSeconds ?? 0) < 0 && spec.terminationGracePeriodSeconds === 1)
		before.terminationGracePeriodSeconds = 1;
	const changed = Object.keys({ ...before, ...after }).filter((field) => !deepEqual(before[field], after[field]));
	if (changed.length > 0)
		errors.push(
			fieldError.forbidden('spec', `${updatable}; changed: ${changed.map((each) => `spec.${each}`).join(', ')}`),
		);
}

/** What makes a toleration the same: all but how long it holds. */
const tolerationKey = ({ key, operator, value, effect }: core.Toleration) =>
	JSON.stringify([key, operator, value, effect]);

function validateDeadline(deadline: number | undefined, old: number | undefined, errors: FieldError[]): void {
	const field = 'spec.activeDeadlineSeconds';
	if (old === undefined || deadline === old) return;
	if (deadline === undefined)
		errors.push(fieldError.invalid(field, null, 'must not update from a positive integer to nil value'));
	else if (deadline > old)
		errors.push(fieldError.invalid(field, deadline, 'must be less than or equal to previous value'));
}

/** The spec without what may change. */
function fixedPart(spec: core.PodSpec): Record<string, unknown> {
	const { activeDeadlineSeconds: _, tolerations: _t, schedulingGates: _g, ...rest } = spec;
	const withoutImage = ({ image: _, ...container }: core.Container) => container;
	return {
		...rest,
		containers: spec.containers?.map(withoutImage),
		initContainers: spec.initContainers?.map(withoutImage),
	};
}
