/** Endpoints and EndpointSlices on a real API and store; only the nodes are played. */
import test from 'ava';
import { EndpointSlice, Endpoints, Pod, Service } from '../../src/kinds/index.ts';
import { clusterDns } from '../../src/reconcile/services/cluster-dns.ts';
import { endpoints } from '../../src/reconcile/services/endpoints.ts';
import { endpointSlice } from '../../src/reconcile/services/endpointslice.ts';
import { endpointSliceMirroring } from '../../src/reconcile/services/endpointslice-mirroring.ts';
import { kubernetesService } from '../../src/reconcile/services/kubernetes-service.ts';
import { handClock } from '../client/clock.ts';
import { eventually, found, pass, run, settled, type World, world } from '../client/world.ts';
import { kubelet } from './kubelet.ts';

const web = { name: 'web', namespace: 'default' };
const makeService = (name: string, spec: Partial<Service['spec']> = {}): Service => ({
	apiVersion: 'v1',
	kind: 'Service',
	metadata: { name, namespace: 'default' },
	spec: { selector: { app: name }, ports: [{ port: 80, targetPort: 'http' }], ...spec },
});
const addPod = ({ client }: World, name: string, app = 'web') =>
	client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, namespace: 'default', labels: { app } },
		spec: {
			nodeName: 'n1',
			containers: [{ name: 'main', image: 'example', ports: [{ name: 'http', containerPort: 8080 }] }],
		},
	});

async function start(t: Parameters<typeof world>[0]) {
	const place = await world(t);
	const node = kubelet();
	const running = run(t, place, [endpoints({ gatherMs: 0 }), endpointSlice, node.controller]);
	return { place, client: place.client, node, running };
}

/** `p1:ready p2:serving,terminating` */
const sliced = async ({ client }: World, name = 'web') => {
	const { items } = await client.list(EndpointSlice, { labelSelector: `kubernetes.io/service-name=${name}` });
	return items
		.flatMap((slice) => slice.endpoints ?? [])
		.map(({ targetRef, conditions }) => {
			const states = Object.entries(conditions ?? {}).flatMap(([state, is]) => (is ? [state] : []));
			return `${targetRef?.name}:${states.sort().join()}`;
		})
		.sort()
		.join(' ');
};
const listed = async ({ client }: World, name = 'web') => {
	const object = await found(client.get(Endpoints, { name, namespace: 'default' }));
	return (object?.subsets ?? [])
		.map(({ addresses = [], notReadyAddresses = [], ports = [] }) =>
			[addresses, notReadyAddresses]
				.map((list) => list.map(({ targetRef }) => targetRef?.name).join())
				.join('/')
				.concat(` on ${ports.map(({ port }) => port).join()}`),
		)
		.join(' ');
};
const shows = (place: World, slices: string, object: string) =>
	eventually(place, [Pod, EndpointSlice, Endpoints], async () =>
		(await sliced(place)) === slices && (await listed(place)) === object ? true : undefined,
	);

test('a service finds its pods as they become ready, stop being it, terminate and go', async (t) => {
	const { place, client, node } = await start(t);
	await client.create(Service, makeService('web'));
	await shows(place, '', '');
	await addPod(place, 'p1');
	await addPod(place, 'p2');
	await addPod(place, 'x', 'other');
	await shows(place, 'p1:ready,serving p2:ready,serving', 'p1,p2/ on 8080');

	node.ready = ({ metadata }) => metadata.name !== 'p2';
	await client.patch(
		Pod,
		{ ...web, name: 'p2' },
		{ type: 'merge', body: { metadata: { annotations: { touched: '1' } } } },
	);
	await shows(place, 'p1:ready,serving p2:', 'p1/p2 on 8080');

	node.ends = () => false;
	await client.delete(Pod, { ...web, name: 'p1' });
	await shows(place, 'p1:serving,terminating p2:', '/p2 on 8080');
	await client.delete(Pod, { ...web, name: 'p1' }, { gracePeriodSeconds: 0 });
	await shows(place, 'p2:', '/p2 on 8080');
	t.pass();
});

test('a relabelled pod leaves one service for another', async (t) => {
	const { place, client } = await start(t);
	await client.create(Service, makeService('web'));
	await client.create(Service, makeService('other'));
	await addPod(place, 'p1');
	await shows(place, 'p1:ready,serving', 'p1/ on 8080');
	await client.patch(Pod, { ...web, name: 'p1' }, { type: 'merge', body: { metadata: { labels: { app: 'other' } } } });
	await shows(place, '', '');
	await eventually(place, [EndpointSlice], async () =>
		(await sliced(place, 'other')) === 'p1:ready,serving' ? true : undefined,
	);
	t.pass();
});

