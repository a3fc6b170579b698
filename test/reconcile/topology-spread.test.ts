import test from 'ava';
import type { TopologySpreadConstraint } from 'kubernetes-types/core/v1.js';
import type { Node, Pod } from '../../src/kinds/index.ts';
import { type Case, labelled, place, zones } from './placing.ts';
import { node } from './workloads.ts';

const HOST = 'kubernetes.io/hostname';
const UNEVEN = "node(s) didn't match pod topology spread constraints";
const spread = (...constraints: Partial<TopologySpreadConstraint>[]): Partial<Pod['spec']> => ({
	topologySpreadConstraints: constraints.map((constraint) => ({
		maxSkew: 1,
		topologyKey: 'zone',
		whenUnsatisfiable: 'DoNotSchedule',
		labelSelector: { matchLabels: { app: 'web' } },
		...constraint,
	})),
});
const web = (spec: Parameters<typeof labelled>[2] = {}, labels: Record<string, string> = {}) =>
	labelled('p', { app: 'web', ...labels }, spec);
/** So many pods on each of the nodes. */
const pods = (counts: Record<string, number>, more: Parameters<typeof labelled>[2] = {}): Pod[] =>
	Object.entries(counts).flatMap(([on, count]) =>
		Array.from({ length: count }, (_, number) => labelled(`${on}-${number}`, { app: 'web' }, { on, ...more })),
	);
const tainted = (nodes: Node[], name: string): Node[] =>
	nodes.map((each) =>
		each.metadata.name === name ? { ...each, spec: { taints: [{ key: 'gpu', effect: 'NoSchedule' }] } } : each,
	);

