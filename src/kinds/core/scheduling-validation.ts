/** The rules of what decides where a pod runs. Source: Kubernetes documentation, "Assigning Pods to Nodes", "Taints and Tolerations". */
import type * as core from 'kubernetes-types/core/v1.js';
import { checkLabelSelector, checkOneOf, checkUnique } from '../checks.ts';
import { validateLabels } from '../metadata.ts';
import { dnsLabel, dnsSubdomain, labelValue, qualifiedName } from '../names.ts';
import type { LabelSelector } from '../selectors.ts';
import { type FieldError, fieldError } from '../status.ts';

export const taintEffects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] as const;

export function validateScheduling(spec: core.PodSpec, path: string, errors: FieldError[]): void {
	validateLabels(spec.nodeSelector, `${path}.nodeSelector`, errors);
	validateTolerations(spec.tolerations, `${path}.tolerations`, errors);
	validateSpread(spec.topologySpreadConstraints, `${path}.topologySpreadConstraints`, errors);
	const { nodeAffinity, podAffinity, podAntiAffinity } = spec.affinity ?? {};
	if (nodeAffinity) validateNodeAffinity(nodeAffinity, `${path}.affinity.nodeAffinity`, errors);
	if (podAffinity) validatePodAffinity(podAffinity, `${path}.affinity.podAffinity`, errors);
	if (podAntiAffinity) validatePodAffinity(podAntiAffinity, `${path}.affinity.podAntiAffinity`, errors);
}

export function validateTolerations(
	tolerations: readonly core.Toleration[] | undefined,
	path: string,
	errors: FieldError[],
): void {
	for (const [index, toleration] of (tolerations ?? []).entries()) {
		const at = `${path}[${index}]`;
		const { key, operator, value, effect, tolerationSeconds } = toleration;
		if (key) {
			for (const wrong of qualifiedName(key)) errors.push(fieldError.invalid(`${at}.key`, key, wrong));
		} else if (operator !== 'Exists') {
			errors.push(
				fieldError.invalid(
					`${at}.operator`,
					operator ?? '',
					'operator must be Exists when `key` is empty, which means "match all values and all keys"',
				),
			);
		}
		if (tolerationSeconds !== undefined && effect !== 'NoExecute')
			errors.push(
				fieldError.invalid(`${at}.effect`, effect ?? '', "effect must be 'NoExecute' when `tolerationSeconds` is set"),
			);
		switch (operator) {
			case 'Equal':
			case '':
			case undefined:
				for (const wrong of labelValue(value ?? '')) errors.push(fieldError.invalid(`${at}.operator`, value, wrong));
				break;
			case 'Exists':
				if (value)
					errors.push(
						fieldError.invalid(`${at}.operator`, toleration, "value must be empty when `operator` is 'Exists'"),
					);
				break;
			default:
				errors.push(fieldError.notSupported(`${at}.operator`, operator, ['Equal', 'Exists']));
		}
		checkOneOf(effect, `${at}.effect`, taintEffects, errors);
	}
}

