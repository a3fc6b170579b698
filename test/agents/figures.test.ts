/** Figures of control groups, interfaces, the machine and folders, from what the kernel writes. */
import { link, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { type Engine, EngineError, type Part } from '../../src/agents/engine/index.ts';
import { groupFiles } from '../../src/agents/figures/files.ts';
import { groupOf, parseHierarchies } from '../../src/agents/figures/groups.ts';
import { createDiskMeter, createFigures, diskUse, podGroup, readMachine } from '../../src/agents/figures/index.ts';
import { mainInterface, parseInterfaces } from '../../src/agents/figures/interfaces.ts';
import { readDetails, readGroup } from '../../src/agents/figures/read-group.ts';

const ID = 'ab'.repeat(32);
const FIRST = ['cpu', 'cpuacct', 'memory', 'pids', 'blkio']
	.map((name, at) => `3${at} 2 0:1 / /sys/fs/cgroup/${name} rw - cgroup cgroup rw,${name}`)
	.join('\n');
const JOINED = `31 2 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 2 0:1 /outer /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 2 0:1 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 2 0:1 / /sys/fs/cgroup/blk\\040io rw - cgroup cgroup rw,blkio
35 2 0:1 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw`;
const SECOND = '30 2 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate';

test('a group is found in the hierarchies of either version, and in hybrid ones', (t) => {
	const group = (mounts: string, membership: string) => {
		const hierarchies = parseHierarchies(mounts);
		return hierarchies && groupOf(hierarchies, membership);
	};
	const first = ['memory', 'pids', 'cpu', 'cpuacct', 'blkio']
		.map((name, at) => `${at}:${name}:/kubepods/${ID}`)
		.join('\n');
	t.like(group(FIRST, first), {
		version: 1,
		path: `/kubepods/${ID}`,
		folders: { memory: `/sys/fs/cgroup/memory/kubepods/${ID}`, cpu: `/sys/fs/cgroup/cpu/kubepods/${ID}` },
	});
	const joined = `5:cpu,cpuacct:/a\n4:memory:/outer/a\n3:pids:/a\n2:blkio:/a\n0::/elsewhere`;
	t.like(group(JOINED, joined), {
		version: 1,
		folders: {
			cpuacct: '/sys/fs/cgroup/cpu,cpuacct/a',
			memory: '/sys/fs/cgroup/memory/a',
			blkio: '/sys/fs/cgroup/blk io/a',
		},
	});
	// Outside of what is mounted here.
	t.is(group(JOINED, joined.replace('/outer/a', '/other/a')), undefined);
	t.like(group(SECOND, `0::/kubepods.slice/docker-${ID}.scope\n`), {
		version: 2,
		folders: { memory: `/sys/fs/cgroup/kubepods.slice/docker-${ID}.scope` },
	});
	t.is(group('', first), undefined);
	t.is(group(SECOND, ''), undefined);
});

test('the group of a pod is above those of its containers, under either driver', (t) => {
	const uid = '6f1d9c2e-1111-2222-3333-444455556666';
	const of = (path: string) => {
		const hierarchies = parseHierarchies(SECOND);
		const group = hierarchies && groupOf(hierarchies, `0::${path}`);
		return group && podGroup(group, uid)?.path;
	};
	t.is(of(`/kubepods/burstable/pod${uid}/${ID}`), `/kubepods/burstable/pod${uid}`);
	const slice = `kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice`;
	t.is(
		of(`/kubepods.slice/kubepods-burstable.slice/${slice}/docker-${ID}.scope`),
		`/kubepods.slice/kubepods-burstable.slice/${slice}`,
	);
	t.is(of(`/kubepods/${ID}`), undefined);
});

async function groupOfFiles(version: 1 | 2, contents: Readonly<Record<string, string>>) {
	const root = await mkdtemp(join(tmpdir(), 'driftless-group-'));
	for (const [name, content] of Object.entries(contents)) await writeFile(join(root, name), content);
	const folders = { cpu: root, cpuacct: root, memory: root, pids: root, blkio: root };
	const files = groupFiles({ version, path: '/x', folders });
	return {
		files,
		async [Symbol.asyncDispose]() {
			files[Symbol.dispose]();
			await rm(root, { recursive: true });
		},
	};
}

test('figures of version 1: a working set is without the pages that can be dropped', async (t) => {
	await using made = await groupOfFiles(1, {
		'cpuacct.usage': '1500000000\n',
		'cpuacct.stat': 'user 100\nsystem 50\n',
		'cpu.stat': 'nr_periods 10\nnr_throttled 3\nthrottled_time 5000\n',
		'cpu.shares': '512\n',
		'cpu.cfs_quota_us': '-1\n',
		'cpu.cfs_period_us': '100000\n',
		'memory.usage_in_bytes': '5000\n',
		'memory.stat':
			'cache 1\nrss 1\ninactive_file 1\nhierarchical_memory_limit 9223372036854771712\ntotal_cache 2000\ntotal_rss 3000\ntotal_mapped_file 100\ntotal_pgfault 7\ntotal_pgmajfault 2\ntotal_inactive_file 1200\n',
		'memory.max_usage_in_bytes': '6000\n',
		'memory.failcnt': '4\n',
		'pids.current': '3\n',
		'pids.max': 'max\n',
		'blkio.throttle.io_service_bytes_recursive': '8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n8:16 Read 5\nTotal 35\n',
		'blkio.throttle.io_serviced_recursive': '8:0 Read 1\n8:0 Write 2\n',
	});
	t.deepEqual(readGroup(made.files, 1), {
		at: 1,
		cpuNanoseconds: 1.5e9,
		memory: 5000,
		workingSet: 3800,
		rss: 3000,
		pageFaults: 7,
		majorPageFaults: 2,
		swap: undefined,
		memoryLimit: undefined,
		tasks: 3,
	});
	t.deepEqual(readDetails(made.files), {
		cpuUser: 1e9,
		cpuSystem: 5e8,
		periods: 10,
		throttledPeriods: 3,
		throttled: 5000,
		cache: 2000,
		mapped: 100,
		peak: 6000,
		failures: 4,
		tasksLimit: undefined,
		readBytes: 15,
		writtenBytes: 20,
		reads: 1,
		writes: 2,
		shares: 512,
		quota: undefined,
		period: 100_000,
	});
});

test('figures of version 2', async (t) => {
	await using made = await groupOfFiles(2, {
		'cpu.stat':
			'usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 1\nnr_throttled 1\nthrottled_usec 7\n',
		'cpu.max': '50000 100000\n',
		'cpu.weight': '20\n',
		'memory.current': '5000\n',
		'memory.stat': 'anon 3000\nfile 2000\nfile_mapped 100\ninactive_file 6000\npgfault 7\npgmajfault 2\n',
		'memory.max': '10000\n',
		'memory.swap.current': '0\n',
		'memory.events': 'low 0\nmax 4\noom 0\n',
		'memory.peak': '6000\n',
		'pids.current': '3\n',
		'pids.max': '100\n',
		'io.stat':
			'8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=5 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n',
	});
	t.like(readGroup(made.files, 1), {
		cpuNanoseconds: 1.5e9,
		memory: 5000,
		workingSet: 0,
		rss: 3000,
		memoryLimit: 10_000,
		swap: 0,
		tasks: 3,
	});
	t.like(readDetails(made.files), {
		cpuUser: 1e9,
		throttled: 7000,
		failures: 4,
		readBytes: 15,
		writtenBytes: 20,
		reads: 2,
		quota: 50_000,
		tasksLimit: 100,
		shares: 500,
	});
});

test('a group that is gone has no figures', (t) => {
	const root = '/sys/fs/cgroup/none';
	const folders = { cpu: root, cpuacct: root, memory: root, pids: root, blkio: root };
	for (const version of [1, 2] as const) {
		using none = groupFiles({ version, path: '/none', folders });
		t.is(readGroup(none, 1), undefined);
		t.is(readDetails(none), undefined);
	}
});

const part = (rest: object): Part => ({
	kind: 'container',
	id: ID,
	uri: `docker://${ID}`,
	pod: { node: 'n', uid: 'u', namespace: 'default', name: 'p' },
	state: 'running',
	name: 'main',
	attempt: 0,
	sandbox: '',
	hash: '',
	backoff: 0,
	image: '',
	imageId: '',
	created: 0,
	exitCode: 0,
	oomKilled: false,
	error: '',
	tty: false,
	...rest,
});

test('a number of a process that is another’s here is not believed: the engine is asked', async (t) => {
	const usage = { at: 1, cpuNanoseconds: 5, memory: 6, workingSet: 7 };
	let answer = async (): Promise<typeof usage | undefined> => usage;
	const figures = createFigures({ parts: { usage: () => answer() } } as unknown as Engine, () => 1);
	// That of this test is in no group of a container's name.
	t.deepEqual(await figures.read(part({ pid: process.pid }), {}), usage);
	t.is(figures.details(part({ pid: process.pid })), undefined);
	t.is(await figures.read(part({ state: 'exited', pid: process.pid }), {}), undefined);
	answer = () => Promise.reject(new EngineError('failed', 'read', 'it does not'));
	t.is(await figures.read(part({}), {}), undefined);
	answer = () => Promise.reject(new EngineError('down', 'read', 'nobody there'));
	await t.throwsAsync(figures.read(part({}), {}), { message: /nobody there/ });
});

test('a rate is that between two readings, and none where the counter began anew', (t) => {
	const figures = createFigures({} as Engine, () => 0);
	t.is(figures.rate('a', 0, 1000), undefined);
	t.is(figures.rate('a', 1000, 501_000), 500_000);
	// Too soon for another one.
	t.is(figures.rate('a', 1100, 900_000), 500_000);
	t.is(figures.rate('a', 3000, 501_000), 0);
	t.is(figures.rate('a', 4000, 10), undefined);
	figures.keep(new Set());
	t.is(figures.rate('a', 5000, 20), undefined);
});

test('interfaces, without loopback; the main one is that of the default route', (t) => {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 1234567     200    3    4    0     0          0         0    98765     150    1    2    0     0       0          0
 net1:5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
`;
	const all = parseInterfaces(text);
	t.deepEqual(all[0], {
		name: 'eth0',
		receivedBytes: 1_234_567,
		receivedPackets: 200,
		receivedErrors: 3,
		receivedDropped: 4,
		sentBytes: 98_765,
		sentPackets: 150,
		sentErrors: 1,
		sentDropped: 2,
	});
	t.deepEqual(
		all.map(({ name }) => name),
		['eth0', 'net1'],
	);
	const routes = 'Iface\tDestination\tGateway\neth0\t0001A8C0\t00000000\nnet1\t00000000\t0101A8C0\n';
	t.is(mainInterface(all, routes)?.name, 'net1');
	t.is(mainInterface(all, '')?.name, 'eth0');
});

test('the machine: what is available is what is not in the working set', (t) => {
	const files: Record<string, string> = {
		stat: 'cpu  100 10 50 999 5 1 2 0 0 0\nbtime 1700000000\n',
		meminfo:
			'MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 500 kB\nInactive(file): 200 kB\nAnonPages: 250 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n',
		vmstat: 'pgfault 5\npgmajfault 1\n',
		loadavg: '0.1 0.2 0.3 2/321 999\n',
		'sys/kernel/pid_max': '4194304\n',
		'sys/kernel/threads-max': '5000\n',
	};
	t.like(
		readMachine(1, (file) => files[file] ?? ''),
		{
			startedAt: 1_700_000_000_000,
			cpuNanoseconds: 163e7,
			memoryTotal: 1000 * 1024,
			memory: 700 * 1024,
			workingSet: 500 * 1024,
			rss: 250 * 1024,
			swap: 6 * 1024,
			pageFaults: 5,
			maxTasks: 5000,
			tasks: 321,
		},
	);
	const real = readMachine(Date.now());
	t.true(real.cpuNanoseconds > 0 && real.memoryTotal > real.workingSet && (real.tasks ?? 0) > 0);
});

test('a folder takes the blocks of its files, each once whatever its names', async (t) => {
	const root = await mkdtemp(join(tmpdir(), 'driftless-du-'));
	try {
		await mkdir(join(root, 'deep/er'), { recursive: true });
		await writeFile(join(root, 'deep/er/file'), Buffer.alloc(100_000, 1));
		const before = await diskUse(root);
		t.true(before.bytes >= 100_000 && before.inodes === 4);
		await link(join(root, 'deep/er/file'), join(root, 'again'));
		const after = await diskUse(root);
		t.true(after.bytes < before.bytes + 50_000 && after.inodes === 4, JSON.stringify({ before, after }));
		t.deepEqual(await diskUse(join(root, 'none')), { bytes: 0, inodes: 0, there: false });
	} finally {
		await rm(root, { recursive: true });
	}
});

test('a folder is walked in the background, and what was found is told until it is walked again', async (t) => {
	const root = await mkdtemp(join(tmpdir(), 'driftless-du-'));
	try {
		let time = 1_000_000;
		const meter = createDiskMeter(() => time, new AbortController().signal);
		t.is(meter.use(root), undefined);
		await meter.idle();
		const first = meter.use(root);
		t.is(first?.inodes, 1);
		await writeFile(join(root, 'file'), 'x');
		t.is(meter.use(root), first);
		t.is((await meter.measure(root, 1000))?.inodes, 1);
		time += 2000;
		t.is((await meter.measure(root, 1000))?.inodes, 2);
		await rm(join(root, 'file'));
		time += 100_000_000;
		t.is(meter.use(root)?.inodes, undefined, 'what nobody asked for was forgotten');
		await meter.idle();
		t.is(meter.use(root)?.inodes, 1);
		t.is(await meter.measure(join(root, 'none'), 0), undefined);
	} finally {
		await rm(root, { recursive: true });
	}
});
