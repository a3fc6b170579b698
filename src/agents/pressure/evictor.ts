/**
 * Keeps a node from running out of memory, disk and process numbers: looks at what is left, frees what nobody uses, then evicts one
 * pod after the other. Also pods that take more of the disk than they may. Source: Kubernetes documentation, "Node-pressure Eviction".
 */
import { describe } from '../../client/index.ts';
import type { Pod } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import { type Family, labelled } from '../../metrics.ts';
import type { Wheel } from '../wheel.ts';
import { conditionOf, type Judgement, judgePressure, nothingSeen, type Observations, type Pressure } from './judge.ts';
import { type DiskUse, exceeded, hasStorageLimit } from './local-storage.ts';
import { evictionMessage, isCritical, rank, type Use } from './rank.ts';
import { amountText, type Signal, type Threshold } from './thresholds.ts';

/** Between two looks; while a pod ends that was evicted, so that what it leaves is seen. As the kubelet's. */
export const LOOK_MS = 10_000;
const AFTER_EVICTION_MS = 1_000;
/** How long the end of an evicted pod is waited for before another one goes. */
const ENDING_MS = 30_000;

export interface Eviction {
	readonly message: string;
	/** Seconds that its containers have to end. */
	readonly grace: number;
}

export interface EvictorOptions {
	readonly thresholds: readonly Threshold[];
	readonly transitionMs: number;
	readonly maxPodGrace?: number;
	/** What the node has left. */
	readonly observe: () => Observations | Promise<Observations>;
	/** The pods that the node has taken and that are not over. */
	readonly pods: () => Iterable<Pod>;
	readonly useOf: (pod: Pod) => Promise<Use>;
	readonly diskUseOf: (pod: Pod) => Promise<DiskUse & { readonly bytes: number; readonly inodes: number }>;
	/** Resolves when the eviction is noted so that it is not lost. */
	readonly evict: (pod: Pod, eviction: Eviction) => Promise<void>;
	/** Whether the pod has ended, and with it what it took. */
	readonly isOver: (pod: Pod) => boolean;
	/** Frees what of the disk nobody uses. */
	readonly reclaim: () => Promise<void>;
	/** An event about the node. */
	readonly tell: (reason: string, message: string) => void;
	/** The pressure is another one. */
	readonly changed: () => void;
	readonly wheel: Wheel;
	readonly log: Log;
	readonly signal: AbortSignal;
}

export interface Evictor {
	readonly pressure: Pressure;
	/** Looks now, and again and again until the signal aborts. Settles after the first look, which evicts nothing. */
	start(): Promise<void>;
	families(): Family[];
	/** Settles when no look is under way. */
	idle(): Promise<void>;
}

const words: Readonly<Record<keyof Pressure, string>> = { memory: 'memory', disk: 'ephemeral-storage', pids: 'pids' };

export function createEvictor(options: EvictorOptions): Evictor {
	const { thresholds, transitionMs, observe, pods, evict, isOver, reclaim, tell, changed, wheel, log, signal } =
		options;
	const counts = new Map<Signal | 'localStorage', number>();
	let state = nothingSeen;
	let pressure: Pressure = { memory: false, disk: false, pids: false };
	let ending: { readonly pod: Pod; readonly until: number } | undefined;
	let looking: Promise<void> = Promise.resolve();
	let started = false;

	const judge = async (): Promise<Judgement & { readonly observed: Observations }> => {
		const observed = await observe();
		const judged = judgePressure(thresholds, observed, state, { now: wheel.now(), transitionMs });
		state = judged.state;
		const before = pressure;
		pressure = judged.pressure;
		if (started && (Object.keys(pressure) as (keyof Pressure)[]).some((what) => before[what] !== pressure[what]))
			changed();
		return { ...judged, observed };
	};
	const go = async (pod: Pod, why: Signal | 'localStorage', eviction: Eviction) => {
		counts.set(why, (counts.get(why) ?? 0) + 1);
		log.warn({ pod: `${pod.metadata.namespace}/${pod.metadata.name}`, cause: eviction.message }, 'a pod is evicted');
		await evict(pod, eviction);
	};
	const limited = async () => {
		for (const pod of pods()) {
			if (!hasStorageLimit(pod) || isOver(pod) || isCritical(pod)) continue;
			const message = exceeded(pod, await options.diskUseOf(pod));
			if (message) await go(pod, 'localStorage', { message, grace: 0 });
		}
	};
	/** The pods with what they use of what the signal is about. */
	const candidates = (signalled: Signal) =>
		Promise.all(
			[...pods()]
				.filter((pod) => !isOver(pod))
				.map(async (pod) => {
					if (conditionOf(signalled) !== 'disk') return { pod, use: await options.useOf(pod) };
					const { bytes, inodes, containers } = await options.diskUseOf(pod);
					const perContainer = new Map([...containers].map(([name, disk]) => [name, { disk }]));
					return { pod, use: { disk: bytes, inodes, containers: perContainer } };
				}),
		);
	const relieve = async (first: Threshold) => {
		const what = conditionOf(first.signal);
		tell('EvictionThresholdMet', `Attempting to reclaim ${words[what]}`);
		let met: Threshold | undefined = first;
		let { observed } = await judge();
		if (what === 'disk') {
			await reclaim();
			const after = await judge();
			observed = after.observed;
			met = after.met[0];
		}
		const left = met && observed[met.signal];
		if (!met || !left) return;
		const [worst] = rank(await candidates(met.signal), met.signal);
		if (!worst) {
			log.warn({ signal: met.signal }, 'the node runs short, and there is no pod that may be evicted');
			return;
		}
		const threshold = amountText(met.value, left.capacity);
		const message = evictionMessage(worst, met.signal, { threshold, available: left.available });
		const own = worst.pod.spec.terminationGracePeriodSeconds ?? 30;
		const grace = met.graceMs === undefined ? 0 : Math.min(own, options.maxPodGrace ?? own);
		await go(worst.pod, met.signal, { message, grace });
		ending = { pod: worst.pod, until: wheel.now() + grace * 1000 + ENDING_MS };
	};
	const look = async () => {
		try {
			const { met } = await judge();
			if (ending && (isOver(ending.pod) || wheel.now() > ending.until)) ending = undefined;
			await limited();
			const [first] = met;
			if (first && !ending) await relieve(first);
		} catch (error) {
			if (!signal.aborted)
				log.warn({ cause: describe(error) }, 'what the node has left could not be looked at; trying on');
		}
		again();
	};
	const again = () => {
		if (signal.aborted) return;
		wheel.after(ending ? AFTER_EVICTION_MS : LOOK_MS, () => {
			looking = look();
		});
	};
	return {
		get pressure() {
			return pressure;
		},
		async start() {
			await judge();
			started = true;
			again();
		},
		families: () => [
			{
				name: 'kubelet_evictions',
				help: 'Pods that were evicted, by the signal that was met.',
				type: 'counter',
				samples: Array.from(counts, ([name, count]) => [labelled({ eviction_signal: name }), count] as const),
			},
		],
		idle: () => looking,
	};
}
