/**
 * A dockerd of our own, for a machine where no engine runs. It outlives us: it is started in its own process group, keeps
 * its containers through a restart (live restore), and is found again by its pid file and socket. Only `stop` ends it.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, readFileSync } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../../log.ts';
import { mountsBelow, unmountBelow } from '../../volumes/mount.ts';

/** How long a dockerd may take to answer; the first start on a slow disk takes longest. */
const START_TIMEOUT_MS = 60_000;
/** How long dockerd may take to end; after that it is killed. */
const STOP_TIMEOUT_MS = 30_000;
/** How long to wait for the containerd of a dockerd that was killed; one that lives on after that is adopted. */
const CONTAINERD_TIMEOUT_MS = 2_000;
/** How long what has ended with dockerd may hold its folder. */
const LETTING_GO_MS = 5_000;
/** Pauses between starts of a dockerd that keeps dying. */
const RESTART_FIRST_MS = 1_000;
const RESTART_MAX_MS = 60_000;
/** One that ran so long is not one that keeps dying. */
const STEADY_MS = 60_000;
/** A Unix socket's path has at most 107 bytes; containerd's lies 26 deep in the exec root. */
const MAX_SOCKET_PATH = 100;

export interface Supervised {
	readonly socketPath: string;
	/** Returns when dockerd answers, after starting it if need be. Throws when it cannot be started, with the last lines of its log. */
	ensure(): Promise<void>;
	/**
	 * Ends dockerd. Its containers run on (live restore) until a next one adopts them. Where none does, no mount of its folder
	 * stays and nothing of what lives while it runs.
	 */
	stop(): Promise<void>;
}

/** What is missing for a dockerd of our own, as a sentence that says what to do; undefined where nothing is. */
export function whatIsMissing(): string | undefined {
	if (process.getuid?.() !== 0) {
		return 'Start Docker (for instance `sudo systemctl start docker`), set DOCKER_HOST to an engine that runs, or run driftless as root so that it starts one itself.';
	}
	const missing = ['dockerd', 'containerd', 'iptables'].filter((program) => !onPath(program));
	if (missing.length === 0) return undefined;
	return `${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} not installed. Install Docker Engine: \`apt-get install --no-install-recommends docker.io iptables\` on Debian and Ubuntu, or see https://docs.docker.com/engine/install/.`;
}

/** Where the dockerd of a data directory keeps what lives while it runs: short, since a socket's path has a limit. */
export function execRootOf(dataDir: string): string {
	return `/run/driftless-${createHash('sha256').update(join(dataDir, 'docker')).digest('hex').slice(0, 8)}`;
}

/** The dockerd whose data lies in `dataDir`/docker. Nothing is started before `ensure`. */
export function superviseDockerd(dataDir: string, log: Log, signal: AbortSignal): Supervised {
	const root = join(dataDir, 'docker');
	const execRoot = execRootOf(dataDir);
	const own = join(dataDir, 'docker.sock');
	const socketPath = own.length <= MAX_SOCKET_PATH ? own : join(execRoot, 'docker.sock');
	const pidFile = join(root, 'dockerd.pid');
	const logFile = join(root, 'dockerd.log');
	let pause = 0;
	let startedAt = 0;
	/** The dockerd that has answered. */
	let steady: number | undefined;
	let ensuring: Promise<void> | undefined;

	const alive = (): number | undefined => {
		try {
			const pid = Number(readFileSync(pidFile, 'utf8'));
			// The number may belong to another process by now.
			return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(root) ? pid : undefined;
		} catch {
			return undefined;
		}
	};

	async function start(): Promise<number | undefined> {
		await mkdir(root, { recursive: true, mode: 0o711 });
		await mkdir(execRoot, { recursive: true, mode: 0o711 });
		await rm(pidFile, { force: true });
		await containerdGone(join(execRoot, 'containerd', 'containerd.pid'));
		await using output = await open(logFile, 'a', 0o600);
		const options = ['--data-root', root, '--exec-root', execRoot, '--host', `unix://${socketPath}`];
		const child = spawn('dockerd', [...options, '--pidfile', pidFile, '--live-restore'], {
			detached: true,
			stdio: ['ignore', output.fd, output.fd],
		});
		await new Promise<void>((resolve, reject) => {
			child.once('spawn', resolve);
			child.once('error', (error) => reject(new Error(`cannot start dockerd: ${error.message}`)));
		});
		child.on('exit', (code, reason) => {
			// One that never answered is the error of who waits for it.
			if (steady === child.pid) log.warn({ code, signal: reason }, 'dockerd has ended');
		});
		// It is handed over to the system on purpose: it outlives this process, and the pid file finds it again.
		child.unref();
		startedAt = Date.now();
		return child.pid;
	}

	async function ensure(): Promise<void> {
		if (await answers(socketPath)) return;
		let pid = alive();
		if (!pid) {
			pause =
				startedAt === 0 || Date.now() - startedAt > STEADY_MS
					? 0
					: Math.min(Math.max(pause * 2, RESTART_FIRST_MS), RESTART_MAX_MS);
			if (pause > 0) await delay(pause, undefined, { signal });
			log.info({ socket: socketPath, log: logFile }, 'starting dockerd');
			pid = await start();
		}
		const deadline = Date.now() + START_TIMEOUT_MS;
		while (!(await answers(socketPath))) {
			signal.throwIfAborted();
			if (!pid || !running(pid)) throw new Error(`dockerd has ended at its start: ${await lastLines(logFile)}`);
			if (Date.now() > deadline) throw new Error(`dockerd (pid ${pid}) does not answer: ${await lastLines(logFile)}`);
			await delay(100, undefined, { signal });
		}
		steady = pid;
	}

	return {
		socketPath,
		ensure() {
			ensuring ??= ensure().finally(() => {
				ensuring = undefined;
			});
			return ensuring;
		},
		async stop() {
			const pid = alive();
			if (!pid) return;
			process.kill(pid, 'SIGTERM');
			const deadline = Date.now() + STOP_TIMEOUT_MS;
			while (running(pid)) {
				if (Date.now() > deadline) process.kill(pid, 'SIGKILL');
				await delay(50);
			}
			await tidy(root, execRoot, signal);
		},
	};
}

