/** What the server counts of its requests. The names are those of the reference API server. */
import { createHistogram, exposition, type Family, type Histogram } from '../../metrics.ts';

/** Upper bounds of the latency buckets, in seconds. */
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Verbs of resources, and methods on other paths. HTTP/2 carries any: a client must not make labels. */
const verbs: ReadonlySet<string> = new Set([
	...['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'],
	...['head', 'post', 'put', 'options'],
]);

export interface Metrics {
	/** Counts a request that took `seconds`. */
	observe(verb: string, resource: string, code: number, seconds: number): void;
	inFlight: number;
	watches: number;
	/** In Prometheus' text form. */
	text(): string;
}

/** `more` are the figures of others in this process. */
export function createMetrics(more: () => Iterable<Family> = () => []): Metrics {
	const requests = new Map<string, number>();
	const durations = new Map<string, Histogram>();
	return {
		inFlight: 0,
		watches: 0,
		observe(verb, resource, code, seconds) {
			const labels = `verb="${verbs.has(verb) ? verb : 'other'}",resource="${resource}"`;
			const key = `${labels},code="${code}"`;
			requests.set(key, (requests.get(key) ?? 0) + 1);
			let duration = durations.get(labels);
			if (!duration) {
				duration = createHistogram(bounds);
				durations.set(labels, duration);
			}
			duration.observe(seconds);
		},
		text() {
			const { rss, heapUsed } = process.memoryUsage();
			const gauge = (name: string, help: string, value: number): Family => ({
				name,
				help,
				type: 'gauge',
				samples: [['', value]],
			});
			return exposition([
				{
					name: 'apiserver_request_total',
					help: 'Requests by verb, resource and HTTP code.',
					type: 'counter',
					samples: requests,
				},
				{
					name: 'apiserver_request_duration_seconds',
					help: 'Time from the headers of a request to the end of its answer; watches excepted.',
					type: 'histogram',
					samples: durations,
				},
				gauge('apiserver_current_inflight_requests', 'Requests in work.', this.inFlight),
				gauge('apiserver_longrunning_requests', 'Open watches and streams.', this.watches),
				gauge('process_resident_memory_bytes', 'Resident memory in bytes.', rss),
				gauge('nodejs_heap_size_used_bytes', 'Used heap in bytes.', heapUsed),
				...more(),
			]);
		},
	};
}
