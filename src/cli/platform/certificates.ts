/** Renews the certificates of a running server before they end. */
import type { Pki } from '../../api/index.ts';
import { type Clock, faults, pause, systemClock } from '../../client/index.ts';
import type { Log } from '../../log.ts';

/** How often it is looked whether a certificate comes close to its end, or the machine has new addresses, in ms. */
const LOOK_MS = 3_600_000;
/** The same after a failure. */
const RETRY_MS = 60_000;

export interface CertificatesOptions {
	readonly log: Log;
	readonly signal: AbortSignal;
	readonly clock?: Clock;
}

export interface Certificates {
	/** Calls `write` now, and again each time that certificates have been renewed. Rejects where it fails the first time. */
	follow(write: () => Promise<void>): Promise<void>;
}

/** Looks until the signal aborts. */
export function keepCertificates(pki: Pki, { log, signal, clock = systemClock }: CertificatesOptions): Certificates {
	const known = faults(log);
	const writers: (() => Promise<void>)[] = [];
	/** What was renewed may have been written in part: it is then written once more. */
	let unwritten = false;
	const look = async () => {
		try {
			if (await pki.renew()) unwritten = true;
			if (unwritten) {
				for (const write of writers) await write();
				unwritten = false;
				log.info({ directory: pki.directory }, 'certificates were renewed');
			}
			known.healed('certificates', 'certificates can be renewed again');
			return LOOK_MS;
		} catch (error) {
			known.failed('certificates', error, 'certificates cannot be renewed; trying on');
			return RETRY_MS;
		}
	};
	const run = async () => {
		for (let wait = LOOK_MS; ; wait = await look()) {
			await pause(wait, signal, clock);
			if (signal.aborted) return;
		}
	};
	void run();
	return {
		async follow(write) {
			await write();
			writers.push(write);
		},
	};
}