/**
 * One that started after a kill takes the mount that dockerd makes of its own folder for somebody else's, and leaves it when it
 * ends: the folder then cannot be removed. What is mounted within belongs to containers that run on, and needs all of it.
 */
async function tidy(root: string, execRoot: string, signal: AbortSignal): Promise<void> {
	if ((await mountsBelow(root)).some((point) => point !== root) || (await mountsBelow(execRoot)).length > 0) return;
	await letGo(root, signal);
	await rm(execRoot, { recursive: true, force: true });
}

/** What dockerd has started may end a moment after it, and has files in the folder open until then: a mount in use stays. */
async function letGo(root: string, signal: AbortSignal): Promise<void> {
	const deadline = Date.now() + LETTING_GO_MS;
	for (;;) {
		try {
			return await unmountBelow(root, signal);
		} catch (error) {
			if (Date.now() > deadline) throw error;
			await delay(50);
		}
	}
}

/**
 * A dockerd that was killed takes its containerd with it, a moment later. One that starts within that moment, or before
 * anyone has waited for the dead process, takes it for a living one and gives up after ten seconds.
 */
async function containerdGone(pidFile: string): Promise<void> {
	const pid = Number(await readFile(pidFile, 'utf8').catch(() => '0'));
	for (let waited = 0; pid > 0 && running(pid); waited += 20) {
		if (waited > CONTAINERD_TIMEOUT_MS) return;
		await delay(20);
	}
	await rm(pidFile, { force: true });
}

/** Whether a Docker engine answers at a Unix socket. */
export function answers(socketPath: string): Promise<boolean> {
	return new Promise((resolve) => {
		const ping = request({ socketPath, path: '/_ping', timeout: 2_000, agent: false }, (response) => {
			response.resume();
			resolve(response.statusCode === 200);
		});
		ping.on('timeout', () => ping.destroy(new Error('timeout')));
		ping.on('error', () => resolve(false));
		ping.end();
	});
}

function running(pid: number): boolean {
	try {
		// A child that has ended but was not yet waited for still has a directory in /proc.
		return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
	} catch {
		return false;
	}
}

function onPath(program: string): boolean {
	const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
	return folders.some((folder) => {
		try {
			accessSync(join(folder, program), constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}

/** The reasons in dockerd's log: its last lines above the level of information. */
async function lastLines(file: string): Promise<string> {
	const text = await readFile(file, 'utf8').catch(() => '');
	const lines = text.trim().split('\n').slice(-50);
	const faults = lines.filter((line) => !/level=(info|debug|warning)/.test(line));
	return (faults.length > 0 ? faults : lines).slice(-3).join(' | ') || `see ${file}`;
}
