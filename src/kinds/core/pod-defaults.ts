/**
 * The defaults of pods and of pod templates. Source: Kubernetes API reference, "Pod", "Container", "Probe" and "Volume".
 * Where Go cannot tell an unset number or text from 0 or "" (fields that are no pointers there), neither is told apart here.
 */
import type * as core from 'kubernetes-types/core/v1.js';
import { canonicalQuantity, isQuantity } from '../quantity.ts';
import { defaultVolume } from './volume-defaults.ts';

/** A container as the pod, its init containers and its ephemeral containers share it. */
type AnyContainer = core.Container | core.EphemeralContainer;

/** Octal 0644. */
export const DEFAULT_FILE_MODE = 420;

/** The defaults that a template has as well. */
export function defaultPodSpec(spec: core.PodSpec): void {
	spec.dnsPolicy ||= 'ClusterFirst';
	spec.restartPolicy ||= 'Always';
	spec.schedulerName ||= 'default-scheduler';
	spec.securityContext ??= {};
	spec.terminationGracePeriodSeconds ??= 30;
	// serviceAccount is the old name of the field; both are served.
	const account = spec.serviceAccountName || spec.serviceAccount;
	if (account) {
		spec.serviceAccountName = account;
		spec.serviceAccount = account;
	}
	for (const container of spec.initContainers ?? []) defaultContainer(container);
	for (const container of spec.containers ?? []) defaultContainer(container);
	for (const container of spec.ephemeralContainers ?? []) defaultContainer(container);
	for (const volume of spec.volumes ?? []) defaultVolume(volume);
	for (const constraint of spec.topologySpreadConstraints ?? []) {
		constraint.whenUnsatisfiable ||= 'DoNotSchedule';
	}
	canonicalize(spec.overhead);
}

/** The defaults that only a pod itself has. */
export function defaultPod(spec: core.PodSpec): void {
	defaultPodSpec(spec);
	spec.enableServiceLinks ??= true;
	for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
		requestLimits(container);
		if (spec.hostNetwork) for (const port of container.ports ?? []) port.hostPort ||= port.containerPort;
	}
}

/** `Always` for the tag latest, written or implied; else `IfNotPresent`. An image by digest never changes. */
export function defaultPullPolicy(image: string | undefined): 'Always' | 'IfNotPresent' {
	if (!image || image.includes('@')) return 'IfNotPresent';
	const tag = /:([^/:]+)$/.exec(image)?.[1] ?? 'latest';
	return tag === 'latest' ? 'Always' : 'IfNotPresent';
}

function defaultContainer(container: AnyContainer): void {
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

/** A container with a limit and no request asks for its limit. */
function requestLimits(container: core.Container): void {
	const limits = container.resources?.limits;
	if (!container.resources || !limits) return;
	const requests = { ...container.resources.requests };
	for (const [resource, limit] of Object.entries(limits)) requests[resource] ??= limit;
	if (Object.keys(requests).length > 0) container.resources.requests = requests;
}

/** Quantities are stored in their canonical form: cpu 0.5 as 500m. */
export function canonicalize(quantities: Record<string, string> | undefined): void {
	if (!quantities) return;
	for (const [resource, amount] of Object.entries(quantities))
		if (isQuantity(amount)) quantities[resource] = canonicalQuantity(amount);
}
