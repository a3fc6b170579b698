/**
 * A real container engine for tests: a dockerd in a network namespace of its own, as a machine apart, with a veth pair to
 * this one and a route to its pods. Needs root. Everything is gone after its disposal.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { connectEngine, type Engine, ensureExampleImage } from '../../src/agents/index.ts';
import { signalProcess } from './halt.ts';
import { silentLog } from './silent-log.ts';

/** A runtime that the engine has beside its default. */
export const OTHER_RUNTIME = 'other';

const run = promisify(execFile);
const ROOT = '/tmp/driftless-testbed';

export interface EngineOptions {
	/** Containers survive the daemon's end. Default false. */
	readonly liveRestore?: boolean;
	/** Addresses of its pods, routed to it. Default 10.244.N.0/24 of the N-th engine. */
	readonly podCidr?: string;
	/** A folder of programs that the daemon finds before all others, and more arguments of it. */
	readonly programs?: string;
	readonly args?: readonly string[];
}

export interface TestEngine extends AsyncDisposable {
	readonly socketPath: string;
	/** `unix://...`, for DOCKER_HOST. */
	readonly dockerHost: string;
	readonly docker: Docker;
	/** Name of the network namespace. */
	readonly netns: string;
	/** Its address as seen from here. */
	readonly address: string;
	readonly podCidr: string;
	/** A folder for the agent on it, gone with it. */
	readonly dataDir: string;
	/** Runs a shell command in the namespace; returns its standard output. */
	exec(command: string): Promise<string>;
	/** Ends the daemon in an orderly way and starts it again. */
	restart(): Promise<void>;
	/** Kills the daemon. */
	kill(): Promise<void>;
	/** Starts the daemon after `kill`. */
	start(): Promise<void>;
	/** Stops (SIGSTOP) or continues (SIGCONT) what begins processes for the daemon: what it is asked for meanwhile is done later. */
	signalContainerd(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void>;
}

/** Starts an engine; takes about three seconds. */
export async function startEngine(options: EngineOptions = {}): Promise<TestEngine> {
	const { number, folder } = await claim();
	const netns = `drifttest${number}`;
	const link = `dtest${number}`;
	const address = `10.201.${number}.2`;
	const podCidr = options.podCidr ?? `10.244.${number}.0/24`;
	const socketPath = join(folder, 'docker.sock');
	const docker = new Docker({ socketPath });
	const within = ['--net=/run/netns/'.concat(netns)];
	let daemon: ChildProcess | undefined;

	const exec = async (command: string) => (await run('nsenter', [...within, 'sh', '-c', command])).stdout;

	async function start(): Promise<void> {
		await using output = await open(join(folder, 'dockerd.log'), 'a');
		const paths = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')];
		const rest = ['-H', `unix://${socketPath}`, '--pidfile', join(folder, 'dockerd.pid')];
		// One more runtime than the default: the same program by another name.
		rest.push('--add-runtime', `${OTHER_RUNTIME}=runc`);
		if (options.liveRestore) rest.push('--live-restore');
		const PATH = options.programs ? `${options.programs}:${process.env.PATH}` : process.env.PATH;
		const child = spawn('nsenter', [...within, 'dockerd', ...paths, ...rest, ...(options.args ?? [])], {
			env: { ...process.env, PATH },
			stdio: ['ignore', output.fd, output.fd],
		});
		daemon = child;
		while (!(await docker.ping().catch(() => undefined))) {
			if (child.exitCode !== null || child.signalCode) {
				throw new Error(`dockerd has ended: ${(await readFile(join(folder, 'dockerd.log'), 'utf8')).slice(-1_000)}`);
			}
			await delay(30);
		}
		// Docker drops what comes from outside to a container and was not published: let pod traffic pass, as a node does.
		const rule = `DOCKER-USER -d ${podCidr} -j ACCEPT`;
		await exec(`iptables -C ${rule} 2>/dev/null || iptables -I ${rule}`);
	}

	const containerd = join(folder, 'exec/containerd/containerd.pid');

	async function signalContainerd(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
		signalProcess(Number(await readFile(containerd, 'utf8')), signal);
	}

	async function end(signal: NodeJS.Signals): Promise<void> {
		const child = daemon;
		daemon = undefined;
		if (!child || child.exitCode !== null || child.signalCode) return;
		const gone = new Promise((resolve) => child.once('exit', resolve));
		child.kill(signal);
		await gone;
		// Its containerd dies a moment later, and dockerd takes a dead one that nobody has waited for for a living one.
		const pid = await readFile(containerd, 'utf8').catch(() => '');
		// By its command line, since numbers of processes come round again.
		while (pid && isContainerdOf(folder, Number(pid))) await delay(10);
		await rm(containerd, { force: true });
	}

	try {
		await run('ip', ['netns', 'add', netns]);
		await run('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns]);
		await run('ip', ['address', 'add', `10.201.${number}.1/30`, 'dev', link]);
		await run('ip', ['link', 'set', link, 'up']);
		await exec(`ip link set lo up && ip address add ${address}/30 dev eth0 && ip link set eth0 up`);
		await exec(`ip route add default via 10.201.${number}.1 && echo 1 > /proc/sys/net/ipv4/ip_forward`);
		await run('ip', ['route', 'replace', podCidr, 'via', address]);
		await letThrough(link);
		await start();
	} catch (error) {
		await end('SIGKILL');
		await tearDown(number);
		throw error;
	}

	return {
		socketPath,
		dockerHost: `unix://${socketPath}`,
		docker,
		netns,
		address,
		podCidr,
		dataDir: join(folder, 'agent'),
		exec,
		start,
		async restart() {
			await end('SIGTERM');
			await start();
		},
		kill: () => end('SIGKILL'),
		signalContainerd,
		async [Symbol.asyncDispose]() {
			try {
				if (!daemon) await start();
				const containers = await docker.listContainers({ all: true });
				await Promise.all(containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
			} catch (error) {
				// What made a test fail is not to be hidden by this.
				const log = await readFile(join(folder, 'dockerd.log'), 'utf8').catch(String);
				console.error(`the test engine ${number} could not remove its containers: ${error}: ${log.slice(-1_000)}`);
			}
			await end('SIGTERM');
			await tearDown(number);
		},
	};
}

/** Gives the engine the image `driftless/example:1`: busybox with a shell, httpd, wget and nc. */
export async function exampleImage(engine: TestEngine): Promise<string> {
	const abort = new AbortController();
	await using ours: Engine = await connectEngine({
		dockerHost: engine.dockerHost,
		dataDir: engine.dataDir,
		log: silentLog,
		signal: abort.signal,
	});
	if (!(await ensureExampleImage(ours))) throw new Error('the tests need /bin/busybox of the package busybox-static');
	return 'driftless/example:1';
}

/** Takes the first free number; takes over that of a test run that has died. */
async function claim(): Promise<{ number: number; folder: string }> {
	await mkdir(ROOT, { recursive: true });
	for (let number = 1; number < 250; number++) {
		const folder = join(ROOT, String(number));
		const owner = join(folder, 'owner');
		try {
			await mkdir(folder);
		} catch {
			const pid = await readFile(owner, 'utf8').catch(() => undefined);
			if (!pid || existsSync(`/proc/${pid}`)) continue;
			try {
				// Of several that find the dead one, the one that gets its mark away clears up.
				await rename(owner, `${owner}.taken`);
				if ((await readFile(`${owner}.taken`, 'utf8')) !== pid) {
					// Another has cleared up meanwhile, and this is its mark.
					await rename(`${owner}.taken`, owner);
					continue;
				}
				await tearDown(number);
				await mkdir(folder);
			} catch {
				continue;
			}
		}
		// Of a test run that has folders of its own: what is torn down by its name would be taken from that.
		if (existsSync(`/run/netns/drifttest${number}`)) {
			await rm(folder, { recursive: true });
			continue;
		}
		await writeFile(owner, String(process.pid));
		return { number, folder };
	}
	throw new Error(`no free test engine below ${ROOT}`);
}

/** An engine of this machine's own drops what it forwards: not what goes between the nodes of a test. */
async function letThrough(link: string): Promise<void> {
	for (const rule of forwarding(link)) await run('iptables', ['-w', '10', '-I', ...rule]);
}

const forwarding = (link: string) => ['-i', '-o'].map((side) => ['FORWARD', side, link, '-j', 'ACCEPT']);

async function tearDown(number: number): Promise<void> {
	const folder = join(ROOT, String(number));
	for (const pid of readdirSync('/proc').map(Number)) {
		const command = pid > 0 && pid !== process.pid && isOurs(pid) ? commandLine(pid) : '';
		// The daemon, its containerd, and the shims of containers that a dead test run has left.
		if (/^(\S*\/)?(dockerd|containerd|containerd-shim\S*)\0/.test(command) && command.includes(`${folder}/`)) {
			process.kill(pid, 'SIGKILL');
		}
	}
	await run('ip', ['link', 'delete', `dtest${number}`]).catch(() => undefined);
	for (const rule of forwarding(`dtest${number}`))
		await run('iptables', ['-w', '10', '-D', ...rule]).catch(() => undefined);
	await run('ip', ['netns', 'delete', `drifttest${number}`]).catch(() => undefined);
	// Innermost first; what is busy for a moment longer is detached.
	const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
	const ours = mounts.map((line) => line.split(' ')[4] ?? '').filter((path) => path.startsWith(`${folder}/`));
	for (const path of ours.reverse()) await run('umount', ['--lazy', path]).catch(() => undefined);
	await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** Whether a process sees the processes that we see: in a namespace of its own a test run has the same folders, and they are others. */
function isOurs(pid: number): boolean {
	try {
		return readlinkSync(`/proc/${pid}/ns/pid`) === readlinkSync('/proc/self/ns/pid');
	} catch {
		return false;
	}
}

const isContainerdOf = (folder: string, pid: number) => {
	const command = commandLine(pid);
	return /^(\S*\/)?containerd\0/.test(command) && command.includes(`${folder}/`);
};

function commandLine(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
	} catch {
		return '';
	}
}
