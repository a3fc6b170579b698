import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { signalProcess } from './halt.ts';

/** A member must serve within this time, in ms. */
const START_TIMEOUT_MS = 30_000;

/** A real etcd cluster of this test's own, on free ports of 127.0.0.1. */
export interface EtcdCluster extends AsyncDisposable {
	/** `HOST:PORT` of each member. */
	readonly endpoints: readonly string[];
	/** Ends all members (SIGKILL) and removes their data. */
	stop(): Promise<void>;
	/** Ends a member with SIGKILL; its data stays. */
	kill(member: number): Promise<void>;
	/** Removes the data of a killed member: it starts as a new one. */
	empty(member: number): Promise<void>;
	/** Starts a killed member on its data and its ports, and waits until it serves. */
	start(member: number): Promise<void>;
	/** Adds a member without a vote, which answers nothing but that. @returns its `HOST:PORT`, when it runs. */
	addLearner(): Promise<string>;
	/** Stops (SIGSTOP) or continues (SIGCONT) a member: it hangs without closing its connections. */
	signal(member: number, signal: 'SIGSTOP' | 'SIGCONT'): void;
}

/** Starts etcd (from the PATH) and waits until every member serves. */
export async function startEtcd({
	members = 1,
	flags = [],
	tls,
}: {
	readonly members?: 1 | 3;
	/** Files: clients need a certificate of the same authority then. */
	readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
	/** Further flags of etcd, for every member. */
	readonly flags?: readonly string[];
} = {}): Promise<EtcdCluster> {
	const folder = await mkdtemp(join(tmpdir(), 'driftless-etcd-'));
	const ports = await freePorts((members + 1) * 3);
	const memberAt = (index: number) => ({
		name: `m${index}`,
		client: `127.0.0.1:${ports[index * 3]}`,
		peer: `127.0.0.1:${ports[index * 3 + 1]}`,
		health: `http://127.0.0.1:${ports[index * 3 + 2]}`,
	});
	const all = Array.from({ length: members }, (_, index) => memberAt(index));
	const running = new Map<number, ChildProcess>();
	const scheme = tls ? 'https' : 'http';
	const secured = tls
		? ['--client-cert-auth', '--trusted-ca-file', tls.ca, '--cert-file', tls.cert, '--key-file', tls.key]
		: [];

	const launch = (index: number, state = 'new'): void => {
		const member = all[index];
		if (!member) throw new RangeError(`the cluster has no member ${index}`);
		const child = spawn(
			// A test run that is cut short calls nobody's `stop`: the kernel then ends etcd with the thread that started it.
			'setpriv',
			[
				...['--pdeathsig', 'KILL', 'etcd'],
				...['--name', member.name, '--data-dir', join(folder, member.name), '--log-level', 'error'],
				...['--listen-client-urls', `${scheme}://${member.client}`],
				...['--advertise-client-urls', `${scheme}://${member.client}`, '--listen-metrics-urls', member.health],
				...['--listen-peer-urls', `http://${member.peer}`, '--initial-advertise-peer-urls', `http://${member.peer}`],
				...['--initial-cluster', all.map(({ name, peer }) => `${name}=http://${peer}`).join(',')],
				...['--initial-cluster-state', state],
				...['--heartbeat-interval', '50', '--election-timeout', '500', ...secured, ...flags],
			],
			{ stdio: 'ignore' },
		);
		// Without a listener a missing etcd ends the test process; `ready` then tells it.
		child.on('error', () => undefined);
		running.set(index, child);
	};

	const ready = async (index: number): Promise<void> => {
		const end = Date.now() + START_TIMEOUT_MS;
		for (;;) {
			const child = running.get(index);
			if (!child?.pid || child.exitCode !== null) throw new Error('etcd did not start: is it installed (etcd-server)?');
			const healthy = await fetch(`${all[index]?.health}/health`, { signal: AbortSignal.timeout(2000) }).then(
				async (response) => response.ok && (await response.text()).includes('true'),
				() => false,
			);
			if (healthy) return;
			if (Date.now() > end) throw new Error(`etcd did not serve within ${START_TIMEOUT_MS} ms`);
			await delay(50);
		}
	};

	const kill = async (index: number): Promise<void> => {
		const child = running.get(index);
		running.delete(index);
		if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
		const exit = once(child, 'exit');
		child.kill('SIGKILL');
		await exit;
	};

	const stop = async (): Promise<void> => {
		await Promise.all([...running.keys()].map(kill));
		await rm(folder, { recursive: true, force: true });
	};

	try {
		for (const index of all.keys()) launch(index);
		await Promise.all([...all.keys()].map(ready));
	} catch (error) {
		await stop();
		throw error;
	}
	return {
		endpoints: all.map(({ client }) => client),
		stop,
		kill,
		empty: (index) => rm(join(folder, all[index]?.name ?? ''), { recursive: true, force: true }),
		async start(index) {
			launch(index);
			await ready(index);
		},
		async addLearner() {
			const learner = memberAt(all.length);
			const added = ['member', 'add', learner.name, '--learner', `--peer-urls=http://${learner.peer}`];
			const env = { ...process.env, ETCDCTL_API: '3' };
			const etcdctl = (...args: string[]) =>
				promisify(execFile)('etcdctl', [`--endpoints=${all[0]?.client}`, ...args], { env });
			await etcdctl(...added);
			all.push(learner);
			launch(all.length - 1, 'existing');
			for (const end = Date.now() + START_TIMEOUT_MS; ; await delay(50)) {
				const { stdout } = await etcdctl('member', 'list');
				if (stdout.split('\n').some((line) => line.includes(` ${learner.name},`) && line.includes(' started,')))
					return learner.client;
				if (Date.now() > end) throw new Error(`the learner did not start within ${START_TIMEOUT_MS} ms: ${stdout}`);
			}
		},
		signal(index, signal) {
			const pid = running.get(index)?.pid;
			if (pid !== undefined) signalProcess(pid, signal);
		},
		[Symbol.asyncDispose]: stop,
	};
}

/** Ports that are free now: all held at once, so that they differ. */
export async function freePorts(count: number): Promise<number[]> {
	const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
	await Promise.all(servers.map((server) => once(server, 'listening')));
	const ports = servers.map((server) => {
		const address = server.address();
		if (address === null || typeof address === 'string') throw new Error('a TCP server without a port');
		return address.port;
	});
	await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
	return ports;
}
