/** What the agent tells of device plugins. Source: Kubernetes documentation, "Kubernetes Metrics Reference". */
import { createHistogram, type Family, type Histogram, labelled } from '../../metrics.ts';

/** Seconds, as the buckets that Prometheus' clients have by default. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface DeviceCounts {
	registered(resource: string): void;
	/** Allocate was answered, or not, after so many seconds. */
	allocated(resource: string, seconds: number): void;
	families(): Family[];
}

/** The resources are as many as the node takes of plugins: who registers has been checked before. */
export function countDevices(): DeviceCounts {
	const registrations = new Map<string, number>();
	const durations = new Map<string, Histogram>();
	const under = <T>(of: ReadonlyMap<string, T>) =>
		[...of].map(([resource, figure]) => [labelled({ resource_name: resource }), figure] as const);
	return {
		registered: (resource) => void registrations.set(resource, (registrations.get(resource) ?? 0) + 1),
		allocated(resource, seconds) {
			const histogram = durations.get(resource) ?? createHistogram(BOUNDS);
			durations.set(resource, histogram);
			histogram.observe(seconds);
		},
		families: () => [
			{
				name: 'kubelet_device_plugin_registration_total',
				help: 'Registrations of device plugins by resource.',
				type: 'counter',
				samples: under(registrations),
			},
			{
				name: 'kubelet_device_plugin_alloc_duration_seconds',
				help: 'How long device plugins took to allocate, in seconds.',
				type: 'histogram',
				samples: under(durations),
			},
		],
	};
}
