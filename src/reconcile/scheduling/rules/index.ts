/** The filters and scores of the scheduler. Their order is that of Kubernetes' default profile: cheap before dear. */
import type { SchedulingStrategy } from '../../../kinds/index.ts';
import { presentImages } from './images.ts';
import { nodeAffinity, preferredNodes } from './node-affinity.ts';
import { interPodAffinity, preferredCompany } from './pod-affinity.ts';
import { balanced, leastAllocated, mostAllocated, nodePorts, nodeResourcesFit } from './resources.ts';
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

const always: readonly Score[] = [fewestTaints, preferredNodes, evenSpread, preferredCompany, presentImages];

export type Strategy = SchedulingStrategy;

/**
 * The scores of each strategy: `least-allocated` keeps nodes equally full, `most-allocated` fills one before the next, `round-robin`
 * takes one after the other.
 */
export const scores: Readonly<Record<Strategy, readonly Score[]>> = {
	'least-allocated': [...always, leastAllocated, balanced],
	'most-allocated': [...always, mostAllocated, balanced],
	'round-robin': always,
};