function validateSpread(
	constraints: readonly core.TopologySpreadConstraint[] | undefined,
	path: string,
	errors: FieldError[],
): void {
	const seen = new Set<string>();
	for (const [index, constraint] of (constraints ?? []).entries()) {
		const at = `${path}[${index}]`;
		if (!(constraint.maxSkew > 0))
			errors.push(fieldError.invalid(`${at}.maxSkew`, constraint.maxSkew ?? 0, 'must be greater than zero'));
		if (!constraint.topologyKey) errors.push(fieldError.required(`${at}.topologyKey`, 'can not be empty'));
		checkOneOf(constraint.whenUnsatisfiable, `${at}.whenUnsatisfiable`, ['DoNotSchedule', 'ScheduleAnyway'], errors);
		const { minDomains, whenUnsatisfiable } = constraint;
		if (minDomains !== undefined && minDomains <= 0)
			errors.push(fieldError.invalid(`${at}.minDomains`, minDomains, 'must be greater than zero'));
		if (minDomains !== undefined && whenUnsatisfiable !== 'DoNotSchedule')
			errors.push(
				fieldError.invalid(
					`${at}.minDomains`,
					minDomains,
					`can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`,
				),
			);
		for (const field of ['nodeAffinityPolicy', 'nodeTaintsPolicy'] as const)
			checkOneOf(constraint[field], `${at}.${field}`, ['Honor', 'Ignore'], errors);
		const pair = `{${constraint.topologyKey}, ${constraint.whenUnsatisfiable}}`;
		if (seen.has(pair)) errors.push(fieldError.duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, pair));
		seen.add(pair);
		checkLabelSelector(constraint.labelSelector, `${at}.labelSelector`, errors);
		checkLabelKeys(constraint.matchLabelKeys, constraint.labelSelector, `${at}.matchLabelKeys`, errors);
	}
}

/** Keys of labels whose values the pod itself gives: they add to a selector, and may not be in it already. */
function checkLabelKeys(
	keys: readonly string[] | undefined,
	selector: LabelSelector | undefined,
	path: string,
	errors: FieldError[],
): void {
	if (!keys?.length) return;
	if (!selector) errors.push(fieldError.forbidden(path, 'must not be specified when labelSelector is not set'));
	const selected = new Set([
		...Object.keys(selector?.matchLabels ?? {}),
		...(selector?.matchExpressions ?? []).map(({ key }) => key),
	]);
	for (const [index, key] of keys.entries()) {
		const at = `${path}[${index}]`;
		for (const wrong of qualifiedName(key)) errors.push(fieldError.invalid(at, key, wrong));
		if (selected.has(key)) errors.push(fieldError.invalid(at, key, 'exists in both matchLabelKeys and labelSelector'));
	}
}

