/**
 * The defaults of pods and of pod templates. Source: Kubernetes API reference, "Pod", "Container", "Probe" and "Volume".
 * Where Go cannot tell an unset number or text from 0 or "" (fields that are no pointers there), neither is told apart here.
 */
import type * as core from 'kubernetes-types/core/v1.js';
import { canonicalize, defaultContainer } from './container-defaults.ts';
import { defaultPodLevel } from './pod-resources.ts';
import { defaultVolume } from './volume-defaults.ts';

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
	defaultPodLevel(spec);
}

/** A container with a limit and no request asks for its limit. */
function requestLimits(container: core.Container): void {
	const limits = container.resources?.limits;
	if (!container.resources || !limits) return;
	const requests = { ...container.resources.requests };
	for (const [resource, limit] of Object.entries(limits)) requests[resource] ??= limit;
	if (Object.keys(requests).length > 0) container.resources.requests = requests;
}
