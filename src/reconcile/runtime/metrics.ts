/**
 * What the runtime counts about each controller. The names and buckets are those of client-go's workqueue metrics and of
 * controller-runtime, so that dashboards made for these fit.
 */
import type { QueueMetrics } from '../../client/queue.ts';
import { createHistogram, type Family, type Histogram, labelled } from '../../metrics.ts';

/** How a call of reconcile went: `requeue_after` asked to be called again later. */
export type Outcome = 'success' | 'requeue_after' | 'error';

export interface ControllerMetrics extends QueueMetrics {
	/** How many keys are worked on at once at most. */
	workers: number;
	/** Keys that are worked on now, with when that began, in ms of the clock. */
	readonly running: Map<string, number>;
	readonly outcomes: Record<Outcome, number>;
	/** In seconds: how long keys stood in line, and how long reconcile took. */
	readonly waits: Histogram;
	readonly works: Histogram;
}

/** By the controller's name. Counters go on over terms of leadership when the same map is given again. */
export type Metrics = Map<string, ControllerMetrics>;

/** Powers of ten from 10 ns to 1,000 s, as client-go has them. */
const QUEUE_BOUNDS = Array.from({ length: 12 }, (_, at) => Number(`1e${at - 8}`));
/** Those of controller-runtime's reconcile times. */
const RECONCILE_BOUNDS = [
	0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
	2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];

export function metricsOf(metrics: Metrics, controller: string): ControllerMetrics {
	const known = metrics.get(controller);
	if (known) return known;
	const waits = createHistogram(QUEUE_BOUNDS);
	const fresh: ControllerMetrics = {
		depth: 0,
		adds: 0,
		retries: 0,
		workers: 0,
		running: new Map(),
		outcomes: { success: 0, requeue_after: 0, error: 0 },
		waits,
		works: createHistogram(RECONCILE_BOUNDS),
		waited: (ms) => waits.observe(ms / 1000),
	};
	metrics.set(controller, fresh);
	return fresh;
}

/** As families to be served; `now` is the clock of the runtime that fills them. */
export function controllerFamilies(metrics: Metrics, now: () => number): Family[] {
	const each = (figure: (counted: ControllerMetrics) => number | Histogram, label = 'name') =>
		Array.from(metrics, ([name, counted]) => [labelled({ [label]: name }), figure(counted)] as const);
	const ages = ({ running }: ControllerMetrics) => Array.from(running.values(), (start) => (now() - start) / 1000);
	const family = (name: string, type: Family['type'], help: string, samples: Family['samples']) => ({
		name,
		type,
		help,
		samples,
	});
	const outcomes = Array.from(metrics, ([controller, counted]) =>
		Object.entries(counted.outcomes).map(([result, count]) => [labelled({ controller, result }), count] as const),
	).flat();
	return [
		family(
			'workqueue_depth',
			'gauge',
			'Keys that wait.',
			each(({ depth }) => depth),
		),
		family(
			'workqueue_adds_total',
			'counter',
			'Keys that were put in line.',
			each(({ adds }) => adds),
		),
		family(
			'workqueue_retries_total',
			'counter',
			'Keys that were put off after a failure.',
			each(({ retries }) => retries),
		),
		family(
			'workqueue_queue_duration_seconds',
			'histogram',
			'How long keys stand in line.',
			each(({ waits }) => waits),
		),
		family(
			'workqueue_work_duration_seconds',
			'histogram',
			'How long the work on a key takes.',
			each(({ works }) => works),
		),
		family(
			'workqueue_unfinished_work_seconds',
			'gauge',
			'For how long keys are being worked on, summed up.',
			each((counted) => ages(counted).reduce((sum, age) => sum + age, 0)),
		),
		family(
			'workqueue_longest_running_processor_seconds',
			'gauge',
			'For how long the oldest of them is.',
			each((counted) => Math.max(0, ...ages(counted))),
		),
		family('controller_runtime_reconcile_total', 'counter', 'Reconciles by their result.', outcomes),
		family(
			'controller_runtime_reconcile_errors_total',
			'counter',
			'Reconciles that failed.',
			each(({ outcomes: { error } }) => error, 'controller'),
		),
		family(
			'controller_runtime_reconcile_time_seconds',
			'histogram',
			'How long a reconcile takes.',
			each(({ works }) => works, 'controller'),
		),
		family(
			'controller_runtime_max_concurrent_reconciles',
			'gauge',
			'How many keys are reconciled at once at most.',
			each(({ workers }) => workers, 'controller'),
		),
		family(
			'controller_runtime_active_workers',
			'gauge',
			'How many keys are reconciled now.',
			each(({ running }) => running.size, 'controller'),
		),
	];
}
