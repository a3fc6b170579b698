/** Figures of the proxy, under kube-proxy's names. Source: Kubernetes documentation, "Kubernetes Metrics Reference". */
import { createHistogram, type Family } from '../metrics.ts';

export interface ProxyMetrics {
	/** Rules were set, all or some; how long that took, in seconds, and whether the kernel took them all. `now` in ms since the epoch. */
	synced(seconds: number, complete: boolean, now: number): void;
	/** The rules of a service follow a change; how long ago that was, in seconds. */
	programmed(seconds: number): void;
	families(): Family[];
}

export function createProxyMetrics(): ProxyMetrics {
	const duration = createHistogram(Array.from({ length: 15 }, (_, power) => 0.001 * 2 ** power));
	const programming = createHistogram(PROGRAMMING_BOUNDS);
	let last = 0;
	let failures = 0;
	return {
		synced(seconds, complete, now) {
			duration.observe(seconds);
			if (complete) last = now / 1_000;
			else failures++;
		},
		programmed: (seconds) => programming.observe(Math.max(0, seconds)),
		families: () => [
			{
				name: 'kubeproxy_sync_proxy_rules_duration_seconds',
				help: 'How long it took to set the rules that had changed, in seconds.',
				type: 'histogram',
				samples: [['', duration]],
			},
			{
				name: 'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
				help: 'When the rules were last set without a failure, in seconds since the epoch.',
				type: 'gauge',
				samples: [['', last]],
			},
			{
				name: 'kubeproxy_sync_proxy_rules_nftables_sync_failures_total',
				help: 'How often the kernel did not take rules.',
				type: 'counter',
				samples: [['', failures]],
			},
			{
				name: 'kubeproxy_network_programming_duration_seconds',
				help: 'From a change of a pod or service until the rules of the service follow it, in seconds.',
				type: 'histogram',
				samples: [['', programming]],
			},
		],
	};
}

/** A quarter and a half of a second; each second of a minute; 5 s apart in the second minute; then half minutes, up to five. */
const PROGRAMMING_BOUNDS = [
	...[0.25, 0.5],
	...Array.from({ length: 59 }, (_, index) => index + 1),
	...Array.from({ length: 12 }, (_, index) => 60 + 5 * index),
	...Array.from({ length: 7 }, (_, index) => 120 + 30 * index),
];
