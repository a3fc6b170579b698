/**
 * A copy of the engine's containers of this node, kept by its events: listed at each connection, inspected one by one as
 * they change. It is the agent's only memory of what runs, and begins anew with each process.
 */
import pLimit from 'p-limit';
import type { Log } from '../../log.ts';
import { type Container, type Engine, EngineError } from '../engine/engine.ts';
import { labels } from './names.ts';

/** How many containers are inspected at once when all are listed. */
const INSPECTIONS = 8;

export interface Mirror {
	/** Whether the copy is true: the engine answers and its containers have been listed since. */
	readonly connected: boolean;
	/** Why not, while it is not. */
	readonly cause: string;
	/** The containers of a pod. */
	of(uid: string): Iterable<Container>;
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
	readonly log: Log;
	readonly signal: AbortSignal;
	/** A container of the pod has changed. */
	changed(uid: string): void;
	/** All containers have been listed. */
	listed(): void;
	/** The engine does not answer any more. */
	lost(cause: string): void;
	imagesChanged(): void;
	/** Reads what an ended container has left. */
	lastWords(container: Container): Promise<string | undefined>;
}

export function mirrorContainers(options: MirrorOptions): Mirror {
	const { engine, node, log, signal, changed, listed, lost, imagesChanged, lastWords } = options;
	const containers = new Map<string, Container>();
	const byPod = new Map<string, Set<string>>();
	const words = new Map<string, string>();
	const inspecting = new Map<string, Promise<Container | undefined>>();
	const limit = pLimit(INSPECTIONS);
	let connected = false;
	let cause = 'it has not answered yet';

	const drop = (id: string) => {
		const uid = containers.get(id)?.labels[labels.podUid];
		if (uid === undefined) return;
		containers.delete(id);
		words.delete(id);
		const siblings = byPod.get(uid);
		siblings?.delete(id);
		if (siblings?.size === 0) byPod.delete(uid);
		changed(uid);
	};
	const keep = async (container: Container) => {
		const uid = container.labels[labels.podUid];
		if (!uid) return;
		if (container.state === 'exited' && container.labels[labels.type] === 'container' && !words.has(container.id)) {
			const text = await lastWords(container);
			if (text) words.set(container.id, text);
		}
		containers.set(container.id, container);
		const siblings = byPod.get(uid) ?? new Set();
		byPod.set(uid, siblings.add(container.id));
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
	const look = (id: string) =>
		refresh(id).catch((error: unknown) => {
			// An engine that is down is listed anew when it is back.
			if (error instanceof EngineError && error.fault === 'down') return;
			log.warn({ container: id, cause: (error as Error).message }, 'a container could not be inspected');
		});
	const listAll = async () => {
		const ids = new Set(await engine.containers.list({ [labels.node]: node }));
		for (const id of containers.keys()) if (!ids.has(id)) drop(id);
		await Promise.all([...ids].map((id) => limit(() => refresh(id))));
		connected = true;
		listed();
	};

	const follow = async () => {
		let listing: Promise<void> = Promise.resolve();
		for await (const event of engine.events(signal)) {
			if (event.type === 'connected') {
				listing = listAll().catch((error: Error) => {
					if (!signal.aborted) log.warn({ cause: error.message }, 'the containers could not be listed');
				});
			} else if (event.type === 'disconnected') {
				connected = false;
				cause = event.cause;
				lost(event.cause);
			} else if (event.type === 'image') {
				imagesChanged();
			} else if (event.labels[labels.node] === node) {
				const known = containers.get(event.id);
				if (event.action === 'destroy') drop(event.id);
				// That it ran out of memory may be heard after its end.
				else if (event.action === 'die' || event.action === 'oom') void look(event.id);
				// Our own starts are looked at by the one who starts.
				else if (event.action === 'start' && known && known.state !== 'running') void look(event.id);
			}
		}
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
		uids: () => byPod.keys(),
		get: (id) => containers.get(id),
		refresh,
		forget: drop,
		message: (id) => words.get(id),
		ended: follow(),
	};
}
