/** When a node evicts pods, which, and what it says: tables first, then a real node whose signals the test sets. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { podFiles } from '../../src/agents/pods/files.ts';
import { judgePressure, nothingSeen, type Observations, type State } from '../../src/agents/pressure/judge.ts';
import { exceeded, hasStorageLimit } from '../../src/agents/pressure/local-storage.ts';
import { evictionMessage, isCritical, rank, type Use } from '../../src/agents/pressure/rank.ts';
import { observeMachine } from '../../src/agents/pressure/signals.ts';
import { binary, parseAmounts, parseGraces, thresholdsOf } from '../../src/agents/pressure/thresholds.ts';
import { Node, type Pod } from '../../src/kinds/index.ts';
import { eventually, examplePod, NODE, restarts, running, startNode, WAIT } from './node.ts';

const run = promisify(execFile);
const MIB = 2 ** 20;

test('thresholds are read as the kubelet’s flags are written', (t) => {
	t.deepEqual(parseAmounts('memory.available<500Mi,nodefs.available<12.5%', '<'), {
		'memory.available': { quantity: '500Mi' },
		'nodefs.available': { share: 0.125 },
	});
	t.deepEqual(parseGraces('memory.available=90', Number), { 'memory.available': 90 });
	for (const wrong of ['memory<1', 'memory.available<', 'memory.available=1', 'memory.available<1<2'])
		t.throws(() => parseAmounts(wrong, '<'), { message: /It takes memory\.available/ }, wrong);
	for (const wrong of ['memory.available<much', 'memory.available<101%', 'memory.available<-1'])
		t.throws(() => parseAmounts(wrong, '<'), { message: /quantities such as 500Mi/ }, wrong);
	t.throws(() => thresholdsOf({ soft: { 'pid.available': { share: 0.2 } } }), {
		message: /pid\.available has no grace period/,
	});
	t.deepEqual(
		thresholdsOf()
			.map(({ signal }) => signal)
			.slice(0, 2),
		['memory.available', 'nodefs.available'],
	);
	t.is(binary(3 * MIB), '3Mi');
	t.is(binary(1025), '1025');
});

const left = (available: number): Observations => ({ 'memory.available': { available, capacity: 1000 } });
test('a hard threshold is met at once, a soft one after its grace; pressure is told of for the transition period', (t) => {
	const thresholds = thresholdsOf({
		hard: { 'memory.available': { quantity: '100' } },
		soft: { 'memory.available': { share: 0.3 } },
		softGrace: { 'memory.available': 60 },
		minimumReclaim: { 'memory.available': { quantity: '50' } },
	});
	let state: State = nothingSeen;
	const look = (now: number, available: number) => {
		const judged = judgePressure(thresholds, left(available), state, { now, transitionMs: 100 });
		state = judged.state;
		return [judged.met.length, judged.pressure.memory] as const;
	};
	t.deepEqual(look(0, 500), [0, false]);
	t.deepEqual(look(10, 299), [0, false], 'soft, and just now');
	t.deepEqual(look(69, 299), [0, false]);
	t.deepEqual(look(70, 299), [1, true]);
	t.deepEqual(look(71, 340), [1, true], 'not yet so much more that it counts as over');
	t.deepEqual(look(72, 350), [0, true]);
	t.deepEqual(look(171, 350), [0, false], 'nobody has seen it for so long');
	t.deepEqual(look(180, 99), [1, true], 'the hard one needs no grace');
	t.deepEqual(look(181, 140), [1, true]);
	t.deepEqual(look(182, 400), [0, true]);
});

test('what is not observed meets no threshold, and memory is relieved first', (t) => {
	const judged = judgePressure(
		thresholdsOf(),
		{ 'nodefs.available': { available: 0, capacity: 10 }, 'memory.available': { available: 0, capacity: 2 ** 40 } },
		nothingSeen,
		{ now: 0, transitionMs: 10 },
	);
	t.deepEqual(
		judged.met.map(({ signal }) => signal),
		['memory.available', 'nodefs.available'],
	);
	t.deepEqual(judged.pressure, { memory: true, disk: true, pids: false });
	const real = observeMachine('/', '/', Date.now());
	t.true((real['memory.available']?.available ?? 0) > 0 && (real['nodefs.available']?.capacity ?? 0) > 0);
	t.is(observeMachine('/', '/no/such/folder', 0)['imagefs.available'], undefined, 'an engine on another machine');
});

const candidate = (name: string, use: Use, request = '0', priority = 0, annotations = {}) => ({
	pod: {
		...examplePod(
			name,
			{
				containers: [{ name: 'main', resources: { requests: { memory: request, 'ephemeral-storage': request } } }],
				priority,
			},
			{ annotations },
		),
	} as Pod,
	use,
});
const order = (signal: Parameters<typeof rank>[1], ...all: ReturnType<typeof candidate>[]) =>
	rank(all, signal).map(({ pod }) => pod.metadata.name);

test('who goes first: over its requests, then of low priority, then by how far over', (t) => {
	t.deepEqual(
		order(
			'memory.available',
			candidate('within', { memory: 90 }, '100', -5),
			candidate('far', { memory: 500 }, '100'),
			candidate('near', { memory: 150 }, '100'),
			candidate('urgent', { memory: 900 }, '100', 10),
			candidate('unknown', {}, '0'),
		),
		['far', 'near', 'urgent', 'within', 'unknown'],
	);
	t.deepEqual(order('nodefs.available', candidate('a', { disk: 5 }, '10'), candidate('b', { disk: 11 }, '10')), [
		'b',
		'a',
	]);
	t.deepEqual(order('nodefs.inodesFree', candidate('a', { inodes: 5 }), candidate('b', { inodes: 6 })), ['b', 'a']);
	t.deepEqual(order('pid.available', candidate('a', { tasks: 9 }, '0', 1), candidate('b', { tasks: 1 })), ['b', 'a']);
	const critical = candidate('system', { memory: 900 }, '0', 2_000_000_000);
	t.true(isCritical(critical.pod));
	t.deepEqual(
		order(
			'memory.available',
			critical,
			candidate('a', {}),
			candidate('file', {}, '0', 0, { 'kubernetes.io/config.mirror': 'x' }),
		),
		['a'],
	);
});

test('why a pod goes is said in the kubelet’s words', (t) => {
	const containers = new Map([['main', { memory: 200 * MIB }]]);
	t.is(
		evictionMessage(candidate('a', { memory: 200 * MIB, containers }, '100Mi'), 'memory.available', {
			threshold: '100Mi',
			available: 50 * MIB,
		}),
		'The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. Container main was using 200Mi, request is 100Mi, has larger consumption of memory. ',
	);
	t.is(
		evictionMessage(candidate('a', {}), 'pid.available', { threshold: '10', available: 3 }),
		'The node was low on resource: pids. Threshold quantity: 10, available: 3. ',
	);
});

const storage = (limit: string | undefined, sizeLimit?: string, medium?: string) =>
	examplePod('p', {
		containers: [{ name: 'main', resources: limit ? { limits: { 'ephemeral-storage': limit } } : {} }],
		volumes: [{ name: 'scratch', emptyDir: { sizeLimit, medium } }],
	});
const disk = (volume: number, own: number) => ({
	volumes: new Map([['scratch', volume]]),
	containers: new Map([['main', own]]),
});
const storages: readonly (readonly [
	title: string,
	pod: Pod,
	use: ReturnType<typeof disk>,
	said: string | undefined,
])[] = [
	['no limit', storage(undefined), disk(1e9, 1e9), undefined],
	['within all', storage('10Mi', '5Mi'), disk(5 * MIB, 5 * MIB), undefined],
	[
		'a volume',
		storage(undefined, '5Mi'),
		disk(5 * MIB + 1, 0),
		'Usage of EmptyDir volume "scratch" exceeds the limit "5Mi". ',
	],
	[
		'all together',
		storage('10Mi'),
		disk(6 * MIB, 6 * MIB),
		'Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ',
	],
	['a volume in memory has bounds of its own', storage('10Mi', '1Mi', 'Memory'), disk(20 * MIB, 0), undefined],
];
for (const [title, pod, use, said] of storages)
	test(`limits of the disk: ${title}`, (t) => {
		t.is(exceeded(pod, use), said);
		if (said) t.true(hasStorageLimit(pod));
	});
test('limits of the disk: one container of several', (t) => {
	const limits = { 'ephemeral-storage': '10Mi' };
	const pod = examplePod('p', { containers: ['a', 'b'].map((name) => ({ name, resources: { limits } })) });
	const use = {
		volumes: new Map(),
		containers: new Map([
			['a', 0],
			['b', 11 * MIB],
		]),
	};
	t.is(exceeded(pod, use), 'Container b exceeded its local ephemeral storage limit "10Mi". ');
});

const evicted = ({ status }: Pod) => status?.phase === 'Failed' && status.reason === 'Evicted';
const target = ({ status }: Pod) => status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
/** Thresholds that no machine of a test meets by itself. */
const quiet = { 'memory.available': { quantity: '1' } } as const;

