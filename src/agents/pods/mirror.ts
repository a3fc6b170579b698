/**
 * A copy of the engine's containers of this node: listed at each connection and in between, inspected one by one as they
 * change. It is the agent's only memory of what runs, and begins anew with each process. Events tell of a change at once;
 * the listings find what no event has told of, and an engine that holds its connections but answers no more.
 */
import pLimit from 'p-limit';
import type { Log } from '../../log.ts';
import { type Container, type Engine, EngineError, type EngineEvent } from '../engine/engine.ts';
import type { Wheel } from '../wheel.ts';
import { labels } from './names.ts';

/** How many containers are inspected at once when all are listed. */
const INSPECTIONS = 8;
/** Pause between two listings. */
export const RELIST_MS = 10_000;

export interface Mirror {
	/** Whether the copy is true: the engine answers and its containers have been listed since. */
	readonly connected: boolean;
	/** Why not, while it is not. */
	readonly cause: string;
	/** The containers of a pod. */
	of(uid: string): Iterable<Container>;
	/** Why a container of the pod is not known though the engine has it; undefined where all are known. */
	hidden(uid: string): string | undefined;
	/** Of every pod that has a container. */
	uids(): Iterable<string>;
	get(id: string): Container | undefined;
	/** Looks at the container now. */
	refresh(id: string): Promise<Container | undefined>;
	/** The container was removed by us. */
	forget(id: string): void;
	/** What it has left as its last words, once it has ended. */
	message(id: string): string | undefined;
	/** Settles when the engine's events are followed no more. */
	readonly ended: Promise<void>;
}

export interface MirrorOptions {
	readonly engine: Engine;
	readonly node: string;
	readonly wheel: Wheel;
	readonly log: Log;
	readonly signal: AbortSignal;
	/** A container of the pod has changed. */
	changed(uid: string): void;
	/** All containers have been listed. */
	listed(): void;
	/** The engine does not answer any more. */
	lost(cause: string): void;
	imageChanged(event: Extract<EngineEvent, { type: 'image' }>): void;
	/** Reads what an ended container has left. */
	lastWords(container: Container): Promise<string | undefined>;
}

