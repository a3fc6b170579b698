/**
 * How fast nodes that fail may be emptied. One node fails by itself; many at once are rather out of reach, and what runs on
 * them runs on. Source: Kubernetes documentation, "Nodes", section "Rate limits on eviction".
 */
import type { Node } from '../../kinds/index.ts';
import { readyOf } from './node-health.ts';

/** Nodes a second that begin to lose their pods, in a zone: kube-controller-manager's --node-eviction-rate. */
export const EVICTION_RATE = 0.1;
/** The same in a zone that is disrupted: --secondary-node-eviction-rate. */
export const SECONDARY_EVICTION_RATE = 0.01;
/** The share of a zone's nodes that are not ready from which it is disrupted: --unhealthy-zone-threshold. */
export const UNHEALTHY_ZONE_THRESHOLD = 0.55;
/** In a cluster of so many nodes or fewer nothing is evicted from a disrupted zone: --large-cluster-size-threshold. */
export const LARGE_CLUSTER_SIZE = 50;

/** How many nodes are ready, and how many are not. */
export interface Census {
	readonly ready: number;
	readonly unready: number;
}

/** How many nodes of a zone may begin to lose their pods, a second. 0: none may, and those that had begun stop. */
export function evictionRate(zone: Census, cluster: Census): number {
	// With no node ready it is rather we who are cut off, and there is nowhere to go.
	if (cluster.ready === 0) return 0;
	const disrupted = zone.unready / (zone.ready + zone.unready) >= UNHEALTHY_ZONE_THRESHOLD;
	// A zone that is wholly gone, while others are well, is gone.
	if (!disrupted || zone.ready === 0) return EVICTION_RATE;
	return cluster.ready + cluster.unready > LARGE_CLUSTER_SIZE ? SECONDARY_EVICTION_RATE : 0;
}

/** Where the node stands: nodes without the labels are in one zone. Source: Kubernetes documentation, "Well-Known Labels". */
export function zoneOf({ metadata: { labels = {} } }: Node): string {
	return `${labels['topology.kubernetes.io/region'] ?? ''}/${labels['topology.kubernetes.io/zone'] ?? ''}`;
}

/** Under which values a node is found for the census: of the cluster, and of its zone. */
export function censusValues(node: Node): string[] {
	const state = readyOf(node)?.status === 'True' ? 'ready' : 'unready';
	return [state, `${state} ${zoneOf(node)}`];
}

/** The census of a zone, or of the cluster; `count` tells how many nodes have a value. */
export function censusOf(count: (value: string) => number, zone?: string): Census {
	const of = (state: string) => count(zone === undefined ? state : `${state} ${zone}`);
	return { ready: of('ready'), unready: of('unready') };
}

/** Lets one node of a zone pass at a time, as often as its rate says. Times are ms of one clock. */
export interface Pace {
	/** 0: the node may pass, and the next one of its zone waits; else in how many ms to ask again. */
	take(zone: string, rate: number, now: number): number;
	/** The node that passed last did not do it. */
	giveBack(zone: string): void;
}

export function createPace(): Pace {
	const passed = new Map<string, number>();
	return {
		take(zone, rate, now) {
			const last = passed.get(zone);
			const wait = last === undefined ? 0 : last + 1000 / rate - now;
			if (wait > 0) return wait;
			passed.set(zone, now);
			return 0;
		},
		giveBack: (zone) => void passed.delete(zone),
	};
}
