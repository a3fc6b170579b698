/** Whatever happens in a cluster, and in whatever order: what is kept one change at a time is what counting it all anew would give. */
import test from 'ava';
import { type Node, type Pod, requestsOf } from '../../src/kinds/index.ts';
import { carriedBy } from '../../src/reconcile/scheduling/carried-terms.ts';
import { affinityTerm, type PodTerm, spreadTerm, traitsOf } from '../../src/reconcile/scheduling/pod-terms.ts';
import { MOST_TALLIES } from '../../src/reconcile/scheduling/population.ts';
import { createSnapshot } from '../../src/reconcile/scheduling/snapshot.ts';
import type { Tally } from '../../src/reconcile/scheduling/tally.ts';
import { wantedOf } from '../../src/reconcile/scheduling/wanted.ts';
import { labelled } from './placing.ts';
import { node } from './workloads.ts';

const STEPS = 3000;
const KEYS = ['zone', 'kubernetes.io/hostname'];

/** Numbers from 0 on that are the same in each run. */
function numbers(seed: number) {
	let state = seed;
	return (below: number) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
}

const owner = labelled('owner', { app: 'a1' }, { namespace: 'ns0' });
const selector = { matchLabels: { app: 'a1' } };
const terms: PodTerm[] = [
	spreadTerm({ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: selector }, owner),
	affinityTerm({ topologyKey: 'zone', labelSelector: selector }, owner),
	affinityTerm(
		{ topologyKey: 'zone', labelSelector: {}, namespaceSelector: { matchLabels: { team: 't1' } }, namespaces: ['ns2'] },
		owner,
	),
];
const untainted = { signature: 'untainted', accepts: ({ spec }: Node) => !spec.taints };

