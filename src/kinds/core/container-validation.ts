/** The rules of containers. Source: Kubernetes API reference, "Container", and the API server's messages. */
import type * as core from 'kubernetes-types/core/v1.js';
import { checkListName, checkName, checkOneOf, checkPort, checkUnique } from '../checks.ts';
import { configKey, environmentName, portName } from '../names.ts';
import { type FieldError, fieldError } from '../status.ts';
import { validateLifecycle, validateProbes } from './probe-validation.ts';
import { validateResources } from './resource-validation.ts';
import { validateContainerSecurity } from './security-validation.ts';

export const protocols = ['SCTP', 'TCP', 'UDP'] as const;

/** Fields that the downward API offers to the environment. */
const environmentFields = new Set([
	'metadata.name',
	'metadata.namespace',
	'metadata.uid',
	'spec.nodeName',
	'spec.serviceAccountName',
	'status.hostIP',
	'status.hostIPs',
	'status.podIP',
	'status.podIPs',
]);
const resourceFields = [
	'limits.cpu',
	'limits.ephemeral-storage',
	'limits.memory',
	'requests.cpu',
	'requests.ephemeral-storage',
	'requests.memory',
] as const;

export type ContainerRole = 'container' | 'init' | 'ephemeral';

/** What a container is checked against. */
export interface Surroundings {
	readonly volumes: ReadonlySet<string>;
	/** Names of all containers so far. */
	readonly names: Set<string>;
	readonly hostNetwork: boolean;
	/** Host ports so far: `TCP/0.0.0.0/80`. */
	readonly hostPorts: Set<string>;
}

export function validateContainer(
	container: core.Container | core.EphemeralContainer,
	path: string,
	role: ContainerRole,
	around: Surroundings,
	errors: FieldError[],
): void {
	checkListName(container.name, `${path}.name`, around.names, errors);
	const { image } = container;
	if (!image) errors.push(fieldError.required(`${path}.image`));
	else if (image !== image.trim())
		errors.push(fieldError.invalid(`${path}.image`, image, 'must not have leading or trailing whitespace'));
	checkOneOf(container.imagePullPolicy, `${path}.imagePullPolicy`, ['Always', 'IfNotPresent', 'Never'], errors);
	checkOneOf(
		container.terminationMessagePolicy,
		`${path}.terminationMessagePolicy`,
		['FallbackToLogsOnError', 'File'],
		errors,
	);
	if (role === 'init') checkOneOf(container.restartPolicy, `${path}.restartPolicy`, ['Always'], errors);
	else if (container.restartPolicy)
		errors.push(fieldError.forbidden(`${path}.restartPolicy`, 'may not be set for non-init containers'));
	validatePorts(container.ports, `${path}.ports`, around, errors);
	validateEnvironment(container, path, errors);
	validateMounts(container, `${path}.volumeMounts`, around.volumes, errors);
	validateResources(container.resources, `${path}.resources`, errors);
	validateContainerSecurity(container.securityContext, `${path}.securityContext`, errors);
	validateLifecycle(container.lifecycle, `${path}.lifecycle`, errors);
	validateProbes(container, path, errors);

	if (role === 'init' && container.restartPolicy !== 'Always') {
		for (const field of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const)
			if (container[field])
				errors.push(
					fieldError.forbidden(`${path}.${field}`, 'may not be set for init containers without restartPolicy=Always'),
				);
	}
	if (role === 'ephemeral') validateEphemeral(container, path, errors);
}

/** What an ephemeral container may not have. `resources` without content is what every container is filled in with. */
function validateEphemeral(container: core.EphemeralContainer, path: string, errors: FieldError[]): void {
	const forbid = (field: string) =>
		errors.push(fieldError.forbidden(`${path}.${field}`, 'cannot be set for an Ephemeral Container'));
	const fields = ['ports', 'lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe', 'resizePolicy'] as const;
	for (const field of fields) if (container[field]) forbid(field);
	if (Object.keys(container.resources ?? {}).length > 0) forbid('resources');
	for (const [index, { subPath, subPathExpr }] of (container.volumeMounts ?? []).entries()) {
		if (subPath) forbid(`volumeMounts[${index}].subPath`);
		if (subPathExpr) forbid(`volumeMounts[${index}].subPathExpr`);
	}
}

function validatePorts(
	ports: readonly core.ContainerPort[] | undefined,
	path: string,
	around: Surroundings,
	errors: FieldError[],
): void {
	const names = new Set<string>();
	for (const [index, port] of (ports ?? []).entries()) {
		const at = `${path}[${index}]`;
		checkName(port.name, `${at}.name`, portName, errors);
		checkUnique(port.name, `${at}.name`, names, errors);
		if (!port.containerPort) errors.push(fieldError.required(`${at}.containerPort`));
		else checkPort(port.containerPort, `${at}.containerPort`, errors);
		if (!port.protocol) errors.push(fieldError.required(`${at}.protocol`));
		checkOneOf(port.protocol, `${at}.protocol`, protocols, errors);
		if (!port.hostPort) continue;
		checkPort(port.hostPort, `${at}.hostPort`, errors);
		if (around.hostNetwork && port.hostPort !== port.containerPort)
			errors.push(
				fieldError.invalid(
					`${at}.containerPort`,
					port.containerPort,
					'must match `hostPort` when `hostNetwork` is true',
				),
			);
		checkUnique(`${port.protocol}/${port.hostIP ?? ''}/${port.hostPort}`, `${at}.hostPort`, around.hostPorts, errors);
	}
}

