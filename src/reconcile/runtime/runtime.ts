/**
 * Runs controllers: a queue each, workers that reconcile its keys, retries with backoff. Before each reconcile the
 * informers have the controller's own writes (docs/decisions/0005-controllers.md).
 */
import { type Clock, systemClock } from '../../client/clock.ts';
import { recordEvents } from '../../client/events.ts';
import { type Faults, faults } from '../../client/fault.ts';
import type { Cache, Client } from '../../client/index.ts';
import { createQueue, FIRST_RETRY_MS, type Queue } from '../../client/queue.ts';
import { onJump } from '../../client/wall-clock.ts';
import { rememberWrites, type Writing } from '../../client/written.ts';
import { ApiError, type Key } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import type { Context, Controller, Session } from './controller.ts';
import { declaredCache, declaredKinds } from './declared.ts';
import { inputsOf } from './inputs.ts';
import { type ControllerMetrics, type Metrics, metricsOf, type Outcome } from './metrics.ts';
import { follow, followEverything } from './sources.ts';
import { type Term, whileTerm } from './term.ts';

/** How many keys a controller reconciles at once when it does not say. */
const WORKERS = 4;
/** A cache that lacks the controller's own writes for so long is told of: it follows the API again, or nothing goes on. */
const LATE_MS = 30_000;

export interface RuntimeOptions extends Term {
	readonly client: Client;
	readonly cache: Cache;
	readonly controllers: readonly Controller[];
	readonly log: Log;
	/** Milliseconds since the epoch. */
	readonly now: () => number;
	/** Filled while the controllers run. */
	readonly metrics?: Metrics;
	readonly clock?: Clock;
}

/** Runs the controllers until the signal aborts, then waits for what is under way; nothing is left when it settles. */
export async function runControllers(options: RuntimeOptions): Promise<void> {
	// All indexes before any informer is asked to list, so that each object is indexed once, as it comes.
	for (const { indexes } of options.controllers) {
		for (const index of indexes ?? []) options.cache.informer(index.kind).addIndex(index.name, index.of);
	}
	const queues = new Set<Queue>();
	onJump(options, (byMs) => {
		options.log.info({ byMs }, 'the wall clock has jumped; what waits for a time is looked at');
		for (const queue of queues) queue.hurry();
	});
	await Promise.all(options.controllers.map((controller) => runController(controller, options, queues)));
}

async function runController(controller: Controller, options: RuntimeOptions, queues: Set<Queue>): Promise<void> {
	const { now, signal, clock = systemClock } = options;
	const log = named(options.log, controller.name);
	const cache = declaredCache(options.cache, controller);
	const { workers = WORKERS } = controller;
	const metrics = metricsOf(options.metrics ?? new Map(), controller.name);
	metrics.workers = workers;
	const client = whileTerm(options, options.client.as(controller.name));
	using stack = new DisposableStack();

	const queue = createQueue({ signal, clock, metrics });
	queues.add(queue);
	const informers = declaredKinds(controller).map((kind) => cache.informer(kind));
	stack.use(follow(controller, cache, queue));
	const everything = stack.use(followEverything(controller, cache, client.registry, queue.add));
	informers.push(...everything.more());
	try {
		await Promise.all(informers.map((informer) => informer.synced));
	} catch (error) {
		if (signal.aborted) return;
		throw error;
	}
	if (signal.aborted) return;

	const writing = rememberWrites(client, informers);
	if (controller.everything) {
		const look = () => {
			for (const informer of everything.more()) writing.follow(informer);
		};
		stack.use(client.registry.onChange(look));
		look();
	}
	const component = controller.component ?? `${controller.name}-controller`;
	const events = recordEvents(client, { component, now, log, signal, clock });
	const known = faults(log);
	const { input, follow: followInputs } = inputsOf(controller, cache, queue.add);
	const context: Context = { client: writing.client, cache, input, events, now, clock, log, signal };
	controller.triggers?.(queue.add, context);
	const session =
		'open' in controller
			? stack.use(controller.open(context, queue.add))
			: { reconcile: (key: Key) => controller.reconcile(key, context) };
	const worker: Worker = { session, context, queue, writing, metrics, clock, faults: known };
	const following = followInputs({ clock, signal, faults: known });
	await Promise.all([following, ...Array.from({ length: workers }, () => work(worker))]);
	await events.ended;
}

interface Worker {
	readonly session: Pick<Session, 'reconcile'>;
	readonly context: Context;
	readonly queue: Queue;
	readonly writing: Writing;
	readonly metrics: ControllerMetrics;
	readonly clock: Clock;
	readonly faults: Faults;
}

async function work(worker: Worker): Promise<void> {
	const { queue, metrics, clock } = worker;
	for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
		metrics.running.set(key, clock.now());
		await reconcile(worker, key);
		metrics.running.delete(key);
	}
}

/** Reconciles a key once and tells the queue how it went. Never throws. */
async function reconcile({ session, context, queue, writing, metrics, clock, faults }: Worker, key: Key) {
	const { log, signal } = context;
	if (writing.pending) {
		const wait = () => faults.failed('own writes', 'own writes are not in it', 'the cache is behind; waiting for it');
		using _late = clock.after(LATE_MS, wait);
		try {
			await writing.seen(signal);
		} catch {
			// Rejects only when the signal aborts, and then the queue is closed.
			return queue.done(key);
		}
		faults.healed('own writes', 'the cache has caught up');
	}
	const start = clock.now();
	let outcome: Outcome = 'success';
	try {
		const again = await session.reconcile(key);
		if (again) outcome = 'requeue_after';
		queue.done(key, again?.after);
		faults.healed(key, 'reconciled after failures', { key });
	} catch (error) {
		outcome = 'error';
		const delay = queue.retry(key);
		if (signal.aborted) return;
		// Two writers met, or what was to be written has just gone: the next look, at what is now, settles it.
		if (is(error, 'Conflict') || (is(error, 'NotFound') && delay <= FIRST_RETRY_MS))
			log.debug({ key, error: error.message, delay }, 'it has changed meanwhile, reconciles again');
		else faults.failed(key, error, 'reconcile failed; it is retried with backoff', { key });
	} finally {
		metrics.works.observe((clock.now() - start) / 1000);
		metrics.outcomes[outcome]++;
	}
}

const is = (error: unknown, reason: string): error is ApiError => error instanceof ApiError && error.reason === reason;

/** A log whose lines name the controller. */
function named(log: Log, controller: string): Log {
	return {
		debug: (fields, message) => log.debug({ controller, ...fields }, message),
		info: (fields, message) => log.info({ controller, ...fields }, message),
		warn: (fields, message) => log.warn({ controller, ...fields }, message),
		error: (fields, message) => log.error({ controller, ...fields }, message),
	};
}
