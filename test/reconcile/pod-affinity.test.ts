import test from 'ava';
import type { PodAffinityTerm } from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../src/kinds/index.ts';
import { type Case, labelled, place, zones } from './placing.ts';
import { node } from './workloads.ts';

const term = (app: string, topologyKey: string, more: Partial<PodAffinityTerm> = {}): PodAffinityTerm => ({
	topologyKey,
	labelSelector: { matchLabels: { app } },
	...more,
});
const near = (...terms: PodAffinityTerm[]): Partial<Pod['spec']> => ({
	affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } },
});
const apart = (...terms: PodAffinityTerm[]): Partial<Pod['spec']> => ({
	affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } },
});
const rather = (
	sort: 'podAffinity' | 'podAntiAffinity',
	weight: number,
	podAffinityTerm: PodAffinityTerm,
): Partial<Pod['spec']> => ({
	affinity: { [sort]: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight, podAffinityTerm }] } },
});
const HOST = 'kubernetes.io/hostname';
const two = [node('n1'), node('n2')];
const db = (where: string, more: Parameters<typeof labelled>[2] = {}) =>
	labelled(`db-${where}`, { app: 'db' }, { on: where, ...more });

const table: [string, Pod, Case, string][] = [
	['near to a pod: on its node', labelled('p', {}, near(term('db', HOST))), { nodes: two, bound: [db('n2')] }, 'n2'],
	[
		'near to a pod: in its zone',
		labelled('p', {}, { ...near(term('db', 'zone')), nodeSelector: { [HOST]: 'b2' } }),
		{ nodes: zones('a', 'b'), bound: [db('b1')] },
		'b2',
	],
	[
		'near to a pod that is not there',
		labelled('p', {}, near(term('db', HOST))),
		{ nodes: two },
		"0/2 nodes are available: 2 node(s) didn't match pod affinity rules.",
	],
	[
		'near to a pod: not where the node has no such label',
		labelled('p', { app: 'db' }, near(term('db', 'zone'))),
		{ nodes: two },
		"0/2 nodes are available: 2 node(s) didn't match pod affinity rules.",
	],
	[
		'the first of pods that are to be near to each other goes anywhere',
		labelled('p', { app: 'db' }, near(term('db', 'zone'))),
		{ nodes: zones('a') },
		'a1',
	],
	[
		'and the next one goes to it',
		labelled('p', { app: 'db' }, near(term('db', 'zone'))),
		{ nodes: zones('a', 'b'), bound: [db('b1')] },
		'b2',
	],
	[
		'near to pods that all of the terms are about',
		labelled('p', {}, near(term('db', 'zone'), { topologyKey: HOST, labelSelector: { matchLabels: { tier: 'x' } } })),
		{
			nodes: zones('a', 'b'),
			bound: [db('a1'), labelled('other', { app: 'db', tier: 'x' }, { on: 'b2' })],
		},
		'b2',
	],
	[
		'apart from a pod: on another node',
		labelled('p', {}, apart(term('db', HOST))),
		{ nodes: two, bound: [db('n1')] },
		'n2',
	],
	[
		'apart from a pod: in another zone',
		labelled('p', {}, apart(term('db', 'zone'))),
		{ nodes: zones('a', 'b'), bound: [db('a1')] },
		'b1',
	],
	[
		'apart from pods that are everywhere',
		labelled('p', {}, apart(term('db', HOST))),
		{ nodes: two, bound: [db('n1'), db('n2')] },
		"0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.",
	],
	[
		'apart, where nodes without the label are in no domain',
		labelled('p', {}, apart(term('db', 'zone'))),
		{ nodes: [node('n1')], bound: [db('n1')] },
		'n1',
	],
	[
		'a pod that is on its way out is still there',
		labelled('p', {}, apart(term('db', HOST))),
		{
			nodes: [node('n1')],
			bound: [{ ...db('n1'), metadata: { ...db('n1').metadata, deletionTimestamp: '2030-01-01T00:00:00Z' } }],
		},
		"0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
	],
	[
		'a pod that is finished is not',
		labelled('p', {}, apart(term('db', HOST))),
		{ nodes: [node('n1')], bound: [{ ...db('n1'), status: { phase: 'Succeeded' } }] },
		'n1',
	],
	[
		'a pod that is there keeps those off that it must be apart from',
		labelled('p', { app: 'web' }),
		{ nodes: two, bound: [db('n1', apart(term('web', HOST))), db('n2', apart(term('web', HOST)))] },
		"0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules.",
	],
	[
		'and no others',
		labelled('p', { app: 'mail' }),
		{ nodes: [node('n1')], bound: [db('n1', apart(term('web', HOST)))] },
		'n1',
	],
	[
		'a term is about pods of its own namespace',
		labelled('p', {}, apart(term('db', HOST))),
		{ nodes: [node('n1')], bound: [db('n1', { namespace: 'other' })] },
		'n1',
	],
	[
		'or of those that it names',
		labelled('p', {}, apart(term('db', HOST, { namespaces: ['other'] }))),
		{ nodes: two, bound: [db('n1', { namespace: 'other' }), db('n2')] },
		'n2',
	],
	[
		'or of those whose labels it selects, and those that it names',
		labelled(
			'p',
			{},
			apart(term('db', HOST, { namespaces: ['named'], namespaceSelector: { matchLabels: { team: 'x' } } })),
		),
		{
			nodes: [...two, node('n3')],
			bound: [
				db('n1', { namespace: 'named' }),
				db('n2', { namespace: 'selected' }),
				db('n3', { namespace: 'unselected' }),
			],
			namespaces: { named: {}, selected: { team: 'x' }, unselected: { team: 'y' } },
		},
		'n3',
	],
	[
		'or of all namespaces, by an empty selector',
		labelled('p', {}, apart(term('db', HOST, { namespaceSelector: {} }))),
		{ nodes: two, bound: [db('n1', { namespace: 'other' })], namespaces: { other: {} } },
		'n2',
	],
	[
		'a pod that is there looks at namespaces in the same way',
		labelled('p', { app: 'web' }, { namespace: 'selected' }),
		{
			nodes: two,
			bound: [db('n1', apart(term('web', HOST, { namespaceSelector: { matchLabels: { team: 'x' } } })))],
			namespaces: { selected: { team: 'x' } },
		},
		'n2',
	],
	[
		'a term without a selector is about no pod',
		labelled('p', {}, apart({ topologyKey: HOST })),
		{ nodes: [node('n1')], bound: [db('n1')] },
		'n1',
	],
	[
		'apart from the pods of the same revision',
		labelled('p', { app: 'db', hash: '2' }, apart(term('db', HOST, { matchLabelKeys: ['hash', 'absent'] }))),
		{
			nodes: two,
			bound: [
				labelled('old', { app: 'db', hash: '1' }, { on: 'n2' }),
				labelled('new', { app: 'db', hash: '2' }, { on: 'n1' }),
			],
		},
		'n2',
	],
	[
		'apart from the pods of other tenants',
		labelled('p', { tenant: 'a' }, apart({ topologyKey: HOST, labelSelector: {}, mismatchLabelKeys: ['tenant'] })),
		{
			nodes: two,
			bound: [labelled('own', { tenant: 'a' }, { on: 'n2' }), labelled('other', { tenant: 'b' }, { on: 'n1' })],
		},
		'n2',
	],
	[
		'rather near',
		labelled('p', {}, rather('podAffinity', 1, term('db', HOST))),
		{ nodes: [...two, node('n3')], bound: [db('n2')] },
		'n2',
	],
	[
		'rather apart',
		labelled('p', {}, rather('podAntiAffinity', 1, term('db', HOST))),
		{ nodes: two, bound: [db('n1'), labelled('big', {}, { on: 'n2' }), labelled('bigger', {}, { on: 'n2' })] },
		'n2',
	],
	[
		'a pod that is there would rather have it',
		labelled('p', { app: 'web' }),
		{ nodes: [...two, node('n3')], bound: [db('n2', rather('podAffinity', 5, term('web', HOST)))] },
		'n2',
	],
	[
		'a pod that had to be near to such pods would rather have it too',
		labelled('p', { app: 'web' }),
		{ nodes: [...two, node('n3')], bound: [db('n2', near(term('web', HOST)))] },
		'n2',
	],
	[
		'a pod that is there would rather not have it',
		labelled('p', { app: 'web' }),
		{
			nodes: two,
			bound: [
				db('n1', rather('podAntiAffinity', 5, term('web', HOST))),
				labelled('big', {}, { on: 'n2' }),
				labelled('bigger', {}, { on: 'n2' }),
			],
		},
		'n2',
	],
	[
		'every reason is counted beside the others',
		labelled('p', { app: 'web' }, { ...apart(term('db', HOST)), nodeSelector: { zone: 'a' } }),
		{ nodes: zones('a', 'b'), bound: [db('a1'), labelled('x', {}, { on: 'a2', ...apart(term('web', HOST)) })] },
		"0/4 nodes are available: 1 node(s) didn't match pod anti-affinity rules, 1 node(s) didn't satisfy existing pods anti-affinity rules, 2 node(s) didn't match Pod's node affinity/selector.",
	],
	[
		'a pod that is nominated keeps those off that must be apart from it',
		labelled('p', {}, apart(term('db', HOST))),
		{
			nodes: [node('n1')],
			waiting: [{ ...labelled('db', { app: 'db' }), status: { phase: 'Pending', nominatedNodeName: 'n1' } }],
		},
		"0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
	],
	[
		'but nobody can be near to it before it is there',
		labelled('p', {}, near(term('db', HOST))),
		{
			nodes: [node('n1')],
			waiting: [{ ...labelled('db', { app: 'db' }), status: { phase: 'Pending', nominatedNodeName: 'n1' } }],
		},
		"0/1 nodes are available: 1 node(s) didn't match pod affinity rules.",
	],
];
for (const [title, wanted, world, expected] of table) test(title, (t) => t.is(place(wanted, world), expected));
