/** Simulated sandboxes and containers: what they are now, and how they become something else. All of it is in memory. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Created, Engine, EngineEvent } from '../engine.ts';
import { EngineError } from '../error.ts';
import type { Container, ContainerSpec, Part, Sandbox, SandboxSpec, Usage } from '../pod.ts';
import { type Behaviour, behaviourOf } from './behaviour.ts';
import { type Load, loadAs, usageOf, usedUntil } from './load.ts';
import type { Addresses } from './network.ts';
import { Log } from './output.ts';

/** What a process is ended with that a signal has ended: 128 and the signal's number. Source: POSIX shells, and Docker with them. */
const SIGNALLED = 128;

interface SandboxHeld {
	part: Sandbox;
	readonly spec: SandboxSpec;
}

/** A container as it is held: `part` is replaced whole whenever something of it changes. */
export interface ContainerHeld {
	part: Container;
	readonly behaviour: Behaviour;
	readonly log: Log;
	load: Load;
}

export interface PartsOptions {
	readonly scheme: string;
	/** Milliseconds since the epoch. */
	readonly now: () => number;
	readonly tell: (event: EngineEvent) => void;
	/** Those of the network that was prepared. */
	readonly addresses: () => Addresses | undefined;
	readonly images: Engine['images'];
	/** Nothing begins or ends by itself any more. */
	readonly signal: AbortSignal;
}

export interface SimulatedParts {
	readonly parts: Engine['parts'];
	createSandbox(spec: SandboxSpec): Promise<Created>;
	createContainer(spec: ContainerSpec): Promise<Created>;
	/** The container. Throws where there is none. */
	container(doing: string, id: string): ContainerHeld;
	/** Removes the running sandboxes of a node that have an address. */
	evict(node: string): Promise<void>;
	/** Whether a running sandbox has an address. */
	readonly occupied: boolean;
	/** What all containers use together. */
	usage(): Usage;
}

