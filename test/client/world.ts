/** A real API on a real SQLite store in a fresh directory, and a client of it in process. */
import type { ExecutionContext } from 'ava';
import type { OpenApi } from '../../src/api/index.ts';
import { type Cache, type Client, type Clock, createCache, inProcess } from '../../src/client/index.ts';
import type { Kind, KubeObject } from '../../src/kinds/index.ts';
import type { Log } from '../../src/log.ts';
import { type Controller, type Metrics, runControllers } from '../../src/reconcile/index.ts';
import { openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import type { HandClock } from './clock.ts';

export interface World {
	readonly client: Client;
	readonly api: OpenApi;
	readonly cache: Cache;
	/** Aborted at the end of the test. */
	readonly signal: AbortSignal;
}

export const caller = { name: 'admin', groups: ['system:masters'], userAgent: 'test' };

/** Everything is closed when the test is over. */
export const world = async (t: ExecutionContext): Promise<World> => worldOf(t, await openTestApi());

/** The world of an API that has been opened; it is closed with the test, too. */
export function worldOf(t: ExecutionContext, opened: { readonly api: OpenApi } & AsyncDisposable): World {
	const stop = new AbortController();
	const client = inProcess(opened.api, caller);
	const cache = createCache(client, { signal: stop.signal, log: silentLog });
	t.teardown(async () => {
		stop.abort();
		await cache[Symbol.asyncDispose]();
		await opened[Symbol.asyncDispose]();
	});
	return { client, api: opened.api, cache, signal: stop.signal };
}

export interface Running {
	readonly metrics: Metrics;
	/** Stops the controllers and waits until they have. */
	stop(): Promise<void>;
}

/** Runs controllers in the world until its end. */
export function run(
	t: ExecutionContext,
	world: World,
	controllers: Controller[],
	now = () => Date.now(),
	clock?: Clock,
	log: Log = silentLog,
): Running {
	const stop = new AbortController();
	const metrics: Metrics = new Map();
	const { client, cache } = world;
	const signal = AbortSignal.any([world.signal, stop.signal]);
	const running = runControllers({ client, cache, controllers, log, now, signal, metrics, clock });
	const end = async () => {
		stop.abort();
		await running;
	};
	t.teardown(end);
	return { metrics, stop: end };
}

/** Settles when the controllers have dealt with the object as it was written, as far as they can now. */
export async function settled<T extends KubeObject>(
	w: World,
	{ metrics }: Running,
	kind: Kind<T>,
	written: T,
): Promise<void> {
	const informer = w.cache.informer(kind);
	await informer.until(() => informer.revision >= Number(written.metadata.resourceVersion), w.signal);
	const busy = () => [...metrics.values()].some(({ depth, running }) => depth + running.size > 0);
	do await new Promise((resolve) => setImmediate(resolve));
	while (busy());
}

/** How many turns of the event loop nothing is to be done in, before it counts as rest: a write comes back by a watch. */
const TURNS_OF_REST = 10;

/** Turns the clock on, a second at a time, in each of which the controllers do what falls due. */
export async function pass({ metrics }: Running, clock: HandClock, seconds: number): Promise<void> {
	const busy = () => [...metrics.values()].some(({ depth, running }) => depth + running.size > 0);
	for (let left = seconds; left >= 0; left--) {
		for (let rest = 0; rest < TURNS_OF_REST; rest = busy() ? 0 : rest + 1)
			await new Promise((resolve) => setImmediate(resolve));
		if (left > 0) clock.advance(Math.min(left, 1) * 1000);
	}
}

/** The first answer that is not undefined, asked for again after each change of any object of the kinds given by `on`. */
export async function eventually<T>(
	world: World,
	kinds: readonly Parameters<Cache['informer']>[0][],
	ask: () => Promise<T | undefined> | T | undefined,
	patienceMs = 20_000,
): Promise<T> {
	const signal = AbortSignal.timeout(patienceMs);
	for (;;) {
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		const abort = () => reject(new Error(`not within ${patienceMs / 1000} s: ${ask}`));
		signal.addEventListener('abort', abort, { once: true });
		using subscriptions = new DisposableStack();
		let started = false;
		for (const kind of kinds) subscriptions.use(world.cache.informer(kind).on(() => started && resolve()));
		started = true;
		const answer = await ask();
		if (answer !== undefined) {
			promise.catch(() => undefined);
			signal.removeEventListener('abort', abort);
			return answer;
		}
		await promise;
		signal.removeEventListener('abort', abort);
	}
}

/** undefined once the object is not found. */
export async function found<T extends KubeObject>(get: Promise<T>): Promise<T | undefined> {
	try {
		return await get;
	} catch (error) {
		if (error instanceof Error && 'reason' in error && error.reason === 'NotFound') return undefined;
		throw error;
	}
}
