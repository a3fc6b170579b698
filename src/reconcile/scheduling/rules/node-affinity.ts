/** Which nodes a pod chooses by their labels and names. Source: Kubernetes documentation, "Assigning Pods to Nodes". */
import type { Node, Pod } from '../../../kinds/index.ts';
import { includes } from '../../runtime/label-selector.ts';
import { termPredicate } from '../node-terms.ts';
import { type Filter, passesNow, type Score, scaled } from './rule.ts';

const NOT_CHOSEN = ["node(s) didn't match Pod's node affinity/selector"];

/** Whether the node selector and the required node affinity let a node through; undefined where the pod has neither. */
export function nodeChoice({ spec: { nodeSelector, affinity } }: Pod): ((node: Node) => boolean) | undefined {
	const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
	if (!nodeSelector && !required) return undefined;
	const terms = required?.nodeSelectorTerms.map(termPredicate);
	return (node) =>
		includes(nodeSelector, node.metadata.labels) && (terms === undefined || terms.some((term) => term(node)));
}

/** What decides `nodeChoice`: pods alike in it choose the same nodes. */
export const nodeChoiceSignature = ({ spec: { nodeSelector, affinity } }: Pod) =>
	JSON.stringify([nodeSelector, affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution]);

const prepare: Filter['prepare'] = ({ pod }) => {
	const chosen = nodeChoice(pod);
	return chosen && (({ node }) => (chosen(node) ? undefined : NOT_CHOSEN));
};

export const nodeAffinity: Filter = {
	name: 'NodeAffinity',
	prepare,
	narrows({ pod }) {
		const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
		const names = required?.nodeSelectorTerms.map(({ matchFields = [] }) =>
			matchFields.flatMap(({ operator, values = [] }) => (operator === 'In' ? values : [])),
		);
		// The terms are alternatives: one of them without a name leaves every node open.
		return names?.every((each) => each.length > 0) ? new Set(names.flat()) : undefined;
	},
	hints: { 'node added': passesNow(prepare), 'node labels': passesNow(prepare) },
};

/** The weights of the preferred terms that a node matches. */
export const preferredNodes: Score = {
	name: 'NodeAffinity',
	weight: 2,
	of({ pod }, nodes) {
		const preferred = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution;
		const terms = preferred?.map(({ weight, preference }) => ({ weight, matches: termPredicate(preference) }));
		if (!terms?.length) return undefined;
		return scaled(
			nodes.map(({ node }) => terms.reduce((score, { weight, matches }) => score + (matches(node) ? weight : 0), 0)),
		);
	},
};