export function simulatedParts({ scheme, now, tell, addresses, images, signal }: PartsOptions): SimulatedParts {
	const sandboxes = new Map<string, SandboxHeld>();
	const containers = new Map<string, ContainerHeld>();
	/** Ids by pod, name and attempt. */
	const names = new Map<string, string>();
	/** Nanoseconds that containers have used which have ended. */
	let spent = 0;
	/** What ends by itself. */
	const ends = new Map<string, NodeJS.Timeout>();
	signal.addEventListener('abort', () => ends.forEach(clearTimeout), { once: true });

	const holder = (id: string) => sandboxes.get(id) ?? containers.get(id);
	const told = (change: 'started' | 'ended' | 'removed', { id, pod }: Part) => tell({ type: 'part', change, id, pod });
	const endsIn = (id: string, ms: number, exitCode: number) => {
		clearTimeout(ends.get(id));
		ends.set(
			id,
			setTimeout(() => end(id, exitCode), ms),
		);
	};
	const create = async (name: string, make: (id: string) => void | Promise<void>): Promise<Created> => {
		const existing = names.get(name);
		if (existing) return { id: existing, existed: true };
		const id = randomBytes(32).toString('hex');
		names.set(name, id);
		try {
			await make(id);
		} catch (error) {
			names.delete(name);
			throw error;
		}
		return { id, existed: false };
	};
	const end = (id: string, exitCode: number): void => {
		clearTimeout(ends.get(id));
		ends.delete(id);
		const sandbox = sandboxes.get(id);
		const container = containers.get(id);
		if (sandbox) {
			if (sandbox.part.address) addresses()?.free(sandbox.part.address);
			sandbox.part = { ...sandbox.part, state: 'exited', address: undefined };
		} else if (container) {
			if (container.part.state === 'running') spent += usedUntil(container.load, now());
			container.part = { ...container.part, state: 'exited', exitCode, finishedAt: now() };
			container.log.end();
		}
		const part = holder(id)?.part;
		if (part) told('ended', part);
	};
	const startSandbox = (sandbox: SandboxHeld) => {
		const { spec, part } = sandbox;
		const address = spec.namespaces.network === 'pod' ? addresses()?.take() : undefined;
		sandbox.part = { ...part, state: 'running', address };
	};
	const startContainer = async (container: ContainerHeld) => {
		const { behaviour, part, log } = container;
		const doing = `start container ${part.name}`;
		if (sandboxes.get(part.sandbox)?.part.state !== 'running')
			throw new EngineError('conflict', doing, 'its sandbox does not run');
		if (behaviour.startMs > 0) await sleep(behaviour.startMs, undefined, { signal });
		if (behaviour.startError !== undefined) {
			container.part = { ...part, error: behaviour.startError };
			throw new EngineError('failed', doing, behaviour.startError);
		}
		// Removed meanwhile.
		if (!containers.has(part.id)) throw new EngineError('not-found', doing, 'there is none');
		container.part = { ...part, state: 'running', startedAt: now() };
		container.load = { ...container.load, since: now() };
		log.write(behaviour.log, now());
		if (behaviour.runMs !== undefined) endsIn(part.id, behaviour.runMs, behaviour.exitCode);
	};
	const remove = async (id: string) => {
		const found = holder(id);
		if (!found) return;
		if (found.part.state === 'running') end(id, SIGNALLED + constants.signals.SIGKILL);
		containers.get(id)?.log.end();
		sandboxes.delete(id);
		containers.delete(id);
		for (const [name, named] of names) if (named === id) names.delete(name);
		told('removed', found.part);
	};

	return {
		parts: {
			list: async (node) =>
				[...sandboxes.values(), ...containers.values()]
					.filter(({ part }) => part.pod.node === node)
					.map(({ part: { id, pod, state } }) => ({ id, uid: pod.uid, state })),
			inspect: async (id) => holder(id)?.part,
			async start(id) {
				const found = holder(id);
				if (!found) throw new EngineError('not-found', `start ${id}`, 'there is none');
				if (found.part.state === 'running') return;
				if (found.part.state === 'exited') throw new EngineError('conflict', `start ${id}`, 'it has ended');
				if ('spec' in found) startSandbox(found);
				else await startContainer(found);
				told('started', found.part);
			},
			async kill(id, signal) {
				if (holder(id)?.part.state !== 'running') return;
				const exitCode = SIGNALLED + (constants.signals[signal as NodeJS.Signals] ?? 0);
				const wait = signal === 'SIGKILL' ? 0 : (containers.get(id)?.behaviour.stopMs ?? 0);
				if (wait > 0) endsIn(id, wait, exitCode);
				else end(id, exitCode);
			},
			remove,
			async usage(id, annotations) {
				const at = now();
				if (sandboxes.get(id)?.part.state === 'running')
					return { at, cpuNanoseconds: 0, memory: 0, workingSet: 0, received: 0, sent: 0 };
				const container = containers.get(id);
				if (container?.part.state !== 'running') return undefined;
				if (annotations) container.load = loadAs(container.load, annotations, container.part.name, at);
				return usageOf(container.load, at);
			},
		},
		createSandbox: (spec) =>
			create(`${spec.pod.uid}//${spec.attempt}`, (id) => {
				if (!addresses()) throw new EngineError('unprepared', 'create a sandbox', 'there is no network yet');
				const { pod, attempt } = spec;
				sandboxes.set(id, { spec, part: { kind: 'sandbox', id, pod, attempt, state: 'created', created: now() } });
			}),
		createContainer: (spec) =>
			create(`${spec.pod.uid}/${spec.name}/${spec.attempt}`, async (id) => {
				const {
					pod,
					name,
					attempt,
					sandbox,
					hash,
					backoff,
					deviceIds,
					image,
					cpuShares,
					cpuQuota,
					memory: most,
				} = spec;
				const doing = `create container ${name}`;
				const within = sandboxes.get(sandbox);
				if (!within) throw new EngineError('not-found', doing, 'its sandbox is not there');
				const imageId = (await images.inspect(image))?.id;
				if (!imageId) throw new EngineError('not-found', doing, `there is no image ${image}`);
				const behaviour = behaviourOf(within.spec.annotations, name);
				const notes = { name, attempt, sandbox, hash, backoff, ...(deviceIds && { deviceIds }) };
				const limits = { cpuShares, cpuQuota, memory: most };
				const none = { limits, exitCode: 0, oomKilled: false, error: '', tty: spec.tty ?? false };
				const state = { state: 'created', image, imageId, created: now(), ...none } as const;
				const part: Container = { kind: 'container', id, uri: `${scheme}://${id}`, pod, ...notes, ...state };
				const { cpu, memory } = behaviour;
				containers.set(id, { part, behaviour, log: new Log(), load: { since: now(), nanoseconds: 0, cpu, memory } });
			}),
		container(doing, id) {
			const found = containers.get(id);
			if (!found) throw new EngineError('not-found', doing, `there is no container ${id}`);
			return found;
		},
		async evict(node) {
			for (const { part } of sandboxes.values()) if (part.address && part.pod.node === node) await remove(part.id);
		},
		usage() {
			const at = now();
			const running = [...containers.values()].filter(({ part }) => part.state === 'running').map(({ load }) => load);
			const memory = running.reduce((sum, load) => sum + load.memory, 0);
			const cpuNanoseconds = running.reduce((sum, load) => sum + usedUntil(load, at), spent);
			return { at, cpuNanoseconds, memory, workingSet: memory };
		},
		get occupied() {
			return [...sandboxes.values()].some(({ part }) => part.address !== undefined);
		},
	};
}
