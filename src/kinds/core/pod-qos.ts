/** The quality of service class of a pod. Source: Kubernetes documentation, "Pod Quality of Service Classes". */
import type * as core from 'kubernetes-types/core/v1.js';
import { compareQuantities, isQuantity } from '../quantity.ts';
import { podLevel } from './pod-resources.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

const counted = ['cpu', 'memory'] as const;

/** Guaranteed: every container has equal requests and limits of cpu and memory. BestEffort: no container has any. */
export function qosClass(spec: core.PodSpec): QosClass {
	const own = podLevel(spec);
	// Said of the pod as a whole, it decides alone. Source: KEP-2837.
	const all =
		own && (own.requests || own.limits)
			? [{ resources: own }]
			: [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
	let any = false;
	let guaranteed = true;
	for (const { resources } of all) {
		for (const resource of counted) {
			const request = amount(resources?.requests?.[resource]);
			const limit = amount(resources?.limits?.[resource]);
			if (request || limit) any = true;
			if (!limit || (request && compareQuantities(request, limit) !== 0)) guaranteed = false;
		}
	}
	if (!any) return 'BestEffort';
	return guaranteed ? 'Guaranteed' : 'Burstable';
}

/** The amount where it is more than zero. */
function amount(quantity: string | undefined): string | undefined {
	return quantity !== undefined && isQuantity(quantity) && compareQuantities(quantity, '0') > 0 ? quantity : undefined;
}
