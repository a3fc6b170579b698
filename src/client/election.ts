/**
 * Leader election by Lease, as Kubernetes components do it (client-go, tools/leaderelection): who holds the Lease and keeps
 * renewing it leads. A Lease is judged by how long it has not changed before our own eyes, so that clocks need not agree.
 */
import { randomUUID } from 'node:crypto';
import { ApiError, LEASE_WRITER, Lease } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import type { Client } from './client.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import { describe, faults } from './fault.ts';

/** A Lease that has not changed for so long is free. */
export const LEASE_MS = 15_000;
/** A leader that could not renew for so long stops leading: well before somebody else may take the Lease. */
export const RENEW_DEADLINE_MS = 10_000;
/** How often a leader renews, and how often the others look. */
export const RETRY_MS = 2_000;
const NAMESPACE = 'kube-system';

export interface ElectionOptions {
	/** Of the Lease in kube-system. */
	readonly name: string;
	/**
	 * Who we are: stable, so that a restarted process takes its own Lease again at once, and unlike every other's. Where a copy
	 * of us turns up all the same, it is told by the mark that each process writes: one of the two leads, and the fault is logged.
	 */
	readonly identity: string;
	/** Milliseconds since the epoch, for the times written into the Lease. */
	readonly now: () => number;
	readonly signal: AbortSignal;
	readonly log: Log;
	readonly clock?: Clock;
}

/**
 * Calls `run` while we lead: its signal aborts when leadership is lost, and it is called again when it is regained. `lease` is
 * the Lease as it was taken; `holds` tells whether the Lease was renewed in time, at the very moment: after a stop of the process sooner than the signal. Returns
 * when `options.signal` aborts, after `run` has ended and the Lease was given back, or when `run` ends by itself. Rejects
 * with what `run` throws, also after giving the Lease back.
 */
export async function runWhileLeader(
	client: Client,
	options: ElectionOptions,
	run: (signal: AbortSignal, holds: () => boolean, lease: Lease) => Promise<void>,
): Promise<void> {
	const { signal, log, name, identity } = options;
	const candidate = createCandidate(client, options);
	while (!signal.aborted) {
		const lease = await acquire(candidate, options);
		if (signal.aborted || !lease) break;
		log.info({ lease: name, identity }, 'leading');
		if (await lead(candidate, options, (lost, holds) => run(lost, holds, lease))) break;
		log.warn({ lease: name, identity }, 'leadership lost');
	}
	await candidate.release();
}

/** Tries until it holds the Lease, which it returns, or the signal aborts. */
async function acquire(
	candidate: Candidate,
	{ name, log, signal, clock }: ElectionOptions,
): Promise<Lease | undefined> {
	const known = faults(log);
	while (!signal.aborted) {
		try {
			if ((await candidate.hold()) === 'held') return candidate.lease();
			known.healed('lease', 'the lease can be read again', { lease: name });
		} catch (error) {
			known.failed('lease', error, 'the lease cannot be taken; trying on', { lease: name });
		}
		await pause(RETRY_MS, signal, clock);
	}
	return undefined;
}

/** Runs and renews. True when the run is over for good, false when leadership was lost and the run was stopped. */
async function lead(
	candidate: Candidate,
	options: ElectionOptions,
	run: (signal: AbortSignal, holds: () => boolean) => Promise<void>,
): Promise<boolean> {
	const { name, log, clock = systemClock } = options;
	const lost = new AbortController();
	const over = new AbortController();
	const signal = AbortSignal.any([options.signal, lost.signal]);
	let renewed = clock.now();
	const renewing = renew(
		candidate,
		{ ...options, signal: AbortSignal.any([options.signal, over.signal]), clock },
		(at) => {
			renewed = at;
		},
	).then(() => lost.abort(new Error(`the lease ${name} was lost`)));
	try {
		await run(signal, () => clock.now() - renewed <= RENEW_DEADLINE_MS);
		return !lost.signal.aborted || options.signal.aborted;
	} catch (error) {
		if (lost.signal.aborted && !options.signal.aborted) {
			log.debug({ lease: name, error: describe(error) }, 'the run ended with an error after leadership was lost');
			return false;
		}
		await candidate.release();
		throw error;
	} finally {
		over.abort();
		await renewing;
	}
}

/** Renews until the Lease is lost or the signal aborts, and tells of each time. */
async function renew(candidate: Candidate, options: ElectionOptions, tell: (at: number) => void): Promise<void> {
	const { name, log, signal, clock = systemClock } = options;
	const known = faults(log);
	let renewed = clock.now();
	for (;;) {
		await pause(RETRY_MS, signal, clock);
		if (signal.aborted) return;
		// The process may have been stopped meanwhile: who comes too late does not lead, whatever the Lease says.
		if (clock.now() - renewed > RENEW_DEADLINE_MS) return;
		const asked = clock.now();
		const deadline = new AbortController();
		try {
			const held = await Promise.race([
				candidate.hold(),
				pause(renewed + RENEW_DEADLINE_MS - asked, AbortSignal.any([signal, deadline.signal]), clock).then(
					() => 'late' as const,
				),
			]);
			if (held === 'taken' || held === 'late') return;
			if (held === 'contested') continue;
			renewed = asked;
			tell(asked);
			known.healed('lease', 'the lease is renewed again', { lease: name });
		} catch (error) {
			known.failed('lease', error, 'the lease cannot be renewed; trying on', { lease: name });
		} finally {
			deadline.abort();
		}
	}
}