test('tallies, sums and terms stay what the cluster is', (t) => {
	const random = numbers(7);
	const snapshot = createSnapshot();
	const nodes = new Map<string, Node>();
	const pods = new Map<string, Pod>();
	const teams = new Map<string, string>();
	const pick = <T>(values: readonly T[]): T => values[random(values.length)] as T;

	const makeNode = (name: string) =>
		node(name, random(3) === 0 ? { taints: [{ key: 'x', effect: 'NoSchedule' }] } : {}, {
			'kubernetes.io/hostname': name,
			...(random(4) > 0 && { zone: `z${random(3)}` }),
		});
	const makePod = (name: string) => {
		const term = { topologyKey: pick(KEYS), labelSelector: { matchLabels: { app: `a${random(3)}` } } };
		const made = labelled(
			name,
			{ app: `a${random(3)}` },
			{
				on: `n${random(8)}`,
				namespace: `ns${random(3)}`,
				...(random(2) === 0 && {
					affinity: {
						podAntiAffinity: {
							requiredDuringSchedulingIgnoredDuringExecution: [term],
							preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 + random(3), podAffinityTerm: term }],
						},
					},
				}),
			},
		);
		return {
			...made,
			metadata: { ...made.metadata, uid: name, ...(random(5) === 0 && { deletionTimestamp: '2030-01-01T00:00:00Z' }) },
		};
	};
	const steps: (() => void)[] = [
		() => {
			const made = makeNode(`n${random(8)}`);
			nodes.set(made.metadata.name, made);
			snapshot.setNode(made);
		},
		() => {
			const name = `n${random(8)}`;
			nodes.delete(name);
			snapshot.removeNode(name);
		},
		() => {
			const namespace = `ns${random(3)}`;
			const team = `t${random(2)}`;
			teams.set(namespace, team);
			snapshot.setNamespace(namespace, { team });
		},
		...Array.from({ length: 5 }, () => () => {
			const made = makePod(`p${random(40)}`);
			pods.set(made.metadata.name, made);
			if (random(2) === 0) snapshot.reserve(wantedOf(made), made.spec.nodeName ?? '');
			snapshot.setPod(made);
		}),
		() => {
			const name = `p${random(40)}`;
			pods.delete(name);
			snapshot.removePod(name);
		},
		() => {
			const supposed = makePod('supposed');
			snapshot.supposing([supposed], supposed.spec.nodeName ?? '', () => undefined);
		},
	];
	const namespaceLabels = (name: string) => {
		const team = teams.get(name);
		return team === undefined ? undefined : { team };
	};
	/** Counted anew: how many there are by value, of the nodes that count. */
	const counted = (key: string, weigh: (pod: Pod) => number, accepts: (node: Node) => boolean) => {
		const counts = new Map<string, number>();
		for (const { metadata, ...rest } of nodes.values()) {
			const value = metadata.labels?.[key];
			if (value === undefined || !accepts({ metadata, ...rest })) continue;
			const own = [...pods.values()].filter(({ spec }) => spec.nodeName === metadata.name);
			counts.set(value, (counts.get(value) ?? 0) + own.reduce((sum, pod) => sum + weigh(pod), 0));
		}
		return counts;
	};

	/** What a tally says of the domain of this value: the same on each of its nodes. */
	const inDomain = (tally: Tally, key: string, value: string) => {
		const own = [...snapshot.nodes.values()].filter(({ node }) => node.metadata.labels?.[key] === value);
		const [count, ...others] = new Set(own.map(({ slot }) => tally.at(slot)));
		t.is(others.length, 0);
		return count;
	};

	for (let step = 0; step < STEPS; step++) {
		pick(steps)();
		if (step % 10 > 0) continue;
		for (const term of terms)
			for (const key of KEYS)
				for (const eligibility of [undefined, untainted]) {
					const tally = snapshot.tally(term, key, eligibility);
					const expected = counted(
						key,
						(pod) => (term.matches(traitsOf(pod), namespaceLabels) ? 1 : 0),
						eligibility?.accepts ?? (() => true),
					);
					const values = [...expected.values()];
					t.deepEqual(
						{
							counts: [...expected.keys()].map((value) => inDomain(tally, key, value)),
							total: tally.total,
							domains: tally.domains,
							least: tally.least,
						},
						{
							counts: values,
							total: values.reduce((sum, each) => sum + each, 0),
							domains: values.length,
							least: values.length > 0 ? Math.min(...values) : 0,
						},
						`step ${step}: ${term.signature} by ${key}`,
					);
				}
		for (const effect of ['forbids', 'draws'] as const) {
			const traits = traitsOf(owner);
			for (const key of KEYS) {
				const expected = counted(
					key,
					(pod) =>
						carriedBy(pod)
							.filter(
								(each) => each.effect === effect && each.key === key && each.term.matches(traits, namespaceLabels),
							)
							.reduce((sum, { weight }) => sum + weight, 0),
					() => true,
				);
				const found = snapshot.carried(effect, traits).filter((each) => each.key === key);
				for (const [value, sum] of expected)
					t.is(
						found.reduce((total, { tally }) => total + (inDomain(tally, key, value) ?? 0), 0),
						sum,
						`step ${step}: what ${effect} in ${key}=${value}`,
					);
			}
		}
		for (const [name, { used, pods: there }] of snapshot.nodes) {
			const own = [...pods.values()].filter(({ spec }) => spec.nodeName === name);
			t.is(used.pods ?? 0, own.length);
			t.is(
				used.cpu ?? 0,
				own.reduce((sum, pod) => sum + (requestsOf(pod).cpu ?? 0), 0),
			);
			t.deepEqual([...there.keys()].sort(), own.map(({ metadata }) => metadata.name).sort());
		}
	}
	t.deepEqual([...snapshot.nodes.keys()].sort(), [...nodes.keys()].sort());
});

test('a tally that was forgotten among many is made anew as things are', (t) => {
	const snapshot = createSnapshot();
	snapshot.setNode(node('n1'));
	const of = (app: string) =>
		snapshot.tally(
			affinityTerm({ topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app } } }, owner),
			'kubernetes.io/hostname',
		);
	t.is(of('web').total, 0);
	for (let number = 0; number <= MOST_TALLIES; number++) of(`other-${number}`);
	snapshot.setPod(labelled('p', { app: 'web' }, { on: 'n1', namespace: 'ns0' }));
	t.is(of('web').total, 1);
	snapshot.removePod('uid-ns0-p');
	t.is(of('web').total, 0);
});