test('a node that runs short evicts one pod after the other until it does not, and says so', async (t) => {
	await using node = await startNode();
	let memory = 1000 * MIB;
	await using _agent = await node.runAgent({
		eviction: { hard: { 'memory.available': { quantity: '100Mi' } }, transitionMs: 5_000 },
		observe: () => ({ 'memory.available': { available: memory, capacity: 4096 * MIB } }),
	});
	const limits = { cpu: '50m', memory: '64Mi' };
	await node.pod('precious', {
		containers: [{ name: 'main', command: WAIT, resources: { limits, requests: limits } }],
	});
	await node.pod('cheap', {});
	await node.until('precious', running);
	const cheap = await node.until('cheap', running);
	memory = 50 * MIB;
	const gone = await node.until('cheap', evicted);
	t.regex(
		gone.status?.message ?? '',
		/^The node was low on resource: memory\. Threshold quantity: 100Mi, available: 51200Ki\. Container main was using .*, request is 0, has larger consumption of memory\. $/,
	);
	t.like(target(gone), { status: 'True', reason: 'TerminationByKubelet', message: gone.status?.message });
	t.is(gone.status?.containerStatuses?.[0]?.state?.terminated?.exitCode !== undefined, true);
	memory = 1000 * MIB;
	t.true(
		(await node.events('cheap')).some((event) => event.startsWith('Evicted: The node was low on resource: memory')),
	);
	t.regex(await node.untilEvent(NODE, /^EvictionThresholdMet/), /Attempting to reclaim memory/);
	const condition = async () =>
		(await node.client.get(Node, { name: NODE })).status?.conditions?.find(({ type }) => type === 'MemoryPressure')
			?.status;
	// What it took is free: containers, group and files.
	await eventually(
		'nothing of the pod is left here',
		async () => !(await node.containers()).some(({ name }) => name.startsWith('cheap/')),
	);
	const { root } = podFiles(node.engine.dataDir, cheap.metadata.uid ?? '');
	await eventually('its files are gone', async () => !existsSync(root));
	t.true(evicted(await node.get('cheap')), 'and its status stays');
	t.is((await node.get('cheap')).status?.containerStatuses?.[0]?.state?.waiting, undefined);
	t.true(running(await node.get('precious')));
	t.is(restarts(await node.get('precious')), 0);
	await eventually('the pressure has passed', async () => (await condition()) === 'False');
});

