/** What the scheduler works out of a pod, once. */
import { type HostPort, hostPortsOf, type Pod, type Resources, requestsOf } from '../../kinds/index.ts';
import { type PodTraits, traitsOf } from './pod-terms.ts';

/** A pod that is to be placed, and what it asks for. */
export interface Wanted {
	readonly pod: Pod;
	readonly traits: PodTraits;
	readonly requests: Resources;
	/** The requests that are more than nothing. */
	readonly takes: readonly (readonly [resource: string, amount: number])[];
	readonly ports: readonly HostPort[];
}

export function wantedOf(pod: Pod): Wanted {
	const requests = requestsOf(pod);
	const takes = Object.entries(requests).filter(([, amount]) => amount > 0);
	return { pod, traits: traitsOf(pod), requests, takes, ports: hostPortsOf(pod) };
}