function validateNodeAffinity(affinity: core.NodeAffinity, path: string, errors: FieldError[]): void {
	const required = affinity.requiredDuringSchedulingIgnoredDuringExecution;
	if (required) validateNodeSelector(required, `${path}.requiredDuringSchedulingIgnoredDuringExecution`, errors);
	for (const [index, preferred] of (affinity.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
		const at = `${path}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`;
		validateWeight(preferred.weight, at, errors);
		validateTerm(preferred.preference ?? {}, `${at}.preference`, errors);
	}
}

/** Which nodes a pod wants, or a volume can be reached from. */
export function validateNodeSelector(selector: core.NodeSelector, path: string, errors: FieldError[]): void {
	const at = `${path}.nodeSelectorTerms`;
	if (!selector.nodeSelectorTerms?.length)
		errors.push(fieldError.required(at, 'must have at least one node selector term'));
	for (const [index, term] of (selector.nodeSelectorTerms ?? []).entries())
		validateTerm(term, `${at}[${index}]`, errors);
}

/** Where volumes of a class may be made. */
export function validateTopology(term: core.TopologySelectorTerm, path: string, errors: FieldError[]): void {
	const seen = new Set<string>();
	for (const [index, { key, values }] of (term.matchLabelExpressions ?? []).entries()) {
		const at = `${path}.matchLabelExpressions[${index}]`;
		for (const wrong of qualifiedName(key ?? '')) errors.push(fieldError.invalid(`${at}.key`, key ?? '', wrong));
		checkUnique(key, `${at}.key`, seen, errors);
		if (!values?.length) errors.push(fieldError.required(`${at}.values`));
		const unique = new Set<string>();
		for (const [place, value] of (values ?? []).entries()) checkUnique(value, `${at}.values[${place}]`, unique, errors);
	}
}

const nodeOperators = ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'];

function validateTerm(term: core.NodeSelectorTerm, path: string, errors: FieldError[]): void {
	for (const [index, { key, operator, values }] of (term.matchExpressions ?? []).entries()) {
		const at = `${path}.matchExpressions[${index}]`;
		if (operator === 'In' || operator === 'NotIn') {
			if (!values?.length)
				errors.push(fieldError.required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
		} else if (operator === 'Exists' || operator === 'DoesNotExist') {
			if (values?.length)
				errors.push(
					fieldError.forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
				);
		} else if (operator === 'Gt' || operator === 'Lt') {
			if (values?.length !== 1)
				errors.push(
					fieldError.required(`${at}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"),
				);
		} else if (!nodeOperators.includes(operator))
			errors.push(fieldError.invalid(`${at}.operator`, operator ?? '', 'not a valid selector operator'));
		for (const wrong of qualifiedName(key ?? '')) errors.push(fieldError.invalid(`${at}.key`, key ?? '', wrong));
	}
	for (const [index, { key, operator, values }] of (term.matchFields ?? []).entries()) {
		const at = `${path}.matchFields[${index}]`;
		if (operator !== 'In' && operator !== 'NotIn')
			errors.push(fieldError.invalid(`${at}.operator`, operator ?? '', 'not a valid selector operator'));
		else if (values?.length !== 1)
			errors.push(
				fieldError.required(
					`${at}.values`,
					"must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
				),
			);
		if (key !== 'metadata.name')
			errors.push(fieldError.invalid(`${at}.key`, key ?? '', 'not a valid field selector key'));
		for (const [place, name] of (values ?? []).entries())
			for (const wrong of dnsSubdomain(name)) errors.push(fieldError.invalid(`${at}.values[${place}]`, name, wrong));
	}
}

function validatePodAffinity(
	affinity: core.PodAffinity | core.PodAntiAffinity,
	path: string,
	errors: FieldError[],
): void {
	for (const [index, term] of (affinity.requiredDuringSchedulingIgnoredDuringExecution ?? []).entries())
		validatePodTerm(term, `${path}.requiredDuringSchedulingIgnoredDuringExecution[${index}]`, errors);
	for (const [index, preferred] of (affinity.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
		const at = `${path}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`;
		validateWeight(preferred.weight, at, errors);
		if (preferred.podAffinityTerm) validatePodTerm(preferred.podAffinityTerm, `${at}.podAffinityTerm`, errors);
	}
}

function validatePodTerm(term: core.PodAffinityTerm, path: string, errors: FieldError[]): void {
	if (!term.topologyKey) errors.push(fieldError.required(`${path}.topologyKey`, 'can not be empty'));
	else
		for (const wrong of qualifiedName(term.topologyKey))
			errors.push(fieldError.invalid(`${path}.topologyKey`, term.topologyKey, wrong));
	checkLabelSelector(term.labelSelector, `${path}.labelSelector`, errors);
	checkLabelSelector(term.namespaceSelector, `${path}.namespaceSelector`, errors);
	for (const [index, namespace] of (term.namespaces ?? []).entries())
		for (const wrong of dnsLabel(namespace))
			errors.push(fieldError.invalid(`${path}.namespaces[${index}]`, namespace, wrong));
	const { labelSelector, matchLabelKeys = [], mismatchLabelKeys = [] } = term;
	checkLabelKeys(matchLabelKeys, labelSelector, `${path}.matchLabelKeys`, errors);
	checkLabelKeys(mismatchLabelKeys, labelSelector, `${path}.mismatchLabelKeys`, errors);
	for (const [index, key] of matchLabelKeys.entries())
		if (mismatchLabelKeys.includes(key))
			errors.push(
				fieldError.invalid(
					`${path}.matchLabelKeys[${index}]`,
					key,
					'exists in both matchLabelKeys and mismatchLabelKeys',
				),
			);
}

function validateWeight(weight: number | undefined, path: string, errors: FieldError[]): void {
	if (weight === undefined || weight < 1 || weight > 100)
		errors.push(fieldError.invalid(`${path}.weight`, weight ?? 0, 'must be in the range 1-100'));
}
