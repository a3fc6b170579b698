import test from 'ava';
import { hostPortsOf, type Node, type Pod, requestsOf } from '../../src/kinds/index.ts';
import { nodesToFind, schedule } from '../../src/reconcile/scheduling/schedule.ts';
import { createSnapshot } from '../../src/reconcile/scheduling/snapshot.ts';
import { wantedOf } from '../../src/reconcile/scheduling/wanted.ts';
import { asks, type Case, on, place } from './placing.ts';
import { node } from './workloads.ts';

const three = [node('n1'), node('n2'), node('n3')];
const required = (...terms: object[]) => ({
	affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
});

const table: [string, Pod, Case, string][] = [
	['no nodes at all', asks('p'), { nodes: [] }, 'no nodes available to schedule pods'],
	[
		'every reason is named and counted',
		asks('p', { cpu: '3' }),
		{
			nodes: [
				node('n1'),
				node('n2', { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] }),
				node('n3', { taints: [{ key: 'gpu', value: 'yes', effect: 'NoExecute' }] }),
			],
			bound: [on('a', 'n1', { cpu: '2' })],
		},
		'0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {gpu: yes}.',
	],
	[
		'a node short of two things counts for both',
		asks('p', { cpu: '9', memory: '9Gi' }),
		{ nodes: [node('n1')] },
		'0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.',
	],
	[
		'ephemeral storage',
		asks('p', { 'ephemeral-storage': '200Gi' }),
		{ nodes: [node('n1')] },
		'0/1 nodes are available: 1 Insufficient ephemeral-storage.',
	],
	[
		'an extended resource that no node has',
		asks('p', { 'example.com/gpu': '1' }),
		{ nodes: [node('n1')] },
		'0/1 nodes are available: 1 Insufficient example.com/gpu.',
	],
	[
		'what fits exactly fits',
		asks('p', { cpu: '2' }),
		{ nodes: [node('n1')], bound: [on('a', 'n1', { cpu: '2' })] },
		'n1',
	],
	[
		'finished pods take nothing',
		asks('p', { cpu: '4' }),
		{ nodes: [node('n1')], bound: [{ ...on('a', 'n1', { cpu: '2' }), status: { phase: 'Succeeded' } }] },
		'n1',
	],
	[
		'a cordoned node',
		asks('p'),
		{ nodes: [node('n1', { unschedulable: true })] },
		'0/1 nodes are available: 1 node(s) were unschedulable.',
	],
	[
		'a cordoned node, tolerated',
		asks('p', {}, { tolerations: [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }] }),
		{ nodes: [node('n1', { unschedulable: true })] },
		'n1',
	],
	[
		'a taint, tolerated by value',
		asks('p', {}, { tolerations: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] }),
		{ nodes: [node('n1', { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] })] },
		'n1',
	],
	[
		'a taint of another effect is not tolerated',
		asks('p', {}, { tolerations: [{ key: 'gpu', operator: 'Exists', effect: 'NoSchedule' }] }),
		{ nodes: [node('n1', { taints: [{ key: 'gpu', effect: 'NoExecute' }] })] },
		'0/1 nodes are available: 1 node(s) had untolerated taint {gpu: }.',
	],
	[
		'tolerating everything',
		asks('p', {}, { tolerations: [{ operator: 'Exists' }] }),
		{ nodes: [node('n1', { taints: [{ key: 'gpu', effect: 'NoExecute' }] })] },
		'n1',
	],
	[
		'a node selector',
		asks('p', {}, { nodeSelector: { disk: 'ssd' } }),
		{ nodes: [node('n1'), node('n2', {}, { disk: 'ssd' })] },
		'n2',
	],
	[
		'a node selector that nothing matches',
		asks('p', {}, { nodeSelector: { disk: 'ssd' } }),
		{ nodes: three },
		"0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
	],
	[
		'required affinity: one term of several',
		asks(
			'p',
			{},
			required(
				{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['z9'] }] },
				{
					matchExpressions: [
						{ key: 'zone', operator: 'In', values: ['a', 'b'] },
						{ key: 'old', operator: 'DoesNotExist' },
					],
				},
			),
		),
		{ nodes: [node('n1'), node('n2', {}, { zone: 'b', old: '' }), node('n3', {}, { zone: 'b' })] },
		'n3',
	],
	[
		'required affinity: comparing numbers',
		asks('p', {}, required({ matchExpressions: [{ key: 'cores', operator: 'Gt', values: ['8'] }] })),
		{ nodes: [node('n1', {}, { cores: '8' }), node('n2', {}, { cores: '16' })] },
		'n2',
	],
	[
		'required affinity: what is no number is greater than nothing',
		asks('p', {}, required({ matchExpressions: [{ key: 'cores', operator: 'Gt', values: ['many'] }] })),
		{ nodes: [node('n1', {}, { cores: '8' })] },
		"0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
	],
	[
		'required affinity by name',
		asks('p', {}, required({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n3'] }] })),
		{ nodes: three },
		'n3',
	],
	[
		'an empty term matches nothing',
		asks('p', {}, required({})),
		{ nodes: [node('n1')] },
		"0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
	],
	[
		'preferred affinity outweighs a fuller node',
		asks(
			'p',
			{},
			{
				affinity: {
					nodeAffinity: {
						preferredDuringSchedulingIgnoredDuringExecution: [
							{ weight: 1, preference: { matchExpressions: [{ key: 'disk', operator: 'Exists' }] } },
						],
					},
				},
			},
		),
		{ nodes: [node('n1'), node('n2', {}, { disk: '' })], bound: [on('a', 'n2', { cpu: '2' })] },
		'n2',
	],
	[
		'a soft taint is avoided',
		asks('p'),
		{
			nodes: [node('n1', { taints: [{ key: 'old', effect: 'PreferNoSchedule' }] }), node('n2')],
			bound: [on('a', 'n2', { cpu: '2' })],
		},
		'n2',
	],
	[
		'a soft taint forbids nothing',
		asks('p'),
		{ nodes: [node('n1', { taints: [{ key: 'old', effect: 'PreferNoSchedule' }] })] },
		'n1',
	],
	[
		'least allocated takes the emptiest node',
		asks('p', { cpu: '1' }),
		{ nodes: three, bound: [on('a', 'n1', { cpu: '1' }), on('b', 'n2', { memory: '4Gi' })] },
		'n3',
	],
	[
		'pods that ask for nothing spread as well',
		asks('p'),
		{ nodes: [node('n1'), node('n2')], bound: [on('a', 'n1')] },
		'n2',
	],
	[
		'round robin takes the next node, however full',
		asks('p'),
		{ nodes: three, strategy: 'round-robin', after: 'n1', bound: [on('a', 'n2', { cpu: '3' })] },
		'n2',
	],
	['round robin starts again', asks('p'), { nodes: three, strategy: 'round-robin', after: 'n3' }, 'n1'],
	[
		'round robin leaves out what does not fit',
		asks('p', { cpu: '2' }),
		{ nodes: three, strategy: 'round-robin', after: 'n1', bound: [on('a', 'n2', { cpu: '3' })] },
		'n3',
	],
];
const sized = (name: string, images: object[] = []): Node => ({
	...node(name),
	status: { allocatable: { cpu: '4', memory: '8Gi', pods: '110' }, images: images as never },
});
const image = (name: string, sizeBytes: number) => ({ names: [name], sizeBytes });
const of = (name: string) => asks('p', {}, { containers: [{ name: 'main', image: name }] });
const GiB = 1024 ** 3;

table.push(
	[
		'most allocated fills one node before the next',
		asks('p', { cpu: '1' }),
		{ nodes: [sized('n1'), sized('n2')], strategy: 'most-allocated', bound: [on('a', 'n2', { cpu: '1' })] },
		'n2',
	],
	[
		'least allocated takes the emptier node',
		asks('p', { cpu: '1' }),
		{ nodes: [sized('n1'), sized('n2')], bound: [on('a', 'n1', { cpu: '1' })] },
		'n2',
	],
	[
		'where as much is taken, cpu and memory are kept in balance',
		asks('p', { cpu: '1' }),
		{
			nodes: [sized('n1'), sized('n2')],
			bound: [on('a', 'n1', { cpu: '2' }), on('b', 'n2', { memory: '4Gi' })],
		},
		'n2',
	],
	[
		'a node that has the image',
		of('example:1'),
		{ nodes: [sized('n1'), sized('n2', [image('example:1', GiB)]), sized('n3')] },
		'n2',
	],
	[
		'an image without a tag is the latest',
		of('registry:5000/example'),
		{ nodes: [sized('n1'), sized('n2', [image('registry:5000/example:latest', GiB)])] },
		'n2',
	],
	[
		'a small image makes no difference',
		of('example:1'),
		{ nodes: [sized('n1'), sized('n2', [image('example:1', 1024)])] },
		'n1',
	],
	[
		'an extended resource that no node has enough of',
		asks('p', { 'example.com/gpu': '2' }),
		{ nodes: [{ ...node('n1'), status: { allocatable: { 'example.com/gpu': '1', pods: '9' } } }, node('n2')] },
		'0/2 nodes are available: 2 Insufficient example.com/gpu.',
	],
);

for (const [title, wanted, world, expected] of table)
	test(`schedule: ${title}`, (t) => t.is(place(wanted, world), expected));

test('schedule: a node takes no more pods than it allows', (t) => {
	const small = { ...node('n1'), status: { allocatable: { cpu: '4', memory: '8Gi', pods: '2' } } };
	const bound = [on('a', 'n1'), on('b', 'n1')];
	t.is(place(asks('p'), { nodes: [small], bound }), '0/1 nodes are available: 1 Too many pods.');
});

test('schedule: host ports collide by port, protocol and address', (t) => {
	const port = (name: string, hostPort: number, more: object = {}, spec: object = {}) =>
		asks(name, {}, { containers: [{ name: 'main', ports: [{ containerPort: 80, hostPort, ...more }] }], ...spec });
	const refusal = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.";
	const cases: [Pod, string][] = [
		[port('p', 80), refusal],
		[port('p', 81), 'n1'],
		[port('p', 80, { protocol: 'UDP' }), 'n1'],
		[port('p', 80, { hostIP: '10.0.0.2' }), 'n1'],
		[port('p', 80, { hostIP: '10.0.0.1' }), refusal],
	];
	const taken = port('a', 80, { hostIP: '10.0.0.1' }, { nodeName: 'n1' });
	for (const [wanted, expected] of cases) t.is(place(wanted, { nodes: [node('n1')], bound: [taken] }), expected);
});

test('schedule: a pod that names its node is held against that node only', (t) => {
	const named = (name: string) =>
		asks('p', { cpu: '3' }, required({ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }));
	const bound = [on('a', 'n2', { cpu: '2' })];
	t.is(place(named('n3'), { nodes: three, bound }), 'n3');
	t.is(
		place(named('n2'), { nodes: three, bound }),
		"0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].",
	);
	t.is(
		place(named('n9'), { nodes: three, bound }),
		"0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity].",
	);
});

test('schedule: room that is being made for a pod is kept from those that are less urgent', (t) => {
	const nominated = (priority: number) => {
		const made = asks('urgent', { cpu: '3' }, { priority });
		return { ...made, status: { ...made.status, nominatedNodeName: 'n1' } };
	};
	const pod = (priority: number) => asks('p', { cpu: '2' }, { priority });
	const nodes = [node('n1')];
	const full = '0/1 nodes are available: 1 Insufficient cpu.';
	t.is(place(pod(0), { nodes, waiting: [nominated(10)] }), full);
	t.is(place(pod(10), { nodes, waiting: [nominated(10)] }), full, 'nor from those that are as urgent');
	t.is(place(pod(11), { nodes, waiting: [nominated(10)] }), 'n1');
	t.is(place(pod(0), { nodes: three, waiting: [nominated(10)] }), 'n2');
	t.is(place(nominated(10), { nodes: three, waiting: [nominated(10)], after: 'n1' }), 'n1', 'it goes there itself');
	t.is(
		place(nominated(10), { nodes: three, bound: [on('a', 'n1', { cpu: '2' })], waiting: [nominated(10)] }),
		'n2',
		'or elsewhere, while the room is not there',
	);
});

test('schedule: of a large cluster so many nodes are looked at that enough fit, and others each time', (t) => {
	t.deepEqual([1, 99, 100, 500, 1000, 5000, 6000].map(nodesToFind), [1, 99, 100, 230, 420, 500, 300]);
	const snapshot = createSnapshot();
	for (let number = 0; number < 500; number++) snapshot.setNode(node(`n${number}`));
	const wanted = wantedOf(asks('p'));
	const seen = new Set<number>();
	let turn = { from: 0, last: '' };
	for (let round = 0; round < 3; round++) {
		const placement = schedule(wanted, snapshot, 'least-allocated', turn);
		t.is(placement.looked, 230);
		for (let at = 0; at < placement.looked; at++) seen.add((turn.from + at) % 500);
		turn = { from: (turn.from + placement.looked) % 500, last: 'node' in placement ? placement.node : '' };
	}
	t.is(seen.size, 500);
});

test('schedule: nodes of different zones are looked at in turn', (t) => {
	const snapshot = createSnapshot();
	const inZone = (name: string, zone: string) => node(name, {}, { 'topology.kubernetes.io/zone': zone });
	for (const name of ['a1', 'a2', 'a3']) snapshot.setNode(inZone(name, 'a'));
	for (const name of ['b1', 'c1']) snapshot.setNode(inZone(name, name.slice(0, 1)));
	const order = () => snapshot.order.map(({ name }) => name).join(' ');
	t.is(order(), 'a1 b1 c1 a2 a3');
	snapshot.setNode({ ...inZone('a2', 'a'), spec: { unschedulable: true } });
	t.is(order(), 'a1 b1 c1 a2 a3');
	t.true(snapshot.order[3]?.node.spec.unschedulable);
	snapshot.setNode(inZone('a1', 'd'));
	snapshot.removeNode('c1');
	t.is(order(), 'a1 a2 b1 a3');
	t.is(snapshot.placeOf('b1'), 2);
});

test('requests: init containers count alone, sidecars with all that runs beside them', (t) => {
	const of = (cpu: string, more: object = {}) => ({ name: cpu, resources: { requests: { cpu } }, ...more });
	const always = { restartPolicy: 'Always' };
	const cpu = (initContainers: Pod['spec']['containers'], overhead?: Record<string, string>) =>
		requestsOf(asks('p', {}, { containers: [of('300m'), of('200m')], initContainers, overhead })).cpu;
	t.is(cpu([]), 500);
	t.is(cpu([of('400m')]), 500);
	t.is(cpu([of('900m'), of('700m')]), 900);
	t.is(cpu([of('100m', always), of('50m')]), 600, 'a sidecar runs beside the containers');
	t.is(cpu([of('100m', always), of('900m')]), 1000, 'and beside the init containers after it');
	t.is(cpu([of('900m'), of('100m', always)]), 900, 'but not beside those before it');
	t.is(cpu([], { cpu: '250m' }), 750);
	t.is(requestsOf(asks('p')).pods, 1);
});

test('host ports: on the host network every container port is one', (t) => {
	const containers = [{ name: 'main', ports: [{ containerPort: 80 }, { containerPort: 53, protocol: 'UDP' }] }];
	t.deepEqual(hostPortsOf(asks('p', {}, { containers })), []);
	t.deepEqual(
		hostPortsOf(asks('p', {}, { containers, hostNetwork: true })).map(({ port, protocol }) => `${port}/${protocol}`),
		['80/TCP', '53/UDP'],
	);
});

test('snapshot: a pod counts once, from its reservation to its end, also before its node is known', (t) => {
	const snapshot = createSnapshot();
	const wanted = asks('p', { cpu: '1' });
	snapshot.reserve(wantedOf(wanted), 'n1');
	snapshot.setNode(node('n1'));
	const used = () => snapshot.nodes.get('n1')?.used.cpu;
	t.is(used(), 1000);
	snapshot.setPod(on('p', 'n1', { cpu: '1' }));
	t.is(used(), 1000);
	t.deepEqual([...(snapshot.nodes.get('n1')?.pods.keys() ?? [])], ['uid-p']);
	snapshot.setPod({ ...on('p', 'n1', { cpu: '1' }), status: { phase: 'Failed' } });
	t.is(used(), 0, 'its end frees what it had');
	t.is(snapshot.nodeOf('uid-p'), undefined);
	snapshot.removePod('uid-p');
	t.is(used(), 0);
});