test('a change of a pod costs the services that select it, and no others', async (t) => {
	const { place, client, running } = await start(t);
	for (let number = 0; number < 20; number++) await client.create(Service, makeService(`s${number}`));
	await client.create(Service, makeService('web'));
	await addPod(place, 'p1');
	await shows(place, 'p1:ready,serving', 'p1/ on 8080');
	const looks = () =>
		(running.metrics.get('endpointslice')?.works.count ?? 0) + (running.metrics.get('endpoints')?.works.count ?? 0);
	const before = looks();
	const versions = async () => (await client.list(EndpointSlice)).items.map(({ metadata }) => metadata.resourceVersion);
	const written = await versions();
	await addPod(place, 'p2');
	await shows(place, 'p1:ready,serving p2:ready,serving', 'p1,p2/ on 8080');
	t.true(looks() - before < 20);
	t.is((await versions()).filter((version) => !written.includes(version)).length, 1);
});

test('changes of pods are gathered: Endpoints are written once in a period, and of each change that matters', async (t) => {
	const place = await world(t);
	const clock = handClock();
	const { client } = place;
	const running = run(t, place, [endpoints(), kubelet().controller], undefined, clock);
	const versions = new Set<string | undefined>();
	using _ = place.cache.informer(Endpoints).on(({ object }) => void versions.add(object?.metadata.resourceVersion));
	await client.create(Service, makeService('web'));
	await pass(running, clock, 0);
	t.is(versions.size, 1, 'a service has them at once');
	for (let at = 0; at < 9; at++) await addPod(place, `p${at}`);
	await pass(running, clock, 0);
	t.is(versions.size, 1);
	await pass(running, clock, 1);
	t.is(versions.size, 2);
	t.is(await listed(place), 'p0,p1,p2,p3,p4,p5,p6,p7,p8/ on 8080');
	const looks = () => running.metrics.get('endpoints')?.works.count;
	await pass(running, clock, 10);
	const before = looks();
	const body = {
		status: { containerStatuses: [{ name: 'main', image: '', imageID: '', ready: true, restartCount: 7 }] },
	};
	await client.patch(Pod, { ...web, name: 'p3' }, { type: 'strategic', body }, { subresource: 'status' });
	await pass(running, clock, 10);
	t.is(looks(), before, 'a count of restarts is no matter of endpoints');
	t.is(versions.size, 2);
});

test('endpoints that somebody changed by hand are mended, those of services without selector are left alone', async (t) => {
	const { place, client } = await start(t);
	await client.create(Service, makeService('web'));
	await addPod(place, 'p1');
	await shows(place, 'p1:ready,serving', 'p1/ on 8080');
	const [slice] = (await client.list(EndpointSlice, { labelSelector: 'kubernetes.io/service-name=web' })).items;
	if (!slice) return t.fail();
	await client.update(EndpointSlice, { ...slice, endpoints: [] });
	await client.patch(Endpoints, web, { type: 'merge', body: { subsets: null } });
	await shows(place, 'p1:ready,serving', 'p1/ on 8080');
	await client.delete(EndpointSlice, slice.metadata);
	await client.delete(Endpoints, web);
	await shows(place, 'p1:ready,serving', 'p1/ on 8080');

	await client.create(Service, makeService('outside', { selector: undefined }));
	const own: Endpoints = {
		apiVersion: 'v1',
		kind: 'Endpoints',
		metadata: { name: 'outside', namespace: 'default' },
		subsets: [{ addresses: [{ ip: '192.0.2.1' }], ports: [{ port: 80, protocol: 'TCP' }] }],
	};
	await client.create(Endpoints, own);
	// Something that both controllers do after they have seen the service above.
	await addPod(place, 'p2');
	await shows(place, 'p1:ready,serving p2:ready,serving', 'p1,p2/ on 8080');
	t.deepEqual((await client.get(Endpoints, own.metadata)).subsets, own.subsets);
	t.is((await client.list(EndpointSlice, { labelSelector: 'kubernetes.io/service-name=outside' })).items.length, 0);
});

test('the endpoints of a deleted service go', async (t) => {
	const { place, client } = await start(t);
	await client.create(Service, makeService('web'));
	await addPod(place, 'p1');
	await shows(place, 'p1:ready,serving', 'p1/ on 8080');
	await client.delete(Service, web);
	await eventually(place, [Endpoints], async () => ((await found(client.get(Endpoints, web))) ? undefined : true));
	t.pass();
});

