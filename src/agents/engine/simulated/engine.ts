/**
 * An engine that runs nothing: pods in memory that do what their annotations say, for those who try or test what is above
 * them. What it holds ends with the process. docs/operate.md has its annotations and its limits.
 */
import { EventEmitter, on } from 'node:events';
import os from 'node:os';
import type { Engine, EngineEvent } from '../engine.ts';
import { EngineError } from '../error.ts';
import { simulatedImages } from './images.ts';
import { type Addresses, addressesOf } from './network.ts';
import { said } from './output.ts';
import { simulatedParts } from './parts.ts';

export interface SimulatedOptions {
	/** Milliseconds since the epoch. */
	readonly now?: () => number;
	/** Cores and bytes of memory of the node. Default those of the machine. */
	readonly cpus?: number;
	readonly memory?: number;
}

/** The name of the runtime, as the scheme of ids in statuses. */
const SCHEME = 'simulated';
/** Of what the annotations mean. */
const VERSION = '1';
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };

/** A new one, with nothing in it. */
export function simulatedEngine(options: SimulatedOptions = {}): Engine {
	const { now = Date.now, cpus = os.availableParallelism(), memory = os.totalmem() } = options;
	const stop = new AbortController();
	const emitter = new EventEmitter().setMaxListeners(0);
	const tell = (event: EngineEvent) => void emitter.emit('event', event);
	let addresses: Addresses | undefined;
	const images = simulatedImages(SCHEME, tell);
	const held = simulatedParts({
		scheme: SCHEME,
		now,
		tell,
		addresses: () => addresses,
		images,
		signal: stop.signal,
	});
	const running = (doing: string, id: string) => {
		const container = held.container(doing, id);
		if (container.part.state === 'running') return container;
		throw new EngineError('conflict', doing, 'the container does not run');
	};

	return {
		address: `${SCHEME}:`,
		info: async () => ({
			name: SCHEME,
			version: VERSION,
			architecture: architectures[os.arch()] ?? os.arch(),
			operatingSystem: 'simulated: nothing runs here',
			kernelVersion: os.release(),
			cpus,
			memory,
			root: '',
		}),
		async prepare(network) {
			const { network: before } = addresses ?? {};
			if (before && before.node !== network.node)
				throw new EngineError('conflict', 'prepare the engine', `it belongs to the node ${before.node}`);
			if (before?.cidr === network.cidr) return;
			await held.evict(network.node);
			addresses = addressesOf(network);
		},
		async release({ node }) {
			if (addresses?.network.node === node && !held.occupied) addresses = undefined;
		},
		images,
		parts: held.parts,
		sandboxes: { create: held.createSandbox },
		containers: {
			create: held.createContainer,
			async limit(id, limits) {
				const container = running('change the limits of a container', id);
				container.part = { ...container.part, limits: { ...container.part.limits, ...limits } };
			},
			logs: async (id, options) => held.container('read a log', id).log.read(options),
			async exec(id, { command }) {
				const doing = `run ${command[0]} in container ${id.slice(0, 12)}`;
				const { execOutput, execExitCode } = running(doing, id).behaviour;
				if (execOutput === undefined) {
					const why =
						'nothing runs here: the engine of this node is simulated. The annotation simulated.driftless.io/exec-output of the pod says what a command writes';
					throw new EngineError('failed', doing, why);
				}
				const nothing = async () => {};
				return { ...said(execOutput), exitCode: async () => execExitCode, kill: nothing, resize: nothing };
			},
			attach: async (id, { signal }) => held.container('attach', id).log.attach(signal),
			resize: async (id) => void running('resize a terminal', id),
			async answer(id) {
				const { part, behaviour } = running('answer a probe', id);
				const left = (part.startedAt ?? 0) + behaviour.readyMs - now();
				return left <= 0 ? undefined : `simulated: not ready for ${Math.ceil(left / 1000)} s more`;
			},
		},
		nodeUsage: async () => held.usage(),
		async *events(signal) {
			const events = on(emitter, 'event', { signal: AbortSignal.any([signal, stop.signal]) });
			yield { type: 'connected' };
			try {
				for await (const [event] of events) yield event as EngineEvent;
			} catch (error) {
				if (!signal.aborted && !stop.signal.aborted) throw error;
			}
		},
		async stop() {},
		async [Symbol.asyncDispose]() {
			stop.abort();
		},
	};
}