export function mirrorContainers(options: MirrorOptions): Mirror {
	const { engine, node, wheel, log, signal, changed, listed, lost, imageChanged, lastWords } = options;
	const containers = new Map<string, Container>();
	const byPod = new Map<string, Set<string>>();
	const words = new Map<string, string>();
	const inspecting = new Map<string, Promise<Container | undefined>>();
	/** By id: what could not be looked at when it should have been, and is at the next listing. */
	const missed = new Map<string, { readonly uid: string | undefined; readonly cause: string }>();
	const limit = pLimit(INSPECTIONS);
	let following = false;
	let connected = false;
	let cause = 'it has not answered yet';

	const drop = (id: string) => {
		// One that was hidden has held up its pod as well.
		const uid = containers.get(id)?.labels[labels.podUid] ?? missed.get(id)?.uid;
		missed.delete(id);
		words.delete(id);
		if (uid === undefined) return;
		containers.delete(id);
		const siblings = byPod.get(uid);
		siblings?.delete(id);
		if (siblings?.size === 0) byPod.delete(uid);
		changed(uid);
	};
	const listen = async (container: Container) => {
		try {
			words.set(container.id, (await lastWords(container)) ?? '');
		} catch (error) {
			if (isDown(error)) throw error;
			// What has happened to the container is more than what it has said of it.
			words.set(container.id, '');
			warn(container.id, error, 'the last words of a container could not be read');
		}
	};
	const keep = async (container: Container) => {
		const uid = container.labels[labels.podUid];
		if (!uid) return;
		const { id, state } = container;
		if (state === 'exited' && container.labels[labels.type] === 'container' && !words.has(id)) await listen(container);
		containers.set(id, container);
		missed.delete(id);
		const siblings = byPod.get(uid) ?? new Set();
		byPod.set(uid, siblings.add(id));
		changed(uid);
	};
	const inspect = async (id: string) => {
		const container = await engine.containers.inspect(id);
		if (!container) drop(id);
		else if (container.labels[labels.node] === node) await keep(container);
		return container;
	};
	/** One inspection of a container after the other, so that an older answer never follows a newer one. */
	const refresh = (id: string): Promise<Container | undefined> => {
		const before = inspecting.get(id)?.catch(() => undefined) ?? Promise.resolve();
		const mine = before.then(() => inspect(id));
		inspecting.set(id, mine);
		const done = () => {
			if (inspecting.get(id) === mine) inspecting.delete(id);
		};
		mine.then(done, done);
		return mine;
	};
	const warn = (id: string, error: unknown, message: string) =>
		log.warn({ container: id, cause: (error as Error).message }, message);
	/** One container that cannot be looked at keeps none of the others from it. Throws where the engine is down. */
	const look = async (id: string, uid: string | undefined) => {
		try {
			await refresh(id);
		} catch (error) {
			if (!missed.has(id) && !isDown(error) && !signal.aborted)
				warn(id, error, 'a container could not be inspected; trying on');
			missed.set(id, { uid, cause: (error as Error).message });
			if (isDown(error)) throw error;
		}
	};
	/** All of them, or only those that are not as the copy has them. */
	const list = async (all: boolean) => {
		const present = new Map((await engine.containers.list({ [labels.node]: node })).map((one) => [one.id, one]));
		const doubtful = new Set<string>();
		for (const { id, state } of present.values())
			if (all || missed.has(id) || containers.get(id)?.state !== state) doubtful.add(id);
		// One that was made after the list is not missing: the inspection decides.
		for (const id of [...containers.keys(), ...missed.keys()]) if (!present.has(id)) doubtful.add(id);
		const uidOf = (id: string) => (present.get(id) ?? containers.get(id))?.labels[labels.podUid];
		await Promise.all([...doubtful].map((id) => limit(() => look(id, uidOf(id)))));
	};
	const lose = (why: string) => {
		connected = false;
		cause = why;
		lost(why);
	};

	/** Listings come one after the other, and count for the connection that they were begun in. */
	let listing: Promise<void> = Promise.resolve();
	let connection = 0;
	let relist: Disposable | undefined;
	const listAgain = (all: boolean): void => {
		relist?.[Symbol.dispose]();
		const mine = connection;
		listing = listing.then(async () => {
			if (signal.aborted || mine !== connection) return;
			try {
				await list(all || !connected);
				if (mine !== connection || signal.aborted) return;
				if (!connected) {
					connected = true;
					listed();
				}
			} catch (error) {
				if (mine !== connection || signal.aborted) return;
				const why = error instanceof EngineError ? error.detail : (error as Error).message;
				if (connected || cause !== why) log.warn({ cause: why }, 'the containers could not be listed; trying on');
				lose(why);
			}
			if (mine === connection) relist = wheel.after(RELIST_MS, () => listAgain(false));
		});
	};
	const follow = async () => {
		for await (const event of engine.events(signal)) {
			if (event.type === 'connected') {
				following = true;
				connection++;
				connected = false;
				listAgain(true);
			} else if (event.type === 'disconnected') {
				connection++;
				relist?.[Symbol.dispose]();
				if (following || cause !== event.cause) lose(event.cause);
				following = false;
			} else if (event.type === 'image') {
				imageChanged(event);
			} else if (event.labels[labels.node] === node) {
				const known = containers.get(event.id);
				if (event.change === 'removed') drop(event.id);
				// Our own starts are looked at by the one who starts.
				else if (event.change === 'ended' || (known && known.state !== 'running'))
					look(event.id, event.labels[labels.podUid]).catch(() => undefined);
			}
		}
		relist?.[Symbol.dispose]();
		await listing;
	};

	return {
		get connected() {
			return connected;
		},
		get cause() {
			return cause;
		},
		*of(uid) {
			for (const id of byPod.get(uid) ?? []) {
				const container = containers.get(id);
				if (container) yield container;
			}
		},
		hidden(uid) {
			for (const [id, one] of missed) if (one.uid === uid && !containers.has(id)) return one.cause;
			return undefined;
		},
		uids: () => byPod.keys(),
		get: (id) => containers.get(id),
		refresh,
		forget: drop,
		message: (id) => words.get(id) || undefined,
		ended: follow(),
	};
}

const isDown = (error: unknown): boolean => error instanceof EngineError && error.fault === 'down';
