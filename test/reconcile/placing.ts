/** Pods and nodes for tests of where pods go. */
import type { Node, Pod } from '../../src/kinds/index.ts';
import type { Strategy } from '../../src/reconcile/scheduling/rules/index.ts';
import { schedule } from '../../src/reconcile/scheduling/schedule.ts';
import { createSnapshot } from '../../src/reconcile/scheduling/snapshot.ts';
import { wantedOf } from '../../src/reconcile/scheduling/wanted.ts';
import { node, pod } from './workloads.ts';

export interface Case {
	nodes: Node[];
	bound?: Pod[];
	/** Pods that wait; those that are nominated count. */
	waiting?: Pod[];
	/** Labels of namespaces. */
	namespaces?: Record<string, Record<string, string>>;
	strategy?: Strategy;
	/** The node that was chosen last. */
	after?: string;
}

export function snapshotOf({ nodes, bound = [], waiting = [], namespaces = {} }: Case) {
	const snapshot = createSnapshot();
	for (const [name, labels] of Object.entries(namespaces)) snapshot.setNamespace(name, labels);
	for (const one of nodes) snapshot.setNode(one);
	for (const one of [...bound, ...waiting]) snapshot.setPod(one);
	return snapshot;
}

/** The node that the pod gets, or why it gets none. */
export function place(wanted: Pod, world: Case): string {
	const { strategy = 'least-allocated', after = '' } = world;
	const placement = schedule(wantedOf(wanted), snapshotOf(world), strategy, { from: 0, last: after });
	return 'node' in placement ? placement.node : placement.message;
}

export const asks = (name: string, requests: Record<string, string> = {}, spec: Partial<Pod['spec']> = {}): Pod =>
	pod(name, { phase: 'Pending', spec: { containers: [{ name: 'main', resources: { requests } }], ...spec } });

export const on = (name: string, nodeName: string, requests: Record<string, string> = {}): Pod =>
	asks(name, requests, { nodeName, containers: [{ name: 'main', resources: { requests } }] });

/** A pod with labels; `on` where it runs. */
export function labelled(
	name: string,
	labels: Record<string, string>,
	{ on: nodeName, namespace = 'default', ...spec }: Partial<Pod['spec']> & { on?: string; namespace?: string } = {},
): Pod {
	const made = asks(name, {}, { ...spec, ...(nodeName && { nodeName }) });
	return { ...made, metadata: { ...made.metadata, namespace, uid: `uid-${namespace}-${name}`, labels } };
}

/** Two nodes in each zone: `a1`, `a2`, `b1`, `b2` and so on. */
export const zones = (...names: string[]): Node[] =>
	names.flatMap((zone) => [1, 2].map((number) => node(`${zone}${number}`, {}, { zone })));