function validateEnvironment(
	container: Pick<core.Container, 'env' | 'envFrom'>,
	path: string,
	errors: FieldError[],
): void {
	for (const [index, variable] of (container.env ?? []).entries()) {
		const at = `${path}.env[${index}]`;
		checkName(variable.name, `${at}.name`, environmentName, errors, 'required');
		if (variable.valueFrom) validateSource(variable, `${at}.valueFrom`, errors);
	}
	for (const [index, source] of (container.envFrom ?? []).entries()) {
		const at = `${path}.envFrom[${index}]`;
		checkName(source.prefix, `${at}.prefix`, environmentName, errors);
		const given = (['configMapRef', 'secretRef'] as const).filter((field) => source[field]);
		if (given.length > 1)
			errors.push(fieldError.invalid(at, '', 'may not have more than one field specified at a time'));
		if (given.length === 0)
			errors.push(fieldError.invalid(at, '', 'must specify one of: `configMapRef` or `secretRef`'));
		for (const field of given) if (!source[field]?.name) errors.push(fieldError.required(`${at}.${field}.name`));
	}
}

const valueSources = ['fieldRef', 'resourceFieldRef', 'configMapKeyRef', 'secretKeyRef'] as const;

function validateSource(variable: core.EnvVar, path: string, errors: FieldError[]): void {
	const source: core.EnvVarSource & { fileKeyRef?: unknown } = variable.valueFrom ?? {};
	const given = valueSources.filter((field) => source[field]);
	if (given.length === 0 && !source.fileKeyRef)
		errors.push(
			fieldError.invalid(
				path,
				'',
				'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
			),
		);
	if (variable.value) errors.push(fieldError.invalid(path, '', 'may not be specified when `value` is not empty'));
	else if (given.length > 1)
		errors.push(fieldError.invalid(path, '', 'may not have more than one field specified at a time'));
	const field = source.fieldRef?.fieldPath;
	if (source.fieldRef) {
		if (!field) errors.push(fieldError.required(`${path}.fieldRef.fieldPath`));
		else if (!environmentFields.has(field) && !/^metadata\.(labels|annotations)\['[^']+'\]$/.test(field))
			errors.push(
				fieldError.notSupported(`${path}.fieldRef.fieldPath`, field, [
					...environmentFields,
					"metadata.annotations['<KEY>']",
					"metadata.labels['<KEY>']",
				]),
			);
	}
	if (source.resourceFieldRef) validateResourceField(source.resourceFieldRef.resource, path, errors);
	for (const name of ['configMapKeyRef', 'secretKeyRef'] as const) {
		const reference = source[name];
		if (!reference) continue;
		if (!reference.name) errors.push(fieldError.required(`${path}.${name}.name`));
		checkName(reference.key, `${path}.${name}.key`, configKey, errors, 'required');
	}
}

/** A container's resource, as the downward API offers it to environments and volumes. */
export function validateResourceField(resource: string | undefined, path: string, errors: FieldError[]): void {
	const field = `${path}.resourceFieldRef.resource`;
	if (!resource) errors.push(fieldError.required(field));
	else if (!resourceFields.some((each) => each === resource) && !/^(limits|requests)\.hugepages-/.test(resource))
		errors.push(fieldError.notSupported(field, resource, resourceFields));
}

function validateMounts(
	{ volumeMounts: mounts, securityContext }: Pick<core.Container, 'volumeMounts' | 'securityContext'>,
	path: string,
	volumes: ReadonlySet<string>,
	errors: FieldError[],
): void {
	const paths = new Set<string>();
	for (const [index, mount] of (mounts ?? []).entries()) {
		const at = `${path}[${index}]`;
		if (!mount.name) errors.push(fieldError.required(`${at}.name`));
		else if (!volumes.has(mount.name)) errors.push(fieldError.notFound(`${at}.name`, mount.name));
		if (!mount.mountPath) errors.push(fieldError.required(`${at}.mountPath`));
		else if (paths.has(mount.mountPath))
			errors.push(fieldError.invalid(`${at}.mountPath`, mount.mountPath, 'must be unique'));
		paths.add(mount.mountPath);
		if (mount.subPath && mount.subPathExpr)
			errors.push(
				fieldError.invalid(`${at}.subPathExpr`, mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'),
			);
		for (const field of ['subPath', 'subPathExpr'] as const) validateRelative(mount[field], `${at}.${field}`, errors);
		checkOneOf(mount.mountPropagation, `${at}.mountPropagation`, ['Bidirectional', 'HostToContainer', 'None'], errors);
		if (mount.mountPropagation === 'Bidirectional' && !securityContext?.privileged)
			errors.push(
				fieldError.forbidden(
					`${at}.mountPropagation`,
					'Bidirectional mount propagation is available only to privileged containers',
				),
			);
	}
}

/** A path below a volume, which must not lead out of it. */
export function validateRelative(path: string | undefined, field: string, errors: FieldError[]): void {
	if (!path) return;
	if (path.startsWith('/')) errors.push(fieldError.invalid(field, path, 'must be a relative path'));
	if (path.split('/').includes('..')) errors.push(fieldError.invalid(field, path, "must not contain '..'"));
}
