/** Renews the certificates of a running server before they end, and says when the authority, which it cannot renew, comes to its own. */
import { X509Certificate } from 'node:crypto';
import type { Pki } from '../../api/index.ts';
import { type Clock, faults, pause, systemClock } from '../../client/index.ts';
import type { Log } from '../../log.ts';

/** How often it is looked whether a certificate comes close to its end, or the machine has new addresses, in ms. */
const LOOK_MS = 3_600_000;
/** The same after a failure. */
const RETRY_MS = 60_000;

/** How long before the end of the authority it is told of, in ms: it takes a person, and every kubeconfig. */
const AUTHORITY_WARNING_MS = 365 * 24 * 3_600_000;

export interface CertificatesOptions {
	readonly log: Log;
	readonly signal: AbortSignal;
	readonly clock?: Clock;
	/** Milliseconds since the epoch. */
	readonly now?: () => number;
}

export interface Certificates {
	/** Calls `write` now, and again each time that certificates have been renewed. Rejects where it fails the first time. */
	follow(write: () => Promise<void>): Promise<void>;
}

/** Looks until the signal aborts. */
export function keepCertificates(pki: Pki, options: CertificatesOptions): Certificates {
	const { log, signal, clock = systemClock, now = Date.now } = options;
	const known = faults(log);
	const writers: (() => Promise<void>)[] = [];
	/** What was renewed may have been written in part: it is then written once more. */
	let unwritten = false;
	const { validTo } = new X509Certificate(pki.authority.cert);
	let told = false;
	const tellOfEnd = () => {
		if (told || Date.parse(validTo) - now() > AUTHORITY_WARNING_MS) return;
		told = true;
		log.warn(
			{ ends: new Date(validTo).toISOString() },
			'the certificate authority comes to its end; replace it before',
		);
	};
	const look = async () => {
		tellOfEnd();
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
	tellOfEnd();
	void run();
	return {
		async follow(write) {
			await write();
			writers.push(write);
		},
	};
}
