/** Which nodes volumes can be reached from, and made on. Source: Kubernetes documentation, "Persistent Volumes", Node Affinity; "Storage Classes", Allowed Topologies. */
import type { Node, PersistentVolume, StorageClass } from '../../kinds/index.ts';
import { selectsNode } from '../scheduling/node-terms.ts';

/** Whether pods on the node can have the volume. */
export function isReachableFrom({ spec }: PersistentVolume, node: Node): boolean {
	const required = spec.nodeAffinity?.required;
	return !required || selectsNode(required, node);
}

/** Whether volumes of the class may be made for pods on the node. */
export function allows({ allowedTopologies }: StorageClass, { metadata }: Node): boolean {
	if (!allowedTopologies?.length) return true;
	return allowedTopologies.some(({ matchLabelExpressions = [] }) =>
		matchLabelExpressions.every(({ key, values }) => values.includes(metadata.labels?.[key] ?? '')),
	);
}
