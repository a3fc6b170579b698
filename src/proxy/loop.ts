/** Work that is done once after any number of pokes, and now and then without one, in case something was missed. */
import { type Faults, faults } from '../client/index.ts';
import type { Log } from '../log.ts';

/** Pokes that come within so many ms are one, if nothing else is asked for. */
const GATHER_MS = 10;
/** Between attempts of work that fails, in ms. */
const RETRY_MS = 2_000;

export interface Loop {
	/** The work is to be done, or done again if it is being done now. */
	poke(): void;
	/** Does the work at once and whenever it is due, one after the other, until the signal aborts. Never rejects. */
	run(signal: AbortSignal): Promise<void>;
}

export interface LoopOptions {
	/** What the work is, for the log: `service rules`. */
	readonly name: string;
	/** What throws is logged once and tried again. */
	readonly work: () => Promise<void>;
	/** Without a poke the work is done this long after the last time, in ms. */
	readonly everyMs: number;
	/** Pokes that come within so many ms are one. */
	readonly gatherMs?: number;
	readonly log: Log;
}

export function createLoop({ name, work, everyMs, gatherMs = GATHER_MS, log }: LoopOptions): Loop {
	const known: Faults = faults(log);
	let due = false;
	let wake = () => {};
	/** Settles after `ms`, when the signal aborts, and on a poke if pokes count. */
	const rest = (ms: number, signal: AbortSignal, pokes: boolean) =>
		new Promise<void>((resolve) => {
			const end = () => {
				clearTimeout(timer);
				signal.removeEventListener('abort', end);
				wake = () => {};
				resolve();
			};
			const timer = setTimeout(end, ms);
			signal.addEventListener('abort', end, { once: true });
			if (pokes) wake = end;
			if (signal.aborted || (pokes && due)) end();
		});
	return {
		poke() {
			due = true;
			wake();
		},
		async run(signal) {
			while (!signal.aborted) {
				due = false;
				try {
					await work();
					known.healed(name, `${name}: in place again`);
				} catch (error) {
					if (signal.aborted) return;
					known.failed(name, error, `${name}: not in place; it is tried again every ${RETRY_MS / 1_000} s`);
					await rest(RETRY_MS, signal, false);
					continue;
				}
				await rest(everyMs, signal, true);
				await rest(gatherMs, signal, false);
			}
		},
	};
}
