/** The service load balancer on a real API and store; nodes and endpoints are played. */
import test from 'ava';
import { EndpointSlice, Event, keyOf, Node, Service, SIMULATED_TAINT } from '../../src/kinds/index.ts';
import { type LoadBalancerOptions, loadBalancer } from '../../src/reconcile/services/load-balancer.ts';
import { eventually, found, run, type World, world } from '../client/world.ts';

const CLEANUP = 'service.kubernetes.io/load-balancer-cleanup';

const node = async (w: World, name: string, addresses: Record<string, string>, labels: Record<string, string> = {}) => {
	await w.client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, spec: {} });
	const list = Object.entries(addresses).map(([type, address]) => ({ type, address }));
	await nodeStatus(w, name, { addresses: list, conditions: [{ type: 'Ready', status: 'True' }] });
};

const nodeStatus = (w: World, name: string, status: object) =>
	w.client.patch(Node, { name }, { type: 'strategic', body: { status } }, { subresource: 'status' });

const service = (w: World, name: string, spec: Partial<Service['spec']> = {}, created?: string) =>
	w.client.create(Service, {
		apiVersion: 'v1',
		kind: 'Service',
		metadata: { name, namespace: 'default', ...(created && { creationTimestamp: created }) },
		spec: { type: 'LoadBalancer', selector: { app: name }, ports: [{ port: 80 }], ...spec },
	});

const slice = (w: World, of: string, endpoints: { nodeName: string; ready: boolean }[]) =>
	w.client.patch(
		EndpointSlice,
		{ namespace: 'default', name: of },
		{
			type: 'apply',
			force: true,
			body: {
				apiVersion: 'discovery.k8s.io/v1',
				kind: 'EndpointSlice',
				metadata: { name: of, namespace: 'default', labels: { 'kubernetes.io/service-name': of } },
				addressType: 'IPv4',
				ports: [{ port: 80 }],
				endpoints: endpoints.map(({ nodeName, ready }, at) => ({
					addresses: [`10.244.0.${at + 2}`],
					nodeName,
					conditions: { ready },
				})),
			},
		},
	);

const get = (w: World, name: string) => w.client.get(Service, { namespace: 'default', name });
const ips = ({ status }: Service) => (status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip);
/** Waits until the Service has these addresses. */
const has = (w: World, name: string, addresses: readonly string[]) =>
	eventually(w, [Service], async () => {
		const now = await get(w, name);
		return ips(now).join() === addresses.join() ? now : undefined;
	});
const said = (w: World, name: string, reason: string, message: RegExp) =>
	eventually(w, [Event], async () => {
		const { items } = await w.client.list(Event, { namespace: 'default' });
		return items.find(
			(each) => each.involvedObject.name === name && each.reason === reason && message.test(each.message ?? ''),
		);
	});
const two = async (w: World) => {
	await node(w, 'one', { InternalIP: '10.0.0.1', Hostname: 'one' });
	await node(w, 'two', { InternalIP: '10.0.0.2', ExternalIP: '192.0.2.2' });
};
const start = (t: Parameters<typeof world>[0], w: World, options?: LoadBalancerOptions) =>
	run(t, w, [loadBalancer(options)]);

test('a LoadBalancer has the addresses of the ready nodes, the external ones where a node has them, and is healthy', async (t) => {
	const w = await world(t);
	start(t, w);
	const created = await service(w, 'web');
	t.is(Service.health?.(created)?.status, 'Progressing');
	await said(w, 'web', 'UnAvailableLoadBalancer', /no available nodes/);
	await two(w);
	await node(w, 'apart', { InternalIP: '10.0.0.3' }, { 'node.kubernetes.io/exclude-from-external-load-balancers': '' });
	const now = await has(w, 'web', ['10.0.0.1', '192.0.2.2']);
	t.deepEqual(now.status?.loadBalancer?.ingress?.[0], { ip: '10.0.0.1', ipMode: 'VIP' });
	t.deepEqual(now.metadata.finalizers, [CLEANUP]);
	t.is(Service.health?.(now)?.status, 'Healthy');
	await said(w, 'web', 'EnsuredLoadBalancer', /10\.0\.0\.1, 192\.0\.2\.2/);

	await nodeStatus(w, 'one', { conditions: [{ type: 'Ready', status: 'Unknown' }] });
	await has(w, 'web', ['192.0.2.2']);
	await nodeStatus(w, 'one', { conditions: [{ type: 'Ready', status: 'True' }] });
	await has(w, 'web', ['10.0.0.1', '192.0.2.2']);
	await w.client.delete(Node, { name: 'two' });
	await has(w, 'web', ['10.0.0.1']);
});

