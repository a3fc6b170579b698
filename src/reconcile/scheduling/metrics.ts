/** Figures of the scheduler, under the names of kube-scheduler. Source: Kubernetes documentation, "Kubernetes Metrics Reference". */
import { createHistogram, type Family, type Histogram, labelled } from '../../metrics.ts';

/** How a look at a pod came out. */
export type Attempt = 'scheduled' | 'unschedulable' | 'error';

export interface SchedulerMetrics {
	/** A pod was looked at; how long that took, in seconds. */
	attempted(profile: string, result: Attempt, seconds: number): void;
	/** How many pods wait, by why; set while the scheduler runs. */
	pending: () => Readonly<Record<string, number>>;
	families(): Family[];
}

/** From a tenth of a millisecond to three seconds. */
const BOUNDS = Array.from({ length: 15 }, (_, power) => 0.0001 * 2 ** power);

export function createSchedulerMetrics(): SchedulerMetrics {
	const durations = new Map<string, Histogram>();
	return {
		pending: () => ({}),
		attempted(profile, result, seconds) {
			const labels = labelled({ profile, result });
			const known = durations.get(labels) ?? createHistogram(BOUNDS);
			durations.set(labels, known);
			known.observe(seconds);
		},
		families() {
			return [
				{
					name: 'scheduler_schedule_attempts_total',
					help: 'Looks at pods, by how they came out.',
					type: 'counter',
					samples: Array.from(durations, ([labels, { count }]) => [labels, count] as const),
				},
				{
					name: 'scheduler_scheduling_attempt_duration_seconds',
					help: 'How long it took to decide where a pod goes, in seconds.',
					type: 'histogram',
					samples: durations,
				},
				{
					name: 'scheduler_pending_pods',
					help: 'Pods that have no node: to be looked at, or waiting for something to change.',
					type: 'gauge',
					samples: Object.entries(this.pending()).map(([queue, count]) => [labelled({ queue }), count] as const),
				},
			];
		},
	};
}