test('endpoints that are made by hand are mirrored into slices, as long as they are there', async (t) => {
	const place = await world(t);
	const { client } = place;
	const running = run(t, place, [
		endpoints(),
		endpointSlice,
		endpointSliceMirroring,
		kubernetesService({ clusterIP: '10.96.0.1', self: { address: '192.0.2.7', port: 6443, authority: 'one' } }),
	]);
	const byHand = (ip: string, port: number): Endpoints => ({
		apiVersion: 'v1',
		kind: 'Endpoints',
		metadata: { ...web, labels: { tier: 'outside' }, annotations: { 'example.com/note': 'by hand' } },
		subsets: [{ addresses: [{ ip }], ports: [{ name: 'http', port, protocol: 'TCP' }] }],
	});
	const slices = async () =>
		(await client.list(EndpointSlice, { labelSelector: 'kubernetes.io/service-name=web' })).items;
	const mirrored = (ip: string) =>
		eventually(place, [EndpointSlice], async () => {
			const [slice, ...others] = await slices();
			return others.length === 0 && slice?.endpoints[0]?.addresses[0] === ip ? slice : undefined;
		});
	const none = () => eventually(place, [EndpointSlice], async () => ((await slices()).length === 0 ? true : undefined));

	await client.create(Service, makeService('web', { selector: undefined, ports: [{ name: 'http', port: 80 }] }));
	const made = await client.create(Endpoints, byHand('192.0.2.1', 80));
	const first = await mirrored('192.0.2.1');
	t.like(first, { addressType: 'IPv4', ports: [{ name: 'http', port: 80, protocol: 'TCP' }] });
	t.deepEqual(first.endpoints, [{ addresses: ['192.0.2.1'], conditions: { ready: true } }]);
	t.like(first.metadata.ownerReferences?.[0], { kind: 'Endpoints', uid: made.metadata.uid, controller: true });
	t.like(first.metadata.labels, {
		tier: 'outside',
		'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io',
	});
	t.deepEqual(first.metadata.annotations, { 'example.com/note': 'by hand' });

	await client.update(Endpoints, byHand('192.0.2.2', 8080));
	t.is((await mirrored('192.0.2.2')).ports?.[0]?.port, 8080);

	const skip = (value: string | null) =>
		client.patch(Endpoints, web, {
			type: 'merge',
			body: { metadata: { labels: { 'endpointslice.kubernetes.io/skip-mirror': value } } },
		});
	await skip('true');
	await none();
	await skip(null);
	await mirrored('192.0.2.2');
	await client.delete(Endpoints, web);
	await none();

	// Those of the API are not mirrored: it has a slice of its own.
	await settled(place, running, Service, await client.get(Service, { name: 'kubernetes', namespace: 'default' }));
	const own = await client.list(EndpointSlice, { labelSelector: 'kubernetes.io/service-name=kubernetes' });
	t.is(own.items.length, 1);
});

test('cluster DNS has a service of its name at its address, which is mended', async (t) => {
	const place = await world(t);
	const { client } = place;
	run(t, place, [clusterDns('10.96.0.10')]);
	const name = { name: 'kube-dns', namespace: 'kube-system' };
	const there = () => eventually(place, [Service], () => found(client.get(Service, name)));
	const made = await there();
	t.is(made.spec.clusterIP, '10.96.0.10');
	t.is(made.spec.selector, undefined);
	t.deepEqual(
		made.spec.ports?.map(({ name, port, protocol }) => `${name} ${port}/${protocol}`),
		['dns 53/UDP', 'dns-tcp 53/TCP', 'metrics 9153/TCP'],
	);
	t.deepEqual(made.metadata.labels, {
		'k8s-app': 'kube-dns',
		'kubernetes.io/cluster-service': 'true',
		'kubernetes.io/name': 'CoreDNS',
	});
	await client.delete(Service, name);
	await eventually(place, [Service], async () => {
		const again = await found(client.get(Service, name));
		return again && again.metadata.uid !== made.metadata.uid ? again : undefined;
	});
	await client.patch(Service, name, { type: 'merge', body: { spec: { ports: [{ port: 54 }] } } });
	await eventually(place, [Service], async () => {
		const { spec } = await client.get(Service, name);
		return spec.ports?.length === 3 ? true : undefined;
	});
	t.pass();
});
