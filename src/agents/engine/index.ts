/** The engine: finds one, or starts and supervises one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../../log.ts';
import { answers, dockerEngine, superviseDockerd, whatIsMissing } from './docker/index.ts';
import type { Engine } from './engine.ts';

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
 * running by us, and found again at the next start. Throws, naming what to install or to start, where there is none.
 */
export async function connectEngine({ dockerHost, dataDir, say, log, signal }: ConnectOptions): Promise<Engine> {
	const named = dockerHost || process.env.DOCKER_HOST;
	if (named) {
		const engine = dockerEngine({ address: named.includes('://') ? named : `tcp://${named}`, log });
		try {
			await engine.info();
		} catch (error) {
			await engine[Symbol.asyncDispose]();
			throw new Error(`No container engine answers at ${named} (DOCKER_HOST): ${(error as Error).message}`);
		}
		return engine;
	}
	// Once there is one of our own, it holds the containers: it stays the one.
	if (!existsSync(join(dataDir, 'docker')) && (await answers(SYSTEM_SOCKET))) {
		return dockerEngine({ address: `unix://${SYSTEM_SOCKET}`, log });
	}
	const missing = whatIsMissing();
	if (missing) throw new Error(`No container engine answers at ${SYSTEM_SOCKET}. ${missing}`);
	const supervised = superviseDockerd(dataDir, log, signal);
	if (!(await answers(supervised.socketPath)))
		say?.('starting a container engine (dockerd): none runs on this machine');
	await supervised.ensure();
	return dockerEngine({
		address: `unix://${supervised.socketPath}`,
		log,
		revive: supervised.ensure,
		stop: supervised.stop,
	});
}
