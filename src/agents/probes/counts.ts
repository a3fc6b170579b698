/** What probes have found so far, for Prometheus. Source: Kubernetes documentation, "Node metrics data", /metrics/probes. */
import type { Pod } from '../../kinds/index.ts';
import { createHistogram, type Family, type Histogram, labelled } from '../../metrics.ts';
import { uidOf } from '../pods/names.ts';

/** Seconds, as the buckets that Prometheus' clients have by default. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface ProbeCounts {
	/** A probe of `type` (Liveness, Readiness, Startup) has ended after so many seconds. */
	count(pod: Pod, container: string, type: string, ok: boolean, seconds: number): void;
	/** The pod is gone: its series end. */
	forget(uid: string): void;
	families(): Family[];
}

interface Counted {
	readonly results: Map<string, number>;
	readonly durations: Map<string, Histogram>;
}

export function countProbes(): ProbeCounts {
	const byPod = new Map<string, Counted>();
	return {
		count(pod, container, type, ok, seconds) {
			const uid = uidOf(pod);
			const counted = byPod.get(uid) ?? { results: new Map(), durations: new Map() };
			byPod.set(uid, counted);
			const { name, namespace = '' } = pod.metadata;
			const labels = { probe_type: type, container, pod: name, namespace };
			const result = labelled({ ...labels, pod_uid: uid, result: ok ? 'successful' : 'failed' });
			counted.results.set(result, (counted.results.get(result) ?? 0) + 1);
			if (!ok) return;
			const key = labelled(labels);
			const histogram = counted.durations.get(key) ?? createHistogram(BOUNDS);
			counted.durations.set(key, histogram);
			histogram.observe(seconds);
		},
		forget: (uid) => void byPod.delete(uid),
		families: () => [
			{
				name: 'prober_probe_total',
				help: 'Probes of containers by their result.',
				type: 'counter',
				samples: [...byPod.values()].flatMap(({ results }) => [...results]),
			},
			{
				name: 'prober_probe_duration_seconds',
				help: 'How long probes that succeeded took, in seconds.',
				type: 'histogram',
				samples: [...byPod.values()].flatMap(({ durations }) => [...durations]),
			},
		],
	};
}