test('an address that a node says of itself and that no machine has is given to nobody', async (t) => {
	const w = await world(t);
	await two(w);
	const said = ['127.0.0.1', '0.0.0.0', '169.254.169.254', '224.0.0.1', '10.96.0.1', '10.244.0.6', '192.0.2.9'];
	const addresses = said.map((address) => ({ type: 'ExternalIP', address }));
	// A strategic one would keep one address of each type.
	await w.client.patch(
		Node,
		{ name: 'two' },
		{ type: 'merge', body: { status: { addresses } } },
		{ subresource: 'status' },
	);
	start(t, w, { networks: ['10.244.0.0/16', '10.96.0.0/12'] });
	await service(w, 'web');
	t.deepEqual(ips(await has(w, 'web', ['10.0.0.1', '192.0.2.9'])), ['10.0.0.1', '192.0.2.9']);
});

test('a simulated node beside others, which carries no ports, gives no address until its taint is gone', async (t) => {
	const w = await world(t);
	await two(w);
	const taint = (taints: object[]) =>
		w.client.patch(Node, { name: 'one' }, { type: 'merge', body: { spec: { taints } } });
	await taint([SIMULATED_TAINT]);
	start(t, w);
	await service(w, 'web');
	t.deepEqual(ips(await has(w, 'web', ['192.0.2.2'])), ['192.0.2.2']);
	await taint([{ key: 'other', effect: 'NoSchedule' }]);
	t.deepEqual(ips(await has(w, 'web', ['10.0.0.1', '192.0.2.2'])), ['10.0.0.1', '192.0.2.2']);
});

test('with externalTrafficPolicy Local only nodes with a ready endpoint have the address', async (t) => {
	const w = await world(t);
	await two(w);
	await slice(w, 'web', [
		{ nodeName: 'one', ready: false },
		{ nodeName: 'two', ready: true },
	]);
	start(t, w);
	await service(w, 'web', { externalTrafficPolicy: 'Local' });
	t.deepEqual(ips(await has(w, 'web', ['192.0.2.2'])), ['192.0.2.2']);
	await slice(w, 'web', [{ nodeName: 'one', ready: true }]);
	t.deepEqual(ips(await has(w, 'web', ['10.0.0.1'])), ['10.0.0.1']);
});

test('of two Services for one port the older has it; the other is told whose it is, and has it when that goes', async (t) => {
	const w = await world(t);
	await two(w);
	start(t, w);
	// They may be of one second: then the name decides.
	await service(w, 'a');
	await has(w, 'a', ['10.0.0.1', '192.0.2.2']);
	await service(w, 'b');
	await service(w, 'c', { ports: [{ name: 'dns', port: 80, protocol: 'UDP' }] });
	await has(w, 'c', ['10.0.0.1', '192.0.2.2']);
	await said(
		w,
		'b',
		'SyncLoadBalancerFailed',
		/port 80\/TCP of the nodes is taken by the Service default\/a, which is older/,
	);
	t.deepEqual(ips(await get(w, 'b')), []);
	await w.client.patch(
		Service,
		{ namespace: 'default', name: 'a' },
		{ type: 'merge', body: { spec: { ports: [{ port: 81 }] } } },
	);
	await has(w, 'b', ['10.0.0.1', '192.0.2.2']);
	await has(w, 'a', ['10.0.0.1', '192.0.2.2']);
});

