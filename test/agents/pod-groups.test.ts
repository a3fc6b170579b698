/** The control groups of pods: what they may take as a whole, that the kernel has it so, and that nothing of them stays. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Container } from 'kubernetes-types/core/v1.js';
import { parseHierarchies } from '../../src/agents/figures/groups.ts';
import { podGroups, settings } from '../../src/agents/groups/groups.ts';
import { podLimits } from '../../src/agents/groups/limits.ts';
import { faults } from '../../src/client/index.ts';
import { limitsOf, Pod, qosClass, requestsOf } from '../../src/kinds/index.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { eventually, examplePod, running, startNode, WAIT } from './node.ts';

const MIB = 2 ** 20;
const container = (name: string, limits?: Record<string, string>, requests = limits): Container => ({
	name,
	image: 'driftless/example:1',
	command: WAIT,
	resources: { limits, requests },
});
const podOf = (spec: object): Pod => examplePod('p', spec, { uid: 'u-1' });

const cases: readonly (readonly [title: string, spec: object, expected: object])[] = [
	['without requests', { containers: [container('a')] }, { cpuShares: 2 }],
	[
		'limits add up, of what each is limited in',
		{ containers: [container('a', { cpu: '500m', memory: '10Mi' }), container('b', { cpu: '250m' })] },
		{ cpuShares: 768, cpuQuota: 75_000, memory: undefined },
	],
	[
		'an init container counts where it is larger, a sidecar beside all',
		{
			initContainers: [
				{ ...container('s', { memory: '5Mi' }), restartPolicy: 'Always' },
				container('i', { memory: '40Mi' }),
			],
			containers: [container('a', { memory: '10Mi' })],
		},
		{ memory: 45 * MIB },
	],
	[
		'what is said of the pod goes before, overhead on top',
		{
			resources: { requests: { cpu: '1' }, limits: { cpu: '2', memory: '64Mi' } },
			overhead: { cpu: '100m', memory: '1Mi' },
			containers: [container('a', { cpu: '500m' })],
		},
		{ cpuShares: 1126, cpuQuota: 210_000, memory: 65 * MIB },
	],
	['as many processes as are allowed', { containers: [container('a')] }, { tasks: 7 }],
];
for (const [title, spec, expected] of cases)
	test(`the limits of a pod: ${title}`, (t) => {
		const found = podLimits(podOf(spec), title.startsWith('as many') ? 7 : undefined);
		for (const [name, value] of Object.entries(expected)) t.is(found[name as keyof typeof found], value, name);
	});

test('resources of the pod as a whole decide its class and its requests', (t) => {
	const pod = podOf({ resources: { requests: { memory: '10Mi', cpu: '1' } }, containers: [container('a')] });
	t.is(qosClass(pod.spec), 'Burstable');
	t.like(requestsOf(pod), { cpu: 1000, memory: 10 * MIB });
	t.deepEqual(limitsOf(pod), {});
	const equal = { cpu: '1', memory: '10Mi' };
	t.is(
		qosClass(podOf({ resources: { requests: equal, limits: equal }, containers: [container('a')] }).spec),
		'Guaranteed',
	);
	t.is(qosClass(podOf({ resources: {}, containers: [container('a')] }).spec), 'BestEffort');
});

test('limits are written as either version of control groups takes them', (t) => {
	const limits = { cpuShares: 1024, cpuQuota: 50_000, memory: 1000, tasks: 5 };
	const all = (version: 1 | 2, of: Parameters<typeof settings>[2]) =>
		Object.fromEntries((['cpu', 'memory', 'pids'] as const).flatMap((controller) => settings(version, controller, of)));
	t.deepEqual(all(1, limits), {
		'cpu.shares': '1024',
		'cpu.cfs_period_us': '100000',
		'cpu.cfs_quota_us': '50000',
		'memory.limit_in_bytes': '1000',
		'pids.max': '5',
	});
	t.deepEqual(all(2, limits), { 'cpu.weight': '39', 'cpu.max': '50000 100000', 'memory.max': '1000', 'pids.max': '5' });
	t.like(all(1, { cpuShares: 2 }), { 'cpu.cfs_quota_us': '-1', 'memory.limit_in_bytes': '-1', 'pids.max': 'max' });
	t.like(all(2, { cpuShares: 2 }), {
		'cpu.weight': '1',
		'cpu.max': 'max 100000',
		'memory.max': 'max',
		'pids.max': 'max',
	});
});

test('groups of version 2 hand their controllers down; what cannot be made is said once, and pods run', async (t) => {
	const root = await mkdtemp(join(tmpdir(), 'driftless-cgroup2-'));
	t.teardown(() => rm(root, { recursive: true }));
	const said: string[] = [];
	const log = { ...silentLog, warn: (_: object, message: string) => void said.push(message) };
	const make = (point: string) =>
		podGroups({
			driver: 'cgroupfs',
			pods: () => [],
			faults: faults(log),
			mountinfo: `30 2 0:1 / ${point} rw - cgroup2 cgroup2 rw`,
		});
	const pod = podOf({ containers: [container('a', { cpu: '500m' })] });
	const none = await make(join(root, 'none'));
	await none.ensure(pod);
	await none.ensure(pod);
	t.is(said.length, 1);
	t.regex(said[0] ?? '', /control group of a pod cannot be made/);
	// In place of the kernel's, which makes this file in each folder.
	for (const folder of ['', 'kubepods', 'kubepods/burstable']) {
		await mkdir(join(root, folder), { recursive: true });
		await writeFile(join(root, folder, 'cgroup.controllers'), 'cpu io memory pids rdma\n');
	}
	await (await make(root)).ensure(pod);
	t.is(await readFile(join(root, 'kubepods/cgroup.subtree_control'), 'utf8'), '+cpu +io +memory +pids');
	t.is(await readFile(join(root, 'kubepods/burstable/podu-1/cpu.max'), 'utf8'), '50000 100000');
});

test('the kernel has the limits of a pod as a whole, and nothing of its group stays', async (t) => {
	await using node = await startNode();
	await using agent = await node.runAgent({ podMaxPids: 60 });
	const hierarchies = parseHierarchies(await readFile('/proc/self/mountinfo', 'utf8'));
	const { version, mounts } = hierarchies ?? t.fail('this machine has control groups') ?? { version: 1, mounts: {} };
	const folder = (controller: 'memory' | 'pids' | 'cpu', path: string) =>
		join(mounts[version === 2 ? 'unified' : controller]?.point ?? '', path);
	const read = async (controller: 'memory' | 'pids' | 'cpu', path: string, first: string, second: string) =>
		(await readFile(join(folder(controller, path), version === 1 ? first : second), 'utf8')).trim();
	const both = { cpu: '100m', memory: '32Mi' };
	const created = await node.pod('limited', { containers: [container('main', both), container('side', both)] });
	await node.pod('free', {});
	await node.until('limited', running);
	await node.until('free', running);
	const path = `kubepods/pod${created.metadata.uid}`;
	t.is(await read('memory', path, 'memory.limit_in_bytes', 'memory.max'), String(64 * MIB));
	t.is(await read('pids', path, 'pids.max', 'pids.max'), '60');
	t.regex(await read('cpu', path, 'cpu.cfs_quota_us', 'cpu.max'), /^20000/);
	// The containers and the sandbox are in it.
	const groups = (await readdir(folder('memory', path), { withFileTypes: true })).filter((entry) =>
		entry.isDirectory(),
	);
	t.is(groups.length, 3);
	const free = await node.get('free');
	t.is(
		await read('cpu', `kubepods/besteffort/pod${free.metadata.uid}`, 'cpu.shares', 'cpu.weight'),
		version === 1 ? '2' : '1',
	);

	// Also where the agent was not there when the pod went.
	await agent[Symbol.asyncDispose]();
	await node.client.delete(Pod, { namespace: 'default', name: 'limited' }, { gracePeriodSeconds: 0 });
	await using _again = await node.runAgent();
	await eventually('the group of the pod is gone from every hierarchy', async () => {
		const left = await Promise.all(
			(hierarchies?.all ?? []).map(({ point }) => readdir(join(point, 'kubepods')).catch(() => [])),
		);
		return !left.flat().includes(`pod${created.metadata.uid}`);
	});
	await node.client.delete(Pod, { namespace: 'default', name: 'free' });
	await node.untilGone('free');
	await t.throwsAsync(readdir(folder('memory', `kubepods/besteffort/pod${free.metadata.uid}`)), { code: 'ENOENT' });
});
