/** Which nodes a selector of nodes chooses. Source: Kubernetes API reference, "NodeSelector". */
import type { NodeSelector, NodeSelectorTerm } from 'kubernetes-types/core/v1.js';
import { matchRequirements, type Node, type Requirement } from '../../kinds/index.ts';

/** Whether one of the terms lets the node through. */
export const selectsNode = ({ nodeSelectorTerms }: NodeSelector, node: Node): boolean =>
	nodeSelectorTerms.some((term) => termPredicate(term)(node));

/** All requirements of a term hold; a term without any matches nothing. */
export function termPredicate({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm): (node: Node) => boolean {
	if (matchExpressions.length + matchFields.length === 0) return () => false;
	const byLabels = matchRequirements(matchExpressions.map(requirement));
	const byFields = matchRequirements(matchFields.map(requirement));
	return ({ metadata }) => byLabels(metadata.labels) && byFields({ 'metadata.name': metadata.name });
}

const requirement = ({ key, operator, values }: { key: string; operator: string; values?: string[] }): Requirement => ({
	key,
	operator: operator as Requirement['operator'],
	values: values ?? [],
});
