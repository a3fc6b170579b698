/** What a node refuses though it was given it, and what it gives to pods. */
import test from 'ava';
import { measure } from '../../src/agents/node/capacity.ts';
import { judge } from '../../src/agents/pods/admission.ts';
import { Node, Pod } from '../../src/kinds/index.ts';
import { eventually, examplePod, NODE, restarts, running, startNode, WAIT } from './node.ts';

const allocatable = { cpu: '2', memory: '1Gi', pods: '3' };
const asking = (requests: Record<string, string>): Pod =>
	examplePod('p', { containers: [{ name: 'main', resources: { requests } }] });
const listening = (hostPort: number, hostIP?: string, protocol?: string): Pod =>
	examplePod('p', { containers: [{ name: 'main', ports: [{ containerPort: 80, hostPort, hostIP, protocol }] }] });
const setting = (name: string, spec: Partial<Pod['spec']> = {}): Pod =>
	examplePod('p', { securityContext: { sysctls: [{ name, value: '1' }] }, ...spec });

const verdicts: readonly [
	what: string,
	pod: Pod,
	others: readonly Pod[],
	refusal: readonly [string, string] | undefined,
][] = [
	['a pod that fits', asking({ cpu: '2', memory: '1Gi' }), [], undefined],
	['what the node does not know of', asking({ 'example.com/gpu': '1' }), [], undefined],
	[
		'too much cpu',
		asking({ cpu: '1500m' }),
		[asking({ cpu: '600m' })],
		['OutOfcpu', "Node didn't have enough resource: cpu, requested: 1500, used: 600, capacity: 2000"],
	],
	[
		'too much memory',
		asking({ memory: '1Gi' }),
		[asking({ memory: '1Mi' })],
		[
			'OutOfmemory',
			"Node didn't have enough resource: memory, requested: 1073741824, used: 1048576, capacity: 1073741824",
		],
	],
	[
		'too many pods, whatever else is too much',
		asking({ cpu: '3' }),
		[asking({}), asking({}), asking({})],
		['OutOfpods', "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"],
	],
	[
		'a host port that is taken',
		listening(80),
		[listening(80, '127.0.0.1')],
		['NodePorts', "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"],
	],
	['the same of another protocol', listening(80, undefined, 'UDP'), [listening(80)], undefined],
	['the same on another address', listening(80, '127.0.0.2'), [listening(80, '127.0.0.1')], undefined],
	['a safe sysctl', setting('net.ipv4.tcp_syncookies'), [], undefined],
	['a safe sysctl with slashes', setting('net/ipv4/tcp_syncookies'), [], undefined],
	['an unsafe sysctl that is allowed', setting('kernel.msgmax'), [], undefined],
	[
		'an unsafe sysctl',
		setting('net.core.somaxconn'),
		[],
		['SysctlForbidden', 'forbidden sysctl: "net.core.somaxconn" not allowlisted'],
	],
	[
		'a sysctl of the network on that of the machine',
		setting('net.ipv4.tcp_syncookies', { hostNetwork: true }),
		[],
		['SysctlForbidden', 'forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host net enabled'],
	],
	[
		'a sysctl of IPC on that of the machine',
		setting('kernel.msgmax', { hostIPC: true }),
		[],
		['SysctlForbidden', 'forbidden sysctl: "kernel.msgmax" not allowed with host ipc enabled'],
	],
];
for (const [what, pod, others, refusal] of verdicts) {
	test(`a node ${refusal ? 'refuses' : 'takes'} ${what}`, (t) => {
		const found = judge(pod, { others, allocatable, unsafeSysctls: ['kernel.msg*'] });
		t.deepEqual(found && [found.reason, found.message], refusal);
	});
}

test('a pod that the node has no room for is Failed and says why; what runs is not judged again', async (t) => {
	await using node = await startNode();
	const first = await node.runAgent();
	await node.pod('small', { containers: [{ name: 'main', command: WAIT, resources: { requests: { cpu: '100m' } } }] });
	await node.until('small', running);
	await node.pod('large', { containers: [{ name: 'main', resources: { requests: { cpu: '1000' } } }] });
	const large = await node.until('large', ({ status }) => status?.phase === 'Failed');
	t.is(large.status?.reason, 'OutOfcpu');
	t.regex(
		large.status?.message ?? '',
		/^Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: 100, capacity: \d+$/,
	);
	await node.untilEvent('large', /^OutOfcpu: Node didn't have enough/);
	t.false((await node.containers()).some(({ name }) => name.startsWith('large/')));

	const port = { containerPort: 80, hostPort: 18_080 };
	await node.pod('holder', { containers: [{ name: 'main', command: WAIT, ports: [port] }] });
	await node.until('holder', running);
	await node.pod('other', { containers: [{ name: 'main', command: WAIT, ports: [port] }] });
	const other = await node.until('other', ({ status }) => status?.phase === 'Failed');
	t.is(other.status?.reason, 'NodePorts');
	for (const name of ['large', 'other']) {
		await node.client.delete(Pod, { namespace: 'default', name });
		await node.untilGone(name);
	}

	await first[Symbol.asyncDispose]();
	await using _second = await node.runAgent({ systemReserved: { cpu: '1000' } });
	await node.pod('late', { containers: [{ name: 'main', resources: { requests: { cpu: '1m' } } }] });
	const late = await node.until('late', ({ status }) => status?.phase === 'Failed');
	t.regex(late.status?.message ?? '', /requested: 1, used: 100, capacity: 0$/);
	const small = await node.get('small');
	t.true(running(small));
	t.is(restarts(small), 0);
	const { status } = await eventually('the node offers nothing', async () => {
		const seen = await node.client.get(Node, { name: NODE });
		return seen.status?.allocatable?.cpu === '0' && seen;
	});
	t.not(status?.capacity?.cpu, '0');
});

test('a container has a bound on its processes, and the group of all pods above its own', async (t) => {
	await using node = await startNode();
	await using _agent = await node.runAgent({ maxPids: 25 });
	await node.pod('bomb', {
		restartPolicy: 'Never',
		containers: [
			{ name: 'main', command: ['sh', '-c', 'i=0; while test $i -lt 60; do sleep 3600 & i=$((i+1)); done'] },
		],
	});
	// Its shell ends where it may not fork any more.
	const pod = await node.until('bomb', ({ status }) => status?.phase === 'Failed');
	t.not(pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 0);
	for (const { id } of await node.containers()) {
		const { HostConfig } = await node.engine.docker.getContainer(id).inspect();
		t.is(HostConfig.PidsLimit, 25);
		t.regex(HostConfig.CgroupParent ?? '', /^(\/kubepods\/besteffort\/pod[-\w]+|kubepods-besteffort-pod\w+\.slice)$/);
	}
});

const info = {
	name: 'docker',
	cpus: 4,
	memory: 8 * 1024 ** 3,
	root: '/',
	version: '',
	architecture: '',
	operatingSystem: '',
	kernelVersion: '',
};

test('pods may have what the node has, less what is reserved and what is kept free', async (t) => {
	const { capacity, allocatable } = await measure({ info, dataDir: '/' }, { cpu: '500m', memory: '1Gi' });
	t.like(capacity, { cpu: '4', memory: '8388608Ki', pods: '110' });
	t.like(allocatable, { cpu: '3500m', memory: `${8_388_608 - 1_048_576 - 102_400}Ki`, pods: '110' });
	const device = { name: 'example.com/gpu', capacity: () => '2' };
	t.deepEqual(await measure({ info, dataDir: '/' }, {}, [device]), {
		capacity: { 'example.com/gpu': '2' },
		allocatable: { 'example.com/gpu': '2' },
	});
});
