/** The defaults of containers. Source: Kubernetes API reference, "Container" and "Probe". */
import type * as core from 'kubernetes-types/core/v1.js';
import { canonicalQuantity, isQuantity } from '../quantity.ts';

/** A container as the pod, its init containers and its ephemeral containers share it. */
type AnyContainer = core.Container | core.EphemeralContainer;

/** `Always` for the tag latest, written or implied; else `IfNotPresent`. An image by digest never changes. */
export function defaultPullPolicy(image: string | undefined): 'Always' | 'IfNotPresent' {
	if (!image || image.includes('@')) return 'IfNotPresent';
	const tag = /:([^/:]+)$/.exec(image)?.[1] ?? 'latest';
	return tag === 'latest' ? 'Always' : 'IfNotPresent';
}

export function defaultContainer(container: AnyContainer): void {
	container.imagePullPolicy ||= defaultPullPolicy(container.image);
	container.terminationMessagePath ||= '/dev/termination-log';
	container.terminationMessagePolicy ||= 'File';
	container.resources ??= {};
	canonicalize(container.resources.limits);
	canonicalize(container.resources.requests);
	for (const port of container.ports ?? []) port.protocol ||= 'TCP';
	for (const variable of container.env ?? []) {
		const source = variable.valueFrom;
		if (source?.fieldRef) source.fieldRef.apiVersion ||= 'v1';
		if (source?.resourceFieldRef) source.resourceFieldRef.divisor ??= '0';
	}
	defaultProbe(container.livenessProbe);
	defaultProbe(container.readinessProbe);
	defaultProbe(container.startupProbe);
	defaultHandler(container.lifecycle?.postStart);
	defaultHandler(container.lifecycle?.preStop);
}

function defaultProbe(probe: core.Probe | undefined): void {
	if (!probe) return;
	probe.timeoutSeconds ||= 1;
	probe.periodSeconds ||= 10;
	probe.successThreshold ||= 1;
	probe.failureThreshold ||= 3;
	if (probe.grpc) probe.grpc.service ??= '';
	defaultHandler(probe);
}

function defaultHandler(handler: Pick<core.LifecycleHandler, 'httpGet'> | undefined): void {
	if (!handler?.httpGet) return;
	handler.httpGet.path ||= '/';
	handler.httpGet.scheme ||= 'HTTP';
}

/** Quantities are stored in their canonical form: cpu 0.5 as 500m. */
export function canonicalize(quantities: Record<string, string> | undefined): void {
	if (!quantities) return;
	for (const [resource, amount] of Object.entries(quantities))
		if (isQuantity(amount)) quantities[resource] = canonicalQuantity(amount);
}
