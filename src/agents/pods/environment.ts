/** A container's environment and what refers to it. Source: Kubernetes API reference, EnvVar, EnvFromSource and Container. */
import type * as core from 'kubernetes-types/core/v1.js';
import type { ConfigMap, Pod, Secret, Service } from '../../kinds/index.ts';
import { type Place, podField, resourceField } from './fields.ts';

/** The objects that a pod may refer to. */
export interface Objects {
	configMap(namespace: string, name: string): ConfigMap | undefined;
	secret(namespace: string, name: string): Secret | undefined;
	services(namespace: string): Iterable<Service>;
}

/** A container cannot be created as its spec is; it may later, when what it refers to exists. */
export class ConfigError extends Error {
	override readonly name = 'ConfigError';
}

/** The variables of a container, in the order of their definition. Throws ConfigError where something required is missing. */
export function environment(pod: Pod, container: core.Container, objects: Objects, place: Place): Map<string, string> {
	const services = serviceVariables(pod, objects);
	const variables = new Map<string, string>();
	for (const source of container.envFrom ?? []) {
		for (const [name, value] of fromSource(pod, source, objects)) variables.set(name, value);
	}
	const lookup = (name: string) => variables.get(name) ?? services.get(name);
	for (const variable of container.env ?? []) {
		const value = variable.valueFrom
			? fromReference(pod, container, variable.valueFrom, objects, place)
			: expand(variable.value ?? '', lookup);
		if (value !== undefined) variables.set(variable.name, value);
	}
	for (const [name, value] of services) if (!variables.has(name)) variables.set(name, value);
	return variables;
}

/** Replaces `$(NAME)` by the variable's value; unknown names stay, and `$$` is a dollar sign. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
	return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole, name: string | undefined) =>
		name === undefined ? '$' : (lookup(name) ?? whole),
	);
}

function* fromSource(pod: Pod, source: core.EnvFromSource, objects: Objects): Generator<[string, string]> {
	const namespace = pod.metadata.namespace ?? '';
	const prefix = source.prefix ?? '';
	if (source.configMapRef) {
		const { name = '', optional } = source.configMapRef;
		const map = objects.configMap(namespace, name);
		if (!map && !optional) throw new ConfigError(`configmap "${name}" not found`);
		for (const [key, value] of Object.entries(map?.data ?? {})) yield [prefix + key, value];
	}
	if (source.secretRef) {
		const { name = '', optional } = source.secretRef;
		const secret = objects.secret(namespace, name);
		if (!secret && !optional) throw new ConfigError(`secret "${name}" not found`);
		for (const [key, value] of Object.entries(secret?.data ?? {})) yield [prefix + key, decode(value)];
	}
}

function fromReference(
	pod: Pod,
	container: core.Container,
	source: core.EnvVarSource,
	objects: Objects,
	place: Place,
): string | undefined {
	const namespace = pod.metadata.namespace ?? '';
	if (source.fieldRef) {
		const value = podField(pod, source.fieldRef.fieldPath, place);
		if (value === undefined) throw new ConfigError(`unsupported fieldPath: ${source.fieldRef.fieldPath}`);
		return value;
	}
	if (source.resourceFieldRef) {
		try {
			return resourceField(pod, source.resourceFieldRef, container.name, place);
		} catch (error) {
			throw new ConfigError((error as Error).message);
		}
	}
	if (source.configMapKeyRef) {
		const { name = '', key, optional } = source.configMapKeyRef;
		const map = objects.configMap(namespace, name);
		if (!map && !optional) throw new ConfigError(`configmap "${name}" not found`);
		const value = map?.data?.[key];
		if (value === undefined && !optional) {
			throw new ConfigError(`couldn't find key ${key} in ConfigMap ${namespace}/${name}`);
		}
		return value;
	}
	if (source.secretKeyRef) {
		const { name = '', key, optional } = source.secretKeyRef;
		const secret = objects.secret(namespace, name);
		if (!secret && !optional) throw new ConfigError(`secret "${name}" not found`);
		const value = secret?.data?.[key];
		if (value === undefined && !optional) {
			throw new ConfigError(`couldn't find key ${key} in Secret ${namespace}/${name}`);
		}
		return value === undefined ? undefined : decode(value);
	}
	return '';
}

/** Variables of the services that a pod sees: the API's own always, those of its namespace unless it declines. */
function serviceVariables(pod: Pod, objects: Objects): Map<string, string> {
	const variables = new Map<string, string>();
	const namespace = pod.metadata.namespace ?? '';
	for (const service of objects.services('default')) {
		if (service.metadata.name === 'kubernetes') addService(variables, service);
	}
	if (pod.spec.enableServiceLinks === false) return variables;
	for (const service of objects.services(namespace)) addService(variables, service);
	return variables;
}

function addService(variables: Map<string, string>, service: Service): void {
	const { clusterIP, ports = [] } = service.spec;
	const [first] = ports;
	if (!clusterIP || clusterIP === 'None' || !first) return;
	const upper = (text: string) => text.toUpperCase().replaceAll('-', '_');
	const prefix = upper(service.metadata.name);
	variables.set(`${prefix}_SERVICE_HOST`, clusterIP);
	variables.set(`${prefix}_SERVICE_PORT`, String(first.port));
	for (const port of ports)
		if (port.name) variables.set(`${prefix}_SERVICE_PORT_${upper(port.name)}`, String(port.port));
	const url = (port: core.ServicePort) => `${(port.protocol ?? 'TCP').toLowerCase()}://${clusterIP}:${port.port}`;
	variables.set(`${prefix}_PORT`, url(first));
	for (const port of ports) {
		const protocol = port.protocol ?? 'TCP';
		const name = `${prefix}_PORT_${port.port}_${protocol}`;
		variables.set(name, url(port));
		variables.set(`${name}_PROTO`, protocol.toLowerCase());
		variables.set(`${name}_PORT`, String(port.port));
		variables.set(`${name}_ADDR`, clusterIP);
	}
}

const decode = (base64: string) => Buffer.from(base64, 'base64').toString();
