/** The engine: finds one, or starts and supervises one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../../log.ts';
import { claimEngine, type EngineKind, engineOfDataDir } from '../node/identity.ts';
import { answers, dockerEngine, type Supervised, superviseDockerd, whatIsMissing } from './docker/index.ts';
import type { Engine } from './engine.ts';
import { simulatedEngine } from './simulated/index.ts';

export * from './engine.ts';
export * from './error.ts';
export * from './image.ts';
export * from './pod.ts';
export * from './process.ts';

const SYSTEM_SOCKET = '/var/run/docker.sock';

export interface ConnectOptions {
	/** An address as in DOCKER_HOST. Defaults to that variable, then to the system's socket, then to an engine of our own. */
	readonly dockerHost?: string;
	/** Where an engine of our own keeps its data (`docker/`) and its socket. */
	readonly dataDir: string;
	/** Told what takes its time, a line each, for a person who waits. */
	readonly say?: (line: string) => void;
	readonly log: Log;
	readonly signal: AbortSignal;
}

/**
 * An engine that answers: the one that is named; else the system's; else, as root, a dockerd that is started and kept
 * running by us, and found again at the next start. Or one that runs nothing, where that is asked for. Throws, naming what to
 * install or to start, where there is none, and where the node of the data directory has an engine of the other kind.
 */
export async function connectEngine(options: ConnectOptions & { readonly kind?: EngineKind }): Promise<Engine> {
	await claimEngine(options.dataDir, options.kind ?? 'docker');
	const found = await findEngine(options);
	if (found) return found;
	const missing = whatIsMissing();
	if (missing) throw new Error(`No container engine answers at ${SYSTEM_SOCKET}. ${missing}`);
	const { dataDir, say, log, signal } = options;
	say?.('starting a container engine (dockerd): none runs on this machine');
	const supervised = superviseDockerd(dataDir, log, signal);
	await supervised.ensure();
	return ownEngine(supervised, log);
}

/** As `connectEngine`, but starts nothing: undefined where none answers. */
export async function findEngine({ dockerHost, dataDir, log, signal }: ConnectOptions): Promise<Engine | undefined> {
	if (engineOfDataDir(dataDir) === 'simulated') return simulatedEngine();
	const named = dockerHost || process.env.DOCKER_HOST;
	if (named) return connectNamed(named, log);
	if (!hasOwn(dataDir))
		return (await answers(SYSTEM_SOCKET)) ? dockerEngine({ address: `unix://${SYSTEM_SOCKET}`, log }) : undefined;
	const supervised = superviseDockerd(dataDir, log, signal);
	return (await answers(supervised.socketPath)) ? ownEngine(supervised, log) : undefined;
}

/** Once there is one of our own, it holds the containers: it stays the one. */
const hasOwn = (dataDir: string) => existsSync(join(dataDir, 'docker'));

const ownEngine = ({ socketPath, ensure, stop }: Supervised, log: Log) =>
	dockerEngine({ address: `unix://${socketPath}`, log, revive: ensure, stop });

async function connectNamed(named: string, log: Log): Promise<Engine> {
	const engine = dockerEngine({ address: named.includes('://') ? named : `tcp://${named}`, log });
	try {
		await engine.info();
	} catch (error) {
		await engine[Symbol.asyncDispose]();
		throw new Error(`No container engine answers at ${named} (DOCKER_HOST): ${(error as Error).message}`);
	}
	return engine;
}
