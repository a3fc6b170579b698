/** What the server counts of itself, in Prometheus' text format. The names are those of the reference API server. */

/** Upper bounds of the latency buckets, in seconds. */
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

interface Series {
	readonly labels: string;
	count: number;
	sum: number;
	readonly buckets: number[];
}

export interface Metrics {
	/** Counts a request that took `seconds`. */
	observe(verb: string, resource: string, code: number, seconds: number): void;
	inFlight: number;
	watches: number;
	text(): string;
}

export function createMetrics(): Metrics {
	const requests = new Map<string, number>();
	const durations = new Map<string, Series>();
	return {
		inFlight: 0,
		watches: 0,
		observe(verb, resource, code, seconds) {
			const labels = `verb="${verb}",resource="${resource}"`;
			const key = `${labels},code="${code}"`;
			requests.set(key, (requests.get(key) ?? 0) + 1);
			let series = durations.get(labels);
			if (!series) {
				series = { labels, count: 0, sum: 0, buckets: bounds.map(() => 0) };
				durations.set(labels, series);
			}
			series.count++;
			series.sum += seconds;
			const bucket = bounds.findIndex((bound) => seconds <= bound);
			if (bucket >= 0) series.buckets[bucket] = (series.buckets[bucket] ?? 0) + 1;
		},
		text() {
			const lines = [
				'# HELP apiserver_request_total Requests by verb, resource and HTTP code.',
				'# TYPE apiserver_request_total counter',
				...[...requests].map(([labels, count]) => `apiserver_request_total{${labels}} ${count}`),
				'# HELP apiserver_request_duration_seconds Time from the headers of a request to the end of its answer; watches excepted.',
				'# TYPE apiserver_request_duration_seconds histogram',
			];
			for (const { labels, count, sum, buckets } of durations.values()) {
				let below = 0;
				for (const [index, bound] of bounds.entries()) {
					below += buckets[index] ?? 0;
					lines.push(`apiserver_request_duration_seconds_bucket{${labels},le="${bound}"} ${below}`);
				}
				lines.push(`apiserver_request_duration_seconds_bucket{${labels},le="+Inf"} ${count}`);
				lines.push(`apiserver_request_duration_seconds_sum{${labels}} ${sum}`);
				lines.push(`apiserver_request_duration_seconds_count{${labels}} ${count}`);
			}
			const { rss, heapUsed } = process.memoryUsage();
			const gauge = (name: string, help: string, value: number) =>
				lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${name} ${value}`);
			gauge('apiserver_current_inflight_requests', 'Requests in work.', this.inFlight);
			gauge('apiserver_longrunning_requests', 'Open watches and streams.', this.watches);
			gauge('process_resident_memory_bytes', 'Resident memory in bytes.', rss);
			gauge('nodejs_heap_size_used_bytes', 'Used heap in bytes.', heapUsed);
			return `${lines.join('\n')}\n`;
		},
	};
}
