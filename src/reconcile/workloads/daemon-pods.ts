/**
 * The pods of a DaemonSet: which nodes are to have one, and what it is. The rules are the scheduler's own, which binds the pods.
 * Source: Kubernetes documentation, "DaemonSet", sections "How Daemon Pods are scheduled" and "Taints and tolerations".
 */
import { createHash } from 'node:crypto';
import type { NodeSelectorTerm, PodSpec, Toleration } from 'kubernetes-types/core/v1.js';
import { DaemonSet, type Node, type Pod } from '../../kinds/index.ts';
import { controllerReference } from '../runtime/claim.ts';
import { nodeChoice } from '../scheduling/rules/node-affinity.ts';
import { FORBIDDING } from '../scheduling/rules/taints.ts';
import { untolerated } from '../scheduling/tolerations.ts';
import { REVISION_LABEL } from './history.ts';

/** What goes wrong with a node does not drive its daemons away. */
const tolerated: readonly Toleration[] = [
	{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
	{ key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
	{ key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
	{ key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
	{ key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
	{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
];
const onHostNetwork: Toleration = {
	key: 'node.kubernetes.io/network-unavailable',
	operator: 'Exists',
	effect: 'NoSchedule',
};

/** Whether a node is to have a pod, and whether one that it has may stay. */
export interface Fit {
	readonly run: boolean;
	readonly stay: boolean;
}

const NOWHERE: Fit = { run: false, stay: false };

/** What decides of a node, for all nodes of one set. */
export function fitOf(set: DaemonSet): (node: Node) => Fit {
	const spec = withTolerations(set.spec.template.spec ?? { containers: [] });
	const chosen = nodeChoice({ apiVersion: 'v1', kind: 'Pod', metadata: { name: '' }, spec });
	return (node) => {
		if (spec.nodeName && spec.nodeName !== node.metadata.name) return NOWHERE;
		if (chosen && !chosen(node)) return NOWHERE;
		const { taints } = node.spec;
		if (!untolerated(taints, spec.tolerations, FORBIDDING)) return { run: true, stay: true };
		return { run: false, stay: !untolerated(taints, spec.tolerations, ['NoExecute']) };
	};
}

/** The pod of a node. Its name follows from the node and the revision, so that one whose answer was lost is not made twice. */
export function daemonPod(set: DaemonSet, node: string, hash: string): Pod {
	const { metadata, spec = { containers: [] } } = set.spec.template;
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			name: `${set.metadata.name.slice(0, LONGEST_PREFIX)}-${suffix(`${set.metadata.uid}/${node}/${hash}`)}`,
			namespace: set.metadata.namespace,
			labels: { ...metadata?.labels, [REVISION_LABEL]: hash },
			annotations: metadata?.annotations,
			finalizers: metadata?.finalizers,
			ownerReferences: [controllerReference(DaemonSet, set)],
		},
		spec: onNode(withTolerations(spec), node),
	};
}

/** The node that a pod of a set runs on, or is made for. */
export function nodeOf({ spec }: Pod): string {
	if (spec.nodeName) return spec.nodeName;
	const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
	for (const { matchFields = [] } of required?.nodeSelectorTerms ?? [])
		for (const { key, operator, values } of matchFields)
			if (key === NODE_NAME && operator === 'In' && values?.length === 1) return values[0] ?? '';
	return '';
}

const NODE_NAME = 'metadata.name';

/** The name is the host name as well: 63 characters, of which the suffix takes nine with its dash. */
const LONGEST_PREFIX = 54;
const SUFFIX = 8;
/** The letters of the names that the API generates, which spell no words. */
const LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

function suffix(text: string): string {
	const digest = createHash('sha256').update(text).digest();
	return Array.from(digest.subarray(0, SUFFIX), (byte) => LETTERS[byte % LETTERS.length]).join('');
}

function withTolerations(spec: PodSpec): PodSpec {
	const added = spec.hostNetwork ? [...tolerated, onHostNetwork] : tolerated;
	const own = (spec.tolerations ?? []).filter(
		({ key, effect, operator }) =>
			!added.some((each) => each.key === key && each.effect === effect && each.operator === operator),
	);
	return { ...spec, tolerations: [...own, ...added] };
}

/** The spec with the node as the only choice; what it asks of labels stays. */
function onNode(spec: PodSpec, node: string): PodSpec {
	const { nodeAffinity, ...others } = spec.affinity ?? {};
	const required = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
	const matchFields = [{ key: NODE_NAME, operator: 'In', values: [node] }];
	const terms: NodeSelectorTerm[] = required?.nodeSelectorTerms ?? [{}];
	return {
		...spec,
		affinity: {
			...others,
			nodeAffinity: {
				...nodeAffinity,
				requiredDuringSchedulingIgnoredDuringExecution: {
					nodeSelectorTerms: terms.map((term) => ({ ...term, matchFields })),
				},
			},
		},
	};
}
