/** Taints, and nodes that take no pods. Source: Kubernetes documentation, "Taints and Tolerations". */
import type { Taint } from 'kubernetes-types/core/v1.js';
import { untolerated } from '../tolerations.ts';
import { type Filter, passesNow, type Score, scaled } from './rule.ts';

/** The effects that keep pods off. */
export const FORBIDDING: readonly Taint['effect'][] = ['NoSchedule', 'NoExecute'];
const UNWELCOMING: readonly Taint['effect'][] = ['PreferNoSchedule'];

const cordon: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };
const CORDONED = ['node(s) were unschedulable'];

const prepareUnschedulable: Filter['prepare'] = ({ pod }, { hasTaints }) =>
	hasTaints && untolerated([cordon], pod.spec.tolerations, FORBIDDING)
		? ({ node }) => (node.spec.unschedulable ? CORDONED : undefined)
		: undefined;

/** Nodes that were cordoned. */
export const nodeUnschedulable: Filter = {
	name: 'NodeUnschedulable',
	prepare: prepareUnschedulable,
	hints: { 'node added': passesNow(prepareUnschedulable), 'node taints': passesNow(prepareUnschedulable) },
};

const prepareTaints: Filter['prepare'] = ({ pod }, { hasTaints }) =>
	hasTaints
		? ({ node }) => {
				if (!node.spec.taints) return undefined;
				const taint = untolerated(node.spec.taints, pod.spec.tolerations, FORBIDDING);
				return taint && [`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`];
			}
		: undefined;

/** Taints that the pod does not bear. */
export const taintToleration: Filter = {
	name: 'TaintToleration',
	prepare: prepareTaints,
	hints: { 'node added': passesNow(prepareTaints), 'node taints': passesNow(prepareTaints) },
};

/** The fewest taints that would rather not have the pod. */
export const fewestTaints: Score = {
	name: 'TaintToleration',
	weight: 3,
	of({ pod: { spec } }, nodes, { hasTaints }) {
		if (!hasTaints) return undefined;
		const unwelcome = nodes.map(
			({ node }) =>
				node.spec.taints?.filter((taint) => untolerated([taint], spec.tolerations, UNWELCOMING)).length ?? 0,
		);
		return scaled(unwelcome)?.map((score) => 100 - score);
	},
};
