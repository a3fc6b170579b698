/**
 * A copy of the engine's sandboxes and containers of this node (their parts): listed at each connection and in between, inspected one by one as they
 * change. It is the agent's only memory of what runs, and begins anew with each process. Events tell of a change at once;
 * the listings find what no event has told of, and an engine that holds its connections but answers no more.
 */
import pLimit from 'p-limit';
import type { Log } from '../../log.ts';
import { type Container, type Engine, EngineError, type EngineEvent, type Part } from '../engine/index.ts';
import type { Wheel } from '../wheel.ts';

/** How many parts are inspected at once when all are listed. */
const INSPECTIONS = 8;
/** Pause between two listings. */
export const RELIST_MS = 10_000;

export interface Mirror {
	/** Whether the copy is true: the engine answers and its containers have been listed since. */
	readonly connected: boolean;
	/** Why not, while it is not. */
	readonly cause: string;
	/** The parts of a pod. */
	of(uid: string): Iterable<Part>;
	/** Why a container of the pod is not known though the engine has it; undefined where all are known. */
	hidden(uid: string): string | undefined;
	/** Of every pod that has a container. */
	uids(): Iterable<string>;
	get(id: string): Part | undefined;
	/** Looks at the container now. */
	refresh(id: string): Promise<Part | undefined>;
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
	/** A part of the pod has changed. */
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
	const parts = new Map<string, Part>();
	const byPod = new Map<string, Set<string>>();
	const words = new Map<string, string>();
	const inspecting = new Map<string, Promise<Part | undefined>>();
	/** By id: what could not be looked at when it should have been, and is at the next listing. */
	const missed = new Map<string, { readonly uid: string | undefined; readonly cause: string }>();
	const limit = pLimit(INSPECTIONS);
	let following = false;
	let connected = false;
	let cause = 'it has not answered yet';

	const drop = (id: string) => {
		// One that was hidden has held up its pod as well.
		const uid = parts.get(id)?.pod.uid ?? missed.get(id)?.uid;
		missed.delete(id);
		words.delete(id);
		if (uid === undefined) return;
		parts.delete(id);
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
	const keep = async (part: Part) => {
		const { id, state } = part;
		const { uid } = part.pod;
		if (state === 'exited' && part.kind === 'container' && !words.has(id)) await listen(part);
		parts.set(id, part);
		missed.delete(id);
		const siblings = byPod.get(uid) ?? new Set();
		byPod.set(uid, siblings.add(id));
		changed(uid);
	};
	const inspect = async (id: string) => {
		const part = await engine.parts.inspect(id);
		if (!part) drop(id);
		else if (part.pod.node === node) await keep(part);
		return part;
	};
	/** One inspection of a container after the other, so that an older answer never follows a newer one. */
	const refresh = (id: string): Promise<Part | undefined> => {
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
		const present = new Map((await engine.parts.list(node)).map((one) => [one.id, one]));
		const doubtful = new Set<string>();
		for (const { id, state } of present.values())
			if (all || missed.has(id) || parts.get(id)?.state !== state) doubtful.add(id);
		// One that was made after the list is not missing: the inspection decides.
		for (const id of [...parts.keys(), ...missed.keys()]) if (!present.has(id)) doubtful.add(id);
		const uidOf = (id: string) => present.get(id)?.uid ?? parts.get(id)?.pod.uid;
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
			} else if (event.pod.node === node) {
				const known = parts.get(event.id);
				if (event.change === 'removed') drop(event.id);
				// Our own starts are looked at by the one who starts.
				else if (event.change === 'ended' || (known && known.state !== 'running'))
					look(event.id, event.pod.uid).catch(() => undefined);
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
				const part = parts.get(id);
				if (part) yield part;
			}
		},
		hidden(uid) {
			for (const [id, one] of missed) if (one.uid === uid && !parts.has(id)) return one.cause;
			return undefined;
		},
		uids: () => byPod.keys(),
		get: (id) => parts.get(id),
		refresh,
		forget: drop,
		message: (id) => words.get(id) || undefined,
		ended: follow(),
	};
}

const isDown = (error: unknown): boolean => error instanceof EngineError && error.fault === 'down';
