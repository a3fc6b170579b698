/**
 * Two machines for tests of the network: each a network namespace with an engine of its own, joined by a link as on one
 * switch. On the first runs `driftless up`, on the second `driftless agent`.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type HttpClient, loadKubeconfig, overHttp } from '../../src/client/index.ts';
import { stopDns } from '../../src/proxy/index.ts';
import { eventually } from '../agents/node.ts';
import { exampleImage, startEngine, type TestEngine } from '../testbed/engine.ts';

const run = promisify(execFile);
const peer = fileURLToPath(new URL('./peer.ts', import.meta.url));
const driftless = fileURLToPath(new URL('../../bin/driftless', import.meta.url));
/** What has no answer by then has none: what is neither served nor refused hangs for longer, or ends in another error. */
const PROMPT_S = 5;

export interface Outcome {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** Runs a program; a code other than 0 is an outcome, not an error. */
export async function outcome(program: string, args: readonly string[], input?: string): Promise<Outcome> {
	const child = execFile(program, args, { maxBuffer: 64 << 20 });
	let [stdout, stderr] = ['', ''];
	child.stdout?.on('data', (chunk: string) => {
		stdout += chunk;
	});
	child.stderr?.on('data', (chunk: string) => {
		stderr += chunk;
	});
	child.stdin?.on('error', () => {});
	child.stdin?.end(input ?? '');
	const [code] = await once(child, 'close');
	return { code: Number(code ?? -1), stdout, stderr };
}

export interface Machine {
	readonly name: string;
	readonly engine: TestEngine;
	/** Its address on the link between the machines. */
	readonly address: string;
	/** Runs a program in its network. */
	run(...command: readonly string[]): Promise<Outcome>;
	/** Standard output of a program in its network. Throws with what it said when it fails. */
	ok(...command: readonly string[]): Promise<string>;
	/** Runs a program in the container `main` of a pod on it. */
	inPod(pod: string, ...command: readonly string[]): Promise<Outcome>;
	/** The network of a pod on it, or its own. */
	place(pod?: string): Promise<Place>;
	/** Starts driftless on it. */
	start(): Promise<void>;
	/** Ends driftless on it. */
	stop(signal: NodeJS.Signals): Promise<void>;
}

/** A network to ask from, and to answer in. */
export interface Place {
	/** GETs a page by wget. `refused` and `late` (not at once) are answers too. */
	get(url: string): Promise<string>;
	/** Starts one end of a conversation in it, see peer.ts; resolves once it is ready. */
	peer(mode: string, ...args: readonly string[]): Promise<Peer>;
}

export interface Peer extends AsyncDisposable {
	/** Sends a line and waits for the next answer. */
	say(line: string): Promise<string>;
}

export interface Cluster extends AsyncDisposable {
	readonly first: Machine;
	readonly second: Machine;
	/** A machine apart, of no cluster, that has the first for its gateway. */
	readonly stranger: Place;
	readonly client: HttpClient;
}

export const STRANGER = '198.51.100.2';

export async function startCluster(): Promise<Cluster> {
	await using stack = new AsyncDisposableStack();
	const one = stack.use(await startEngine());
	const two = stack.use(await startEngine());
	await Promise.all([one, two].map(exampleImage));
	const addresses = ['10.202.0.1', '10.202.0.2'] as const;
	await one.exec(`ip link add peers type veth peer name peers netns /run/netns/${two.netns}`);
	await one.exec(`ip address add ${addresses[0]}/24 dev peers && ip link set peers up`);
	await two.exec(`ip address add ${addresses[1]}/24 dev peers && ip link set peers up`);

	const apart = `${one.netns}out`;
	// The number is this run's own: what has it already was left by one that was killed.
	await run('ip', ['netns', 'delete', apart]).catch(() => {});
	await run('ip', ['netns', 'add', apart]);
	stack.defer(async () => void (await run('ip', ['netns', 'delete', apart])));
	await one.exec(`ip link add out type veth peer name eth0 netns /run/netns/${apart}`);
	await one.exec('ip address add 198.51.100.1/24 dev out && ip link set out up');
	const outside = `--net=/run/netns/${apart}`;
	for (const command of [
		...['link set lo up', `address add ${STRANGER}/24 dev eth0`, 'link set eth0 up'],
		'route add default via 198.51.100.1',
	])
		await run('nsenter', [outside, 'ip', ...command.split(' ')]);

	const kubeconfig = join(one.dataDir, 'kubeconfig');
	const remote = join(two.dataDir, 'kubeconfig');
	const first = machine('first', one, addresses[0], () => [
		...['--data-dir', one.dataDir, 'up', '--advertise-address', addresses[0], '--node-name', 'first'],
	]);
	const second = machine('second', two, addresses[1], () => [
		...['--data-dir', two.dataDir, '--kubeconfig', remote],
		...['agent', '--address', addresses[1], '--node-name', 'second'],
	]);
	// Cluster DNS goes on without driftless, as it should.
	for (const folder of [join(one.dataDir, 'dns'), join(two.dataDir, 'agent/dns')]) stack.defer(() => stopDns(folder));
	stack.defer(() => first.stop('SIGKILL'));
	stack.defer(() => second.stop('SIGKILL'));
	await first.start();
	await mkdir(two.dataDir, { recursive: true });
	const config = await readFile(kubeconfig, 'utf8');
	await writeFile(remote, config.replace('https://127.0.0.1:', `https://${addresses[0]}:`));
	const server = `https://${one.address}:6443`;
	const client = stack.use(
		await overHttp({ ...(await loadKubeconfig(kubeconfig)), server, serverName: hostname() }, 'test'),
	);
	await second.start();
	const owned = stack.move();
	return { first, second, stranger: placeAt(outside), client, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function machine(name: string, engine: TestEngine, address: string, args: () => readonly string[]): Machine {
	let child: ChildProcess | undefined;
	const within = [`--net=/run/netns/${engine.netns}`];
	const runIn = (...command: readonly string[]) => outcome('nsenter', [...within, ...command]);
	const containerOf = async (pod: string) => {
		const filters = { label: [`io.kubernetes.pod.name=${pod}`, 'io.kubernetes.container.name=main'] };
		const [container] = await engine.docker.listContainers({ filters });
		if (!container) throw new Error(`no container of ${pod} on ${name}`);
		return container.Id;
	};
	return {
		name,
		engine,
		address,
		run: runIn,
		async ok(...command) {
			const { code, stdout, stderr } = await runIn(...command);
			if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}: ${stderr}${stdout}`);
			return stdout;
		},
		async inPod(pod, ...command) {
			const { State } = await engine.docker.getContainer(await containerOf(pod)).inspect();
			const namespaces = ['--mount', '--net', '--ipc', '--uts', '--pid'];
			return outcome('nsenter', ['--target', String(State.Pid), ...namespaces, ...command]);
		},
		async place(pod) {
			if (!pod) return placeAt(...within);
			const { State } = await engine.docker.getContainer(await containerOf(pod)).inspect();
			return placeAt(`--net=/proc/${State.Pid}/ns/net`);
		},
		async start() {
			const env = { ...process.env, DOCKER_HOST: engine.dockerHost };
			const started = spawn('nsenter', [...within, driftless, ...args(), '--log-level', 'info'], {
				env,
				stdio: ['ignore', 'pipe', 'pipe'],
			});
			child = started;
			const said: string[] = [];
			for (const stream of [started.stdout, started.stderr])
				createInterface({ input: stream }).on('line', (line) => {
					said.push(line);
					if (process.env.DRIFTLESS_TEST_LOG) console.error(`${name}: ${line}`);
				});
			await eventually(`driftless runs on ${name}: ${said.join('\n')}`, async () => {
				if (started.exitCode !== null) throw new Error(`driftless has ended on ${name}: ${said.join('\n')}`);
				return said.some((line) => /driftless is ready|works for/.test(line));
			});
		},
		async stop(signal) {
			const running = child;
			child = undefined;
			if (!running || running.exitCode !== null || running.signalCode) return;
			const gone = once(running, 'exit');
			running.kill(signal);
			await gone;
		},
	};
}

function placeAt(...within: readonly string[]): Place {
	return {
		async get(url) {
			const wget = ['timeout', String(PROMPT_S), 'busybox', 'wget', '-q', '-O-', url];
			const { code, stdout, stderr } = await outcome('nsenter', [...within, ...wget]);
			if (code === 0) return stdout.trim();
			if (code === 124) return 'late';
			return stderr.includes('refused') ? 'refused' : stderr.trim();
		},
		async peer(mode, ...args) {
			const child = spawn('nsenter', [...within, process.execPath, peer, mode, ...args], {
				stdio: ['pipe', 'pipe', 'inherit'],
			});
			const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
			const next = async () => String((await lines.next()).value);
			const greeting = await next();
			if (greeting !== 'ready') throw new Error(`${mode} ${args.join(' ')}: ${greeting}`);
			return {
				say(line) {
					child.stdin.write(`${line}\n`);
					return next();
				},
				async [Symbol.asyncDispose]() {
					const gone = once(child, 'close');
					child.kill();
					await gone;
				},
			};
		},
	};
}

export { eventually };
