/** The filters and scores of the scheduler. Their order is that of Kubernetes' default profile: cheap before dear. */
import { nodeAffinity, preferredNodes } from './node-affinity.ts';
import { interPodAffinity, preferredCompany } from './pod-affinity.ts';
import { leastAllocated, nodePorts, nodeResourcesFit } from './resources.ts';
import type { Filter, Score } from './rule.ts';
import { fewestTaints, nodeUnschedulable, taintToleration } from './taints.ts';
import { evenSpread, topologySpread } from './topology-spread.ts';
import { volumeBinding, volumeRestrictions } from './volumes.ts';

/** The first that refuses a node says why. */
export const filters: readonly Filter[] = [
	nodeUnschedulable,
	taintToleration,
	nodeAffinity,
	nodePorts,
	nodeResourcesFit,
	volumeRestrictions,
	volumeBinding,
	topologySpread,
	interPodAffinity,
];

const always: readonly Score[] = [fewestTaints, preferredNodes, evenSpread, preferredCompany];

/** The scores of each strategy: `least-allocated` keeps nodes equally full, `round-robin` takes one after the other. */
export const scores = {
	'least-allocated': [...always, leastAllocated],
	'round-robin': always,
} as const satisfies Record<string, readonly Score[]>;

export type Strategy = keyof typeof scores;
