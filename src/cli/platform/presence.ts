/** A server tells that it is there, and where, by a Lease of its own that it renews; when it stops it takes the Lease away. */
import { type Client, type Clock, faults, pause, systemClock } from '../../client/index.ts';
import { ApiError, Lease } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import { type ApiServer, SERVER_RENEW_MS, serverLease } from '../../reconcile/index.ts';

export interface PresenceOptions {
	readonly identity: string;
	readonly server: ApiServer;
	/** Milliseconds since the epoch. */
	readonly now: () => number;
	readonly log: Log;
	readonly clock?: Clock;
}

/** Renews until disposed. */
export function announceServer(client: Client, options: PresenceOptions): AsyncDisposable {
	const { identity, server, now, log, clock = systemClock } = options;
	const stop = new AbortController();
	const known = faults(log);
	const run = async () => {
		while (!stop.signal.aborted) {
			const body = serverLease(identity, server, now());
			try {
				await client.patch(Lease, body.metadata, { type: 'apply', body, force: true });
				known.healed('presence', 'this server can tell again that it is there');
			} catch (error) {
				known.failed('presence', error, 'this server cannot tell that it is there; trying on');
			}
			await pause(SERVER_RENEW_MS, stop.signal, clock);
		}
		try {
			await client.delete(Lease, serverLease(identity, server, now()).metadata);
		} catch (error) {
			if (!(error instanceof ApiError && error.reason === 'NotFound'))
				log.info({ cause: String(error) }, 'the lease of this server could not be taken away; it ends by itself');
		}
	};
	const running = run();
	return {
		async [Symbol.asyncDispose]() {
			stop.abort();
			await running;
		},
	};
}
