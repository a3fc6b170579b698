/**
 * What a controller is: level-triggered, its request a key and never an event. Everything hard (queue, cache, retry,
 * leader election) is in runtime.ts and invisible here. `for`, `owns` and `watches` are data, so that the flow can be drawn.
 */
import type { Client } from '../../client/client.ts';
import type { Clock } from '../../client/clock.ts';
import type { EventRecorder } from '../../client/events.ts';
import type { Cache, Delta, IndexFunction } from '../../client/informer.ts';
import type { Kind } from '../../kinds/kind.ts';
import type { Key, KubeObject } from '../../kinds/object.ts';
import type { Registry } from '../../kinds/registry.ts';
import type { Log } from '../../log.ts';
import type { Input } from './inputs.ts';

export interface Context {
	/** Writes carry the controller's name as field manager, and are refused once the signal has aborted (term.ts). */
	readonly client: Client;
	/**
	 * Holds the kinds that the controller declares, and no others. When reconcile is called it has seen every write that the
	 * controller made through `client` before (also for other keys): no bookkeeping of own writes is needed.
	 */
	readonly cache: Cache;
	readonly events: EventRecorder;
	/** What a declared input is now; undefined before it was first told. Throws for one that is not declared. */
	readonly input: <V>(input: Input<V>) => V | undefined;
	/** Milliseconds since the epoch, for what is written and what is read in objects. It may be set, forward and back. */
	readonly now: () => number;
	/** For how long something lasts. */
	readonly clock: Clock;
	readonly log: Log;
	readonly signal: AbortSignal;
}

/**
 * Look at the key again after so many milliseconds, even if nothing changes. When the wall clock jumps every key that waits is
 * looked at, so that a wait may be computed from a time of day.
 */
export interface Again {
	readonly after: number;
}

export type Controller<T extends KubeObject = KubeObject> = Declaration<T> & (Stateless | Stateful);

interface Declaration<T extends KubeObject> {
	readonly name: string;
	/** Who its Events are from. Default `NAME-controller`. */
	readonly component?: string;
	/** A change of an object of this kind queues its key. Absent where the keys are of another sort. */
	readonly for?: Kind<T>;
	/** A change of an object of these kinds queues its controlling owner, where that is of the kind `for`. */
	readonly owns?: readonly Kind[];
	/** A change of an object of `kind` queues the keys that `keys` finds for it (called with the new and with the old object). */
	readonly watches?: readonly Watch[];
	/** Called for each change of an object of every kind that the registry has, also of kinds that it gets later: the keys to queue. */
	readonly everything?: (change: Change, cache: Cache, registry: Registry) => Iterable<Key>;
	/** What it reads beside objects. A change queues the keys that the input finds. */
	readonly inputs?: readonly Input[];
	/** Indexes that reconcile reads, made before the first list. */
	readonly indexes?: readonly Index[];
	/**
	 * Queues keys for other reasons than a change of an object of these kinds: a push, a webhook, a folder. Called once when the
	 * controller starts; what it starts ends with context.signal.
	 */
	readonly triggers?: (queue: (key: Key) => void, context: Context) => void;
	/** How many keys are reconciled at once; never one key twice at a time. Default 4. */
	readonly workers?: number;
}

interface Stateless {
	/**
	 * Makes the world as the object says. Throwing retries with backoff. The object may be gone: read it from the cache. The
	 * cache is complete (every kind declared is listed) and has the controller's own writes.
	 */
	reconcile(key: Key, context: Context): Promise<Again | undefined>;
}

/** A controller that keeps a state of its own between its keys. */
interface Stateful {
	/** Called each time that the controller starts, when the cache is complete. `queue` queues a key. */
	open(context: Context, queue: (key: Key) => void): Session;
}

/** One run of a controller with the state that it keeps; disposed of when the controller has stopped. */
export interface Session extends Disposable {
	/** As that of a controller without state. */
	reconcile(key: Key): Promise<Again | undefined>;
}

/** A change of an object of any kind, and the kind. */
export interface Change extends Delta<KubeObject> {
	readonly kind: Kind;
}

export interface Watch<T extends KubeObject = KubeObject> extends WatchOptions<T> {
	readonly kind: Kind<T>;
	keys(object: T, cache: Cache): Iterable<Key>;
}

export interface WatchOptions<T extends KubeObject = KubeObject> {
	/** What of an object matters: a change that leaves it as it was queues nothing. Default: all of it. */
	part?(object: T): unknown;
	/** Changes are gathered for so many ms, and each key is looked at once for all of them. Default 0. */
	readonly gatherMs?: number;
}

export interface Index<T extends KubeObject = KubeObject> {
	readonly kind: Kind<T>;
	readonly name: string;
	readonly of: IndexFunction<T>;
}

/** Keeps a controller's types when it is declared and forgets them for the runtime's list. */
export function controller<T extends KubeObject>(declaration: Controller<T>): Controller {
	return declaration as unknown as Controller;
}

export function watch<T extends KubeObject>(
	kind: Kind<T>,
	keys: (object: T, cache: Cache) => Iterable<Key>,
	options: WatchOptions<T> = {},
): Watch {
	return { kind, keys, ...options } as unknown as Watch;
}

export function index<T extends KubeObject>(kind: Kind<T>, name: string, of: IndexFunction<T>): Index {
	return { kind, name, of } as unknown as Index;
}