test('under pressure pods are not taken; and one that was being evicted when the agent died is', async (t) => {
	await using node = await startNode();
	let pids = 1000;
	const options = {
		eviction: { hard: { 'pid.available': { quantity: '100' } }, transitionMs: 1_000 },
		observe: () => ({ 'pid.available': { available: pids, capacity: 4000 } }),
	} as const;
	const first = await node.runAgent(options);
	const made = await node.pod('half', {});
	await node.until('half', running);
	await first[Symbol.asyncDispose]();
	// As it lies there between the decision and the first kill.
	const { evicted: file } = podFiles(node.engine.dataDir, made.metadata.uid ?? '');
	await writeFile(file, JSON.stringify({ message: 'The node was low on resource: pids. ', grace: 0 }));
	pids = 10;
	await using _second = await node.runAgent(options);
	const gone = await node.until('half', evicted);
	t.is(gone.status?.message, 'The node was low on resource: pids. ');
	t.is(restarts(gone), 0);
	await eventually('the node says what it runs short of', async () => {
		const { status } = await node.client.get(Node, { name: NODE });
		return status?.conditions?.some(({ type, status: value }) => type === 'PIDPressure' && value === 'True');
	});
	await node.pod('late', {});
	const late = await node.until('late', evicted);
	t.is(late.status?.message, 'Pod was rejected: The node had condition: [PIDPressure]. ');
	await node.pod('system', { priorityClassName: 'system-node-critical' });
	await node.until('system', running);
});

test('a pod that writes more than it may goes; on a small disk the one that fills it, and the disk is free again', async (t) => {
	await using node = await startNode();
	const small = await mkdtemp(join(tmpdir(), 'driftless-small-'));
	await run('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', small]);
	try {
		await mkdir(join(small, 'agent'));
		await using _agent = await node.runAgent({
			dataDir: join(small, 'agent'),
			eviction: { hard: { ...quiet, 'nodefs.available': { share: 0.1 } }, transitionMs: 1_000 },
		});
		const writer = (mib: number) => [
			'sh',
			'-c',
			`trap "exit 0" TERM; dd if=/dev/zero of=/scratch/file bs=1M count=${mib}; sleep 3600 & wait`,
		];
		const pod = (name: string, mib: number, sizeLimit?: string) =>
			node.pod(name, {
				containers: [
					{ name: 'main', command: writer(mib), volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] },
				],
				volumes: [{ name: 'scratch', emptyDir: { sizeLimit } }],
			});
		await pod('modest', 1, '5Mi');
		await pod('greedy', 6, '5Mi');
		const greedy = await node.until('greedy', evicted);
		t.is(greedy.status?.message, 'Usage of EmptyDir volume "scratch" exceeds the limit "5Mi". ');
		t.true(running(await node.get('modest')));
		await pod('filling', 60);
		const filling = await node.until('filling', evicted);
		t.regex(
			filling.status?.message ?? '',
			/^The node was low on resource: ephemeral-storage\. Threshold quantity: \S+, available: \d+Ki\. /,
		);
		await eventually('the disk is free again', async () => {
			const { stdout } = await run('df', ['--output=pcent', small]);
			return Number.parseInt(stdout.split('\n')[1] ?? '100', 10) < 50;
		});
		t.true(running(await node.get('modest')), 'who did not take it stays');
	} finally {
		await run('umount', ['-l', small]);
		await rm(small, { recursive: true, force: true });
	}
});
