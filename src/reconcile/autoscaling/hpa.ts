/**
 * The HorizontalPodAutoscaler: looks every few seconds at what the pods of a target use, and changes how many there are.
 * Source: Kubernetes documentation, "Horizontal Pod Autoscaling".
 */
import { HorizontalPodAutoscaler, type Key, scaleIntervalOf } from '../../kinds/index.ts';
import { type Controller, controller } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { podPairs } from '../runtime/label-pairs.ts';
import { look, type Memory } from './look.ts';
import type { OtherMetrics } from './metrics.ts';
import { createSelecting } from './selecting.ts';

/** Between two looks at an autoscaler that is changed again and again, in ms. */
const LEAST_PAUSE_MS = 1_000;
/** One whose pods are not measured yet, as they start together, is looked at again so soon, so many times. */
const EARLY_MS = 3_000;
const EARLY_LOOKS = 10;

export interface AutoscalerOptions {
	/** Metrics beside those of processors and memory. */
	readonly metrics?: OtherMetrics | undefined;
}

interface Known {
	readonly uid: string | undefined;
	readonly memory: Memory;
	looked?: Looked;
	/** How many early looks are left. */
	early: number;
}

/** When an autoscaler was looked at, in ms of the clock, and as what. */
interface Looked {
	readonly at: number;
	readonly intent: unknown;
	readonly interval: number;
}

export function horizontalPodAutoscaler({ metrics }: AutoscalerOptions = {}): Controller {
	return controller<HorizontalPodAutoscaler>({
		name: 'horizontalpodautoscaler',
		component: 'horizontal-pod-autoscaler',
		for: HorizontalPodAutoscaler,
		indexes: [podPairs],
		open(context) {
			const known = new Map<Key, Known>();
			const selecting = createSelecting();
			const { cache, clock } = context;
			return {
				async reconcile(key) {
					const autoscaler = cache.informer(HorizontalPodAutoscaler).get(key);
					if (!autoscaler || autoscaler.metadata.deletionTimestamp) {
						known.delete(key);
						selecting.delete(key);
						return undefined;
					}
					const { uid } = autoscaler.metadata;
					const before = known.get(key);
					const one: Known = before && before.uid === uid ? before : { uid, memory: {}, early: EARLY_LOOKS };
					known.set(key, one);
					const { spec } = autoscaler;
					const intent = [spec, scaleIntervalOf(autoscaler)];
					if (one.looked) {
						const same = sameJson(one.looked.intent, intent);
						const left = one.looked.at + (same ? one.looked.interval : LEAST_PAUSE_MS) - clock.now();
						if (left > 0) return { after: left };
					}
					const at = clock.now();
					const active = await look({ autoscaler, memory: one.memory, selecting, context, others: metrics });
					one.early = active ? 0 : Math.max(0, one.early - 1);
					const interval = one.early > 0 ? EARLY_MS : scaleIntervalOf(autoscaler);
					one.looked = { at, intent, interval };
					return { after: Math.max(0, at + interval - clock.now()) };
				},
				[Symbol.dispose]() {},
			};
		},
	});
}
