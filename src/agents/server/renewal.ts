/** Replaces the serving certificate of a running agent before it ends. */
import { type Clock, faults, pause, systemClock } from '../../client/index.ts';
import type { Log } from '../../log.ts';
import type { ServingCertificate } from './certificate.ts';

/** How often it is looked whether the certificate comes close to its end, in ms, and after a failure. */
const LOOK_MS = 3_600_000;
const RETRY_MS = 60_000;

export interface Renewal {
	/** The certificate that is to be shown now: another one than before when that has come close to its end. */
	load(): Promise<ServingCertificate>;
	/** Tells the API which fingerprints are this node's. */
	publish(fingerprints: readonly string[]): Promise<void>;
	/** Shows the certificate to those who connect from now on. */
	show(certificate: ServingCertificate): void;
	readonly log: Log;
	readonly signal: AbortSignal;
	readonly clock?: Clock;
}

/** Looks until the signal aborts. There is no moment at which the API would not know what it is shown. */
export async function renewServing(shown: ServingCertificate, renewal: Renewal): Promise<void> {
	const { load, publish, show, log, signal, clock = systemClock } = renewal;
	const known = faults(log);
	let current = shown;
	for (let wait = LOOK_MS; ; ) {
		await pause(wait, signal, clock);
		if (signal.aborted) return;
		wait = LOOK_MS;
		try {
			const next = await load();
			if (next.fingerprint !== current.fingerprint) {
				await publish([current.fingerprint, next.fingerprint]);
				show(next);
				current = next;
				await publish([next.fingerprint]);
				log.info({ fingerprint: next.fingerprint }, 'the serving certificate of the agent was renewed');
			}
			known.healed('certificate', 'the serving certificate of the agent can be renewed again');
		} catch (error) {
			if (signal.aborted) return;
			known.failed('certificate', error, 'the serving certificate of the agent cannot be renewed; trying on');
			wait = RETRY_MS;
		}
	}
}
