/**
 * The health check ports of services: on each node a balancer that keeps to `externalTrafficPolicy: Local` asks there whether the node
 * has endpoints to send to. Source: Kubernetes documentation, "Source IP for Services with Type=LoadBalancer", and what kube-proxy answers.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type Cache, describe, faults } from '../client/index.ts';
import { EndpointSlice, hasHealthPort, type Key, keyOf, Service } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import { createLoop } from './loop.ts';
import { isOfAnother, SERVICE_INDEX, serviceOf } from './services.ts';
import { synced } from './synced.ts';

/** How often ports that could not be had are tried again, in ms. */
const CHECK_MS = 60_000;
/** Connections of one port at once, in all and of one client: who asks closes soon, and nobody keeps others from asking. */
const MAX_CONNECTIONS = 1_024;
const MAX_CONNECTIONS_OF_CLIENT = 16;
/** How long a question may take to come, in ms. */
const REQUEST_MS = 5_000;

export interface HealthPortsOptions {
	readonly cache: Cache;
	readonly nodeName: string;
	/** Whether the kernel has the rules that it is to have. */
	readonly healthy: () => boolean;
	readonly log: Log;
}

interface Listening {
	readonly key: Key;
	readonly server: Server;
}

/** Serves them until the signal aborts. */
export async function runHealthPorts(options: HealthPortsOptions, signal: AbortSignal): Promise<void> {
	const { cache, log } = options;
	const services = cache.informer(Service);
	const slices = cache.informer(EndpointSlice);
	slices.addIndex(SERVICE_INDEX, (slice) => [serviceOf(slice) ?? []].flat());
	if (!(await synced([services, slices], signal))) return;
	const known = faults(log);
	const open = new Map<number, Listening>();
	const close = async (port: number) => {
		const server = open.get(port)?.server;
		if (!server || !open.delete(port)) return;
		server.close();
		server.closeAllConnections();
		await once(server, 'close');
	};
	const loop = createLoop({
		name: 'health check ports of services',
		everyMs: CHECK_MS,
		log,
		async work() {
			const wanted = new Map(Array.from(services.list()).flatMap((service) => portOf(service)));
			for (const [port, { key }] of open) if (wanted.get(port) !== key) await close(port);
			for (const [port, key] of wanted) {
				if (open.has(port)) continue;
				try {
					open.set(port, { key, server: await listen(port, () => answer(key, options)) });
					known.healed(key, 'the health check port of a service is served', { service: key, port });
				} catch (error) {
					known.failed(key, error, `the health check port of a service cannot be served: ${describe(error)}`, {
						service: key,
						port,
					});
				}
			}
		},
	});
	using _ = services.on(({ object, old }) => {
		if (object?.spec.healthCheckNodePort !== old?.spec.healthCheckNodePort) loop.poke();
	});
	await loop.run(signal);
	for (const port of [...open.keys()]) await close(port);
}

const portOf = (service: Service): [number, Key][] => {
	const { spec } = service;
	const { healthCheckNodePort: port } = spec;
	return port && hasHealthPort(spec) && !isOfAnother(service) ? [[port, keyOf(service)]] : [];
};

interface Answer {
	readonly endpoints: number;
	readonly healthy: boolean;
	readonly service: { readonly namespace: string; readonly name: string };
}

function answer(key: Key, { cache, nodeName, healthy }: HealthPortsOptions): Answer {
	const [namespace = '', name = ''] = key.split('/');
	const addresses = new Set<string>();
	for (const { endpoints } of cache.informer(EndpointSlice).by(SERVICE_INDEX, key))
		for (const each of endpoints ?? [])
			if (each.nodeName === nodeName && each.conditions?.ready !== false)
				for (const ip of each.addresses) addresses.add(ip);
	return { endpoints: addresses.size, healthy: healthy(), service: { namespace, name } };
}

/** On every address of the node: a balancer knows one of them. */
async function listen(port: number, ask: () => Answer): Promise<Server> {
	const times = { requestTimeout: REQUEST_MS, connectionsCheckingInterval: REQUEST_MS };
	const server = createServer(times, (_, response) => {
		const { endpoints, healthy, service } = ask();
		const body = { service, localEndpoints: endpoints, serviceProxyHealthy: healthy };
		response.writeHead(endpoints > 0 && healthy ? 200 : 503, {
			'content-type': 'application/json',
			'x-content-type-options': 'nosniff',
			'x-load-balancing-endpoint-weight': String(endpoints),
		});
		response.end(JSON.stringify(body));
	});
	server.maxConnections = MAX_CONNECTIONS;
	const connections = new Map<string, number>();
	server.on('connection', (socket) => {
		const { remoteAddress: client = '' } = socket;
		const others = connections.get(client) ?? 0;
		if (others >= MAX_CONNECTIONS_OF_CLIENT) return socket.destroy();
		connections.set(client, others + 1);
		socket.on('close', () => {
			const left = (connections.get(client) ?? 1) - 1;
			if (left > 0) connections.set(client, left);
			else connections.delete(client);
		});
	});
	server.listen(port, '0.0.0.0');
	await once(server, 'listening');
	return server;
}
