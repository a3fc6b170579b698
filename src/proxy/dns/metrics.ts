/** Figures of cluster DNS, under CoreDNS' names. Source: CoreDNS manual, "prometheus" plugin. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createHistogram, exposition, type Family, type Histogram, labelled, TEXT_FORMAT } from '../../metrics.ts';
import { codes } from './encode.ts';

/** Where CoreDNS has them. */
export const METRICS_PORT = 9153;
/** Connections at once. */
const MAX_CONNECTIONS = 32;
/** How long a question may take to come, in ms. */
const REQUEST_MS = 5_000;

/** Types that are told apart. Source: CoreDNS manual, "prometheus" plugin; all others are `other`. */
const TYPES = new Set(['A', 'AAAA', 'DS', 'HTTPS', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'SVCB', 'TXT', 'CNAME', 'ANY']);
const SERVER = 'dns://:53';
const DURATION_BOUNDS = Array.from({ length: 16 }, (_, power) => 0.00025 * 2 ** power);
const names = new Map<number, string>(Object.entries(codes).map(([name, code]) => [code, name]));

export interface Answered {
	readonly transport: 'udp' | 'tcp';
	/** Undefined where it could not be read. */
	readonly type: string | undefined;
	/** The cluster's zone that the name is in; undefined: somebody else was asked. */
	readonly zone: string | undefined;
	readonly response: Buffer;
	readonly seconds: number;
}

export interface DnsMetrics {
	answered(answer: Answered): void;
	families(): Family[];
}

export function createDnsMetrics(): DnsMetrics {
	const requests = new Map<string, number>();
	const responses = new Map<string, number>();
	const durations = new Map<string, Histogram>();
	const count = (counts: Map<string, number>, labels: string) => counts.set(labels, (counts.get(labels) ?? 0) + 1);
	return {
		answered({ transport, type = '', zone, response, seconds }) {
			const common = { server: SERVER, zone: zone === undefined ? '.' : `${zone}.`, view: '' };
			const known = TYPES.has(type) ? type : 'other';
			count(requests, labelled({ ...common, proto: transport, family: '1', type: known }));
			const code = (response[3] ?? 0) & 0xf;
			const plugin = zone === undefined ? 'forward' : 'kubernetes';
			count(responses, labelled({ ...common, rcode: names.get(code) ?? String(code), plugin }));
			const labels = labelled(common);
			const histogram = durations.get(labels) ?? createHistogram(DURATION_BOUNDS);
			durations.set(labels, histogram);
			histogram.observe(seconds);
		},
		families: () => [
			{
				name: 'coredns_dns_requests_total',
				help: 'DNS requests by zone, protocol and type.',
				type: 'counter',
				samples: requests,
			},
			{
				name: 'coredns_dns_responses_total',
				help: 'DNS responses by zone, status code and what they come from.',
				type: 'counter',
				samples: responses,
			},
			{
				name: 'coredns_dns_request_duration_seconds',
				help: 'How long each request took, in seconds.',
				type: 'histogram',
				samples: durations,
			},
			{
				name: 'process_resident_memory_bytes',
				help: 'Resident memory of cluster DNS, in bytes.',
				type: 'gauge',
				samples: [['', process.memoryUsage().rss]],
			},
		],
	};
}

export interface MetricsOptions {
	readonly address: string;
	readonly metrics: DnsMetrics;
	/** Whether a client is answered. */
	serves(client: string): boolean;
}

/** Serves `/metrics` until disposed. Rejects where the port cannot be had. */
export async function serveMetrics({ address, metrics, serves }: MetricsOptions): Promise<AsyncDisposable> {
	const server = createServer({ requestTimeout: REQUEST_MS }, ({ url, socket }, response) => {
		const code = !serves(socket.remoteAddress ?? '') ? 403 : url === '/metrics' ? 200 : 404;
		response.writeHead(code, { 'content-type': TEXT_FORMAT });
		response.end(code === 200 ? exposition(metrics.families()) : undefined);
	});
	server.maxConnections = MAX_CONNECTIONS;
	// One process relieves another.
	server.listen({ host: address, port: METRICS_PORT, reusePort: true });
	await once(server, 'listening');
	return {
		async [Symbol.asyncDispose]() {
			server.close();
			server.closeAllConnections();
			await once(server, 'close');
		},
	};
}
