/** Health check ports of services on a real API; slices are played. */
import { get } from 'node:http';
import { connect } from 'node:net';
import test from 'ava';
import { EndpointSlice, Service } from '../../src/kinds/index.ts';
import { runHealthPorts } from '../../src/proxy/health-ports.ts';
import { world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';

const PATIENCE_MS = 20_000;

test('a health check port tells the ready endpoints of its node, and goes with its service', async (t) => {
	const { client, cache } = await world(t);
	const stop = new AbortController();
	let healthy = false;
	const running = runHealthPorts({ cache, nodeName: 'here', healthy: () => healthy, log: silentLog }, stop.signal);
	t.teardown(() => {
		stop.abort();
		return running;
	});
	const name = { namespace: 'default', name: 'web' };
	const { spec } = await client.create(Service, {
		apiVersion: 'v1',
		kind: 'Service',
		metadata: name,
		spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', selector: { app: 'web' }, ports: [{ port: 80 }] },
	});
	const url = `http://127.0.0.1:${spec.healthCheckNodePort}/`;
	/** Code, endpoints, health and weight; `refused` where nobody listens. */
	const ask = async () => {
		try {
			const response = await fetch(url, { headers: { connection: 'close' } });
			const body = (await response.json()) as Record<string, unknown>;
			t.deepEqual(body.service, name);
			const weight = response.headers.get('x-load-balancing-endpoint-weight');
			return `${response.status} ${body.localEndpoints} ${body.serviceProxyHealthy} ${weight}`;
		} catch {
			return 'refused';
		}
	};
	const until = async (wanted: string) => {
		const deadline = Date.now() + PATIENCE_MS;
		for (let seen = await ask(); seen !== wanted; seen = await ask()) {
			if (Date.now() > deadline) throw new Error(`${url} answers ${seen} and not ${wanted}`);
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
		t.pass();
	};
	await until('503 0 false 0');
	healthy = true;
	await until('503 0 true 0');
	const endpoint = (ip: string, nodeName: string, conditions?: object) => ({ addresses: [ip], nodeName, conditions });
	await client.create(EndpointSlice, {
		apiVersion: 'discovery.k8s.io/v1',
		kind: 'EndpointSlice',
		metadata: { name: 'web-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
		addressType: 'IPv4',
		ports: [{ port: 8080 }],
		endpoints: [
			endpoint('10.244.0.2', 'here', { ready: true }),
			endpoint('10.244.0.3', 'here'),
			endpoint('10.244.0.4', 'here', { ready: false, serving: true, terminating: true }),
			endpoint('10.244.1.2', 'there', { ready: true }),
		],
	});
	await until('200 2 true 2');
	healthy = false;
	await until('503 2 false 2');
	await client.delete(Service, name);
	await until('refused');
});

test('a client that holds connections keeps nobody else from asking', async (t) => {
	const { client, cache } = await world(t);
	const stop = new AbortController();
	const running = runHealthPorts({ cache, nodeName: 'here', healthy: () => true, log: silentLog }, stop.signal);
	t.teardown(() => {
		stop.abort();
		return running;
	});
	const { spec } = await client.create(Service, {
		apiVersion: 'v1',
		kind: 'Service',
		metadata: { namespace: 'default', name: 'web' },
		spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', selector: { app: 'web' }, ports: [{ port: 80 }] },
	});
	const port = spec.healthCheckNodePort ?? 0;
	const hold = () =>
		new Promise<'held' | 'refused'>((resolve) => {
			const socket = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.1' });
			t.teardown(() => socket.destroy());
			socket.on('connect', () => resolve('held'));
			socket.on('error', () => resolve('refused'));
		});
	for (const end = Date.now() + PATIENCE_MS; (await hold()) === 'refused'; )
		if (Date.now() > end) throw new Error(`nobody listens on port ${port}`);
	for (let i = 0; i < 1_100; i++) await hold();
	const code = await new Promise((resolve) => {
		const options = { host: '127.0.0.1', port, localAddress: '127.0.0.2', agent: false };
		get(options, (response) => resolve(response.resume().statusCode)).on('error', ({ message }) => resolve(message));
	});
	t.is(code, 503);
});
