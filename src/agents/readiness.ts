/**
 * Whether the node can run pods, as one state machine. The engine is connected and its containers are listed; then what
 * pods need is prepared; then the node is ready, until the engine is lost.
 *
 *     down -- listed --> preparing -- prepared --> ready
 *      ^                  | ^   |                    |
 *      |                  | +---+ failed: again      |
 *      +------ lost ------+--------------------------+
 */
import type { Log } from '../log.ts';
import type { Wheel } from './wheel.ts';

/** Pause before what could not be prepared is tried again. */
const RETRY_MS = 2_000;

export interface Readiness {
	/** Why the node cannot run pods, as its condition Ready says it; undefined where it can. */
	readonly fault: string | undefined;
	/** Settles once it can for the first time. */
	readonly reached: Promise<void>;
	/** The engine answers, and its containers are known. */
	listed(): void;
	/** The engine does not answer any more. */
	lost(cause: string): void;
	/** Settles when nothing is being prepared. */
	idle(): Promise<void>;
}

export interface ReadinessOptions {
	readonly wheel: Wheel;
	readonly log: Log;
	readonly signal: AbortSignal;
	/** Makes what pods need; begun anew after each listing. Throws why it cannot be made. */
	prepare(): Promise<void>;
	/** `fault` is another one. */
	changed(): void;
}

export function createReadiness({ wheel, log, signal, prepare, changed }: ReadinessOptions): Readiness {
	const reached = Promise.withResolvers<void>();
	// Nobody has to wait for it.
	reached.promise.catch(() => undefined);
	let fault: string | undefined = 'container runtime network not ready: the node has no podCIDR yet';
	let connected = false;
	/** Counts what has happened to the engine: what was prepared before counts no more. */
	let generation = 0;
	let working: Promise<void> | undefined;

	const move = (next: string | undefined) => {
		if (next === fault) return;
		fault = next;
		changed();
	};
	const work = async () => {
		for (let mine = -1; connected && mine !== generation && !signal.aborted; ) {
			mine = generation;
			try {
				await prepare();
				if (mine !== generation || signal.aborted) continue;
				move(undefined);
				reached.resolve();
			} catch (error) {
				if (mine !== generation || signal.aborted) continue;
				const why = `container runtime network not ready: ${(error as Error).message}`;
				if (why !== fault) log.warn({ cause: why }, 'the node cannot run pods yet; trying on');
				move(why);
				wheel.after(RETRY_MS, () => {
					if (mine === generation) begin();
				});
			}
		}
	};
	const begin = () => {
		working ??= work().finally(() => {
			working = undefined;
		});
	};
	return {
		get fault() {
			return fault;
		},
		reached: reached.promise,
		listed() {
			connected = true;
			generation++;
			begin();
		},
		lost(cause) {
			connected = false;
			generation++;
			move(`container runtime is down: ${cause}`);
		},
		idle: async () => {
			await working;
		},
	};
}