test('the port of another Service as its node port, and those of the platform, are nobody else’s', async (t) => {
	const w = await world(t);
	await two(w);
	await nodeStatus(w, 'one', { daemonEndpoints: { kubeletEndpoint: { Port: 10_250 } } });
	start(t, w, { apiPort: 6443 });
	await service(w, 'api', { ports: [{ port: 6443 }] });
	await service(w, 'agent', { ports: [{ port: 10_250 }] });
	await service(w, 'ports', { type: 'NodePort', ports: [{ port: 1, nodePort: 30_080 }] });
	await service(w, 'late', { ports: [{ port: 30_080 }] });
	await said(w, 'api', 'SyncLoadBalancerFailed', /port 6443\/TCP of the nodes is that of the API server/);
	await said(w, 'agent', 'SyncLoadBalancerFailed', /port 10250\/TCP of the nodes is that of a node agent/);
	await said(w, 'late', 'SyncLoadBalancerFailed', /is a node port of the Service default\/ports/);
	for (const name of ['api', 'agent', 'late']) t.deepEqual(ips(await get(w, name)), []);
	await w.client.delete(Service, { namespace: 'default', name: 'ports' });
	await has(w, 'late', ['10.0.0.1', '192.0.2.2']);
});

test('a Service that is deleted or of another type is given nothing any more', async (t) => {
	const w = await world(t);
	await two(w);
	start(t, w);
	await service(w, 'gone');
	await service(w, 'changed', { ports: [{ port: 81 }] });
	await has(w, 'gone', ['10.0.0.1', '192.0.2.2']);
	await has(w, 'changed', ['10.0.0.1', '192.0.2.2']);
	await w.client.delete(Service, { namespace: 'default', name: 'gone' });
	await eventually(w, [Service], async () =>
		(await found(w.client.get(Service, { namespace: 'default', name: 'gone' }))) ? undefined : true,
	);
	await w.client.patch(
		Service,
		{ namespace: 'default', name: 'changed' },
		{ type: 'merge', body: { spec: { type: 'ClusterIP' } } },
	);
	const now = await eventually(w, [Service], async () => {
		const service = await get(w, 'changed');
		return service.metadata.finalizers ? undefined : service;
	});
	t.deepEqual(now.status, { loadBalancer: {} });
});

test('a Service of a class is left to who gives its addresses', async (t) => {
	const w = await world(t);
	await two(w);
	start(t, w);
	const other = await service(w, 'other', { loadBalancerClass: 'example.com/lb' });
	await service(w, 'web', { ports: [{ port: 81 }] });
	await has(w, 'web', ['10.0.0.1', '192.0.2.2']);
	t.is((await get(w, 'other')).metadata.resourceVersion, other.metadata.resourceVersion);
});

test('switched off it takes back what it gave and no more: Services can be deleted, and others give the addresses', async (t) => {
	const w = await world(t);
	await two(w);
	const before = start(t, w);
	await service(w, 'web');
	await has(w, 'web', ['10.0.0.1', '192.0.2.2']);
	await before.stop();
	const metadata = { name: 'cloud', namespace: 'default' };
	const cloud = await service(w, 'cloud', { ports: [{ port: 81 }] });
	await w.client.as('cloud').update(Service, { ...cloud, metadata: { ...cloud.metadata, finalizers: [CLEANUP] } });
	const status = { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } };
	await w.client.patch(Service, metadata, { type: 'merge', body: { status } }, { subresource: 'status' });
	start(t, w, { enabled: false });
	t.is((await has(w, 'web', [])).metadata.name, 'web');
	await eventually(w, [Service], async () => ((await get(w, 'web')).metadata.finalizers?.length ? undefined : true));
	const { metadata: kept, status: held } = await get(w, 'cloud');
	t.deepEqual(
		[keyOf({ metadata: kept }), kept.finalizers, held?.loadBalancer?.ingress?.[0]?.ip],
		['default/cloud', [CLEANUP], '203.0.113.1'],
	);
});