interface Candidate {
	/**
	 * Takes or renews the Lease. `taken`: somebody else holds it. `contested`: somebody else wrote it meanwhile, so it must be
	 * looked at again. Throws when the API cannot tell.
	 */
	hold(): Promise<'held' | 'taken' | 'contested'>;
	/** The Lease as last seen. */
	lease(): Lease | undefined;
	/** Gives the Lease back if we hold it. Never throws. */
	release(): Promise<void>;
}

function createCandidate(client: Client, options: ElectionOptions): Candidate {
	const { name, identity, now, log, clock = systemClock } = options;
	/** The Lease as last seen, and since when it has been so. */
	let seen: { readonly lease: Lease; readonly at: number } | undefined;
	/** Marks the writes of this process, and whether there are any. */
	const own = randomUUID();
	let wrote = false;
	/** Whether another process writes under our name. */
	let twin = false;

	const observe = (lease: Lease) => {
		if (seen?.lease.metadata.resourceVersion !== lease.metadata.resourceVersion) seen = { lease, at: clock.now() };
		return lease;
	};
	const read = async () => {
		try {
			return observe(await client.get(Lease, { name, namespace: NAMESPACE }));
		} catch (error) {
			if (error instanceof ApiError && error.reason === 'NotFound') return undefined;
			throw error;
		}
	};
	/** Whether we may take the Lease that was just read: nobody has it, we had it before a restart, or its holder is silent for too long. */
	const isFree = ({ spec }: Lease) =>
		!spec.holderIdentity ||
		(spec.holderIdentity === identity && !twin) ||
		(seen && clock.now() - seen.at >= durationOf(spec));
	/** Looks for another's mark under our name. Before our first write it is that of the process before us. */
	const lookForTwin = ({ metadata, spec }: Lease) => {
		if (twin || !wrote || spec.holderIdentity !== identity || metadata.annotations?.[LEASE_WRITER] === own) return;
		twin = true;
		log.error({ lease: name, identity }, 'another server has the identity of this one: its data directory is a copy');
	};

	const candidate: Candidate = {
		lease: () => seen?.lease,
		async hold() {
			// A leader knows its Lease: it reads it anew only after its own write met another's.
			const mine = seen?.lease.spec.holderIdentity === identity ? seen.lease : undefined;
			const lease = mine ?? (await read());
			if (lease && lease !== mine) {
				lookForTwin(lease);
				if (!isFree(lease)) return 'taken';
			}
			try {
				const next = planLease(lease, name, identity, now(), own);
				wrote = true;
				observe(lease ? await client.update(Lease, next) : await client.create(Lease, next));
				return 'held';
			} catch (error) {
				if (!(error instanceof ApiError && ['Conflict', 'AlreadyExists', 'NotFound'].includes(error.reason)))
					throw error;
				// Without its namespace the Lease can never be made: that is no other candidate.
				if (!lease && error.reason === 'NotFound') throw error;
				seen = undefined;
				// A leader learns at once whether it still is one.
				return mine ? candidate.hold() : 'contested';
			}
		},
		async release() {
			if (seen?.lease.spec.holderIdentity !== identity) return;
			const { lease } = seen;
			seen = undefined;
			try {
				const spec = { ...lease.spec, holderIdentity: undefined, leaseDurationSeconds: 1, renewTime: microTime(now()) };
				await client.update(Lease, { ...lease, spec });
			} catch (error) {
				log.info({ lease: name, cause: describe(error) }, 'the lease could not be given back; it ends by itself');
			}
		},
	};
	return candidate;
}

/** The Lease with us as its holder; `writer` marks the process that writes it. */
export function planLease(
	lease: Lease | undefined,
	name: string,
	identity: string,
	now: number,
	writer: string,
): Lease {
	const renewTime = microTime(now);
	const mine = lease?.spec.holderIdentity === identity;
	return {
		apiVersion: 'coordination.k8s.io/v1',
		kind: 'Lease',
		metadata: {
			...(lease?.metadata ?? { name, namespace: NAMESPACE }),
			annotations: { ...lease?.metadata.annotations, [LEASE_WRITER]: writer },
		},
		spec: {
			...lease?.spec,
			holderIdentity: identity,
			leaseDurationSeconds: LEASE_MS / 1000,
			renewTime,
			acquireTime: mine ? (lease.spec.acquireTime ?? renewTime) : renewTime,
			leaseTransitions: mine ? (lease.spec.leaseTransitions ?? 0) : lease ? (lease.spec.leaseTransitions ?? 0) + 1 : 0,
		},
	};
}

const durationOf = (spec: Lease['spec']) => (spec.leaseDurationSeconds ?? LEASE_MS / 1000) * 1000;

/** A MicroTime of the API. */
export const microTime = (ms: number) => new Date(ms).toISOString().replace('Z', '000Z');