const table: [string, Pod, Case, string][] = [
	['the zone that has fewer', web(spread({})), { nodes: zones('a', 'b'), bound: pods({ a1: 1, a2: 1, b1: 1 }) }, 'b2'],
	[
		'a larger skew allows more',
		web({ ...spread({ maxSkew: 2 }), nodeSelector: { zone: 'a' } }),
		{ nodes: zones('a', 'b'), bound: pods({ a1: 1, a2: 1, b1: 1 }) },
		'a1',
	],
	[
		'zones and nodes together',
		web(spread({}, { topologyKey: HOST })),
		{ nodes: zones('a', 'b'), bound: pods({ a1: 1, a2: 1, b1: 1 }) },
		'b2',
	],
	[
		'constraints that contradict',
		web(spread({}, { topologyKey: HOST })),
		{ nodes: [...zones('a'), node('b1', {}, { zone: 'b' })], bound: pods({ a1: 2, a2: 1, b1: 2 }) },
		`0/3 nodes are available: 3 ${UNEVEN}.`,
	],
	[
		'a node without the label',
		web(spread({})),
		{ nodes: [node('n1')] },
		`0/1 nodes are available: 1 ${UNEVEN} (missing required label).`,
	],
	[
		'a node without one of the labels is of no domain',
		web(spread({}, { topologyKey: 'rack' })),
		{
			nodes: [node('a1', {}, { zone: 'a', rack: 'r1' }), node('b1', {}, { zone: 'b' })],
			bound: pods({ a1: 3 }),
		},
		'a1',
	],
	[
		'pods of another namespace, and others, are not counted',
		web(spread({ topologyKey: HOST })),
		{
			nodes: [node('n1'), node('n2')],
			bound: [
				...pods({ n1: 1 }),
				...pods({ n2: 3 }, { namespace: 'other' }),
				labelled('x', { app: 'db' }, { on: 'n2' }),
			],
		},
		'n2',
	],
	[
		'nor those on their way out',
		web(spread({ topologyKey: HOST })),
		{
			nodes: [node('n1'), node('n2')],
			bound: [
				...pods({ n1: 1 }),
				...pods({ n2: 3 }).map((each) => ({
					...each,
					metadata: { ...each.metadata, deletionTimestamp: '2030-01-01T00:00:00Z' },
				})),
			],
		},
		'n2',
	],
	[
		'a pod that its own constraint is not about adds nothing',
		labelled('p', { app: 'other' }, { ...spread({}), nodeSelector: { zone: 'a' } }),
		{ nodes: zones('a', 'b'), bound: pods({ a1: 1 }) },
		'a2',
	],
	[
		'a constraint without a selector is about no pod',
		web(spread({ labelSelector: undefined })),
		{ nodes: zones('a', 'b'), bound: pods({ a1: 5, b1: 1 }) },
		'a2',
	],
	[
		'too few domains: the fewest is none',
		web(spread({ maxSkew: 2, minDomains: 3 })),
		{ nodes: zones('a', 'b'), bound: pods({ a1: 2, b1: 2 }) },
		`0/4 nodes are available: 4 ${UNEVEN}.`,
	],
	[
		'enough domains',
		web(spread({ maxSkew: 2, minDomains: 2 })),
		{ nodes: zones('a', 'b'), bound: pods({ a1: 2, b1: 2 }) },
		'a2',
	],
	[
		'nodes that the pod does not choose are not counted',
		web({ ...spread({}), nodeSelector: { zone: 'a' } }),
		{ nodes: zones('a', 'b'), bound: pods({ a1: 1 }) },
		'a2',
	],
	[
		'unless they are to be',
		web({ ...spread({ nodeAffinityPolicy: 'Ignore' }), nodeSelector: { zone: 'a' } }),
		{ nodes: zones('a', 'b'), bound: pods({ a1: 1 }) },
		`0/4 nodes are available: 2 node(s) didn't match Pod's node affinity/selector, 2 ${UNEVEN}.`,
	],
	[
		'nodes with taints are counted',
		web(spread({ topologyKey: HOST })),
		{ nodes: tainted([node('n1'), node('n2')], 'n2'), bound: pods({ n1: 1 }) },
		`0/2 nodes are available: 1 ${UNEVEN}, 1 node(s) had untolerated taint {gpu: }.`,
	],
	[
		'unless they are not to be',
		web(spread({ topologyKey: HOST, nodeTaintsPolicy: 'Honor' })),
		{ nodes: tainted([node('n1'), node('n2')], 'n2'), bound: pods({ n1: 1 }) },
		'n1',
	],
	[
		'or the pod bears them',
		web({ ...spread({ topologyKey: HOST, nodeTaintsPolicy: 'Honor' }), tolerations: [{ operator: 'Exists' }] }),
		{ nodes: tainted([node('n1'), node('n2')], 'n2'), bound: pods({ n1: 1 }) },
		'n2',
	],
	[
		'each revision is spread for itself',
		web(spread({ topologyKey: HOST, matchLabelKeys: ['hash'] }), { hash: '2' }),
		{
			nodes: [node('n1'), node('n2')],
			bound: [
				labelled('new', { app: 'web', hash: '2' }, { on: 'n1' }),
				...[1, 2, 3].map((number) => labelled(`old${number}`, { app: 'web', hash: '1' }, { on: 'n2' })),
			],
		},
		'n2',
	],
	[
		'rather even: the zone that has fewest, though its nodes are fuller',
		web(spread({ whenUnsatisfiable: 'ScheduleAnyway' })),
		{
			nodes: zones('a', 'b'),
			bound: [
				...pods({ a1: 2 }),
				...['b1', 'b2'].flatMap((on) => [1, 2, 3].map((each) => labelled(`x${on}${each}`, {}, { on }))),
			],
		},
		'b1',
	],
	[
		'rather even forbids nothing',
		web({ ...spread({ whenUnsatisfiable: 'ScheduleAnyway' }), nodeSelector: { zone: 'a' } }),
		{ nodes: zones('a', 'b'), bound: pods({ a1: 5 }) },
		'a2',
	],
	[
		'rather even: not on a node without the label',
		web(spread({ whenUnsatisfiable: 'ScheduleAnyway' })),
		{ nodes: [node('n1'), ...zones('a')], bound: pods({ a1: 1, a2: 1 }) },
		'a1',
	],
];
for (const [title, wanted, world, expected] of table) test(title, (t) => t.is(place(wanted, world), expected));
