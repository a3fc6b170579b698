/** The service `kubernetes` on a real API and store; the servers are played. */
import test from 'ava';
import { EndpointSlice, Endpoints, Lease, Service } from '../../src/kinds/index.ts';
import { type ApiServer, SERVER_LEASE_MS, serverLease } from '../../src/reconcile/services/api-servers.ts';
import { kubernetesService } from '../../src/reconcile/services/kubernetes-service.ts';
import { handClock } from '../client/clock.ts';
import { eventually, found, pass, run, type World, world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';

const name = { name: 'kubernetes', namespace: 'default' };
const self: ApiServer = { address: '192.0.2.7', port: 6443, authority: 'one' };
const SECONDS = SERVER_LEASE_MS / 1000;

/** `192.0.2.7:6443` of Endpoints, which must be what the slices say. */
async function addresses(t: Parameters<typeof world>[0], { client }: World): Promise<string[]> {
	const { subsets = [] } = await client.get(Endpoints, name);
	const listed = subsets.flatMap(({ addresses = [], ports }) => addresses.map(({ ip }) => `${ip}:${ports?.[0]?.port}`));
	const { items } = await client.list(EndpointSlice, { labelSelector: 'kubernetes.io/service-name=kubernetes' });
	const sliced = items.flatMap(({ endpoints, ports }) =>
		(endpoints ?? []).map((endpoint) => `${endpoint.addresses[0]}:${ports?.[0]?.port}`),
	);
	t.deepEqual(sliced.toSorted(), listed.toSorted());
	return listed.toSorted();
}

test('the service kubernetes leads to the API server, and is mended', async (t) => {
	const place = await world(t);
	const { client } = place;
	run(t, place, [kubernetesService({ clusterIP: '10.96.0.1', self })]);
	const whole = (not = '') =>
		eventually(place, [Service, Endpoints, EndpointSlice], async () => {
			const service = await found(client.get(Service, name));
			const slice = await found(client.get(EndpointSlice, name));
			const object = await found(client.get(Endpoints, name));
			return service && service.metadata.uid !== not && slice && object ? { object, service, slice } : undefined;
		});
	const { object, service, slice } = await whole();
	t.is(service.spec.clusterIP, '10.96.0.1');
	t.like(service.spec.ports?.[0], { name: 'https', port: 443, targetPort: 6443 });
	t.deepEqual(object.subsets?.[0]?.addresses, [{ ip: '192.0.2.7' }]);
	t.deepEqual(object.subsets?.[0]?.ports, [{ name: 'https', port: 6443, protocol: 'TCP' }]);
	t.like(slice.endpoints[0], { addresses: ['192.0.2.7'] });
	t.is(slice.metadata.labels?.['kubernetes.io/service-name'], 'kubernetes');
	await client.delete(Service, name);
	t.is((await whole(service.metadata.uid)).service.spec.clusterIP, '10.96.0.1');
});

test('an API that only its own machine reaches is no endpoint', async (t) => {
	const place = await world(t);
	run(t, place, [kubernetesService({ clusterIP: '10.96.0.1', self: { ...self, address: '127.0.0.1' } })]);
	const object = await eventually(place, [Endpoints], () => found(place.client.get(Endpoints, name)));
	t.is(object.subsets, undefined);
	t.deepEqual((await place.client.get(EndpointSlice, name)).endpoints, []);
});

test('the service kubernetes leads to every server that renews its lease, whatever its port, and to none that has stopped', async (t) => {
	const place = await world(t);
	const { client } = place;
	const clock = handClock();
	const lines: string[] = [];
	const log = { ...silentLog, warn: (_: object, line: string) => void lines.push(line) };
	const running = run(t, place, [kubernetesService({ clusterIP: '10.96.0.1', self })], undefined, clock, log);
	const renew = async (identity: string, server: Partial<ApiServer>) => {
		// The clocks of servers need not agree.
		const body = serverLease(identity, { ...self, ...server }, clock.now());
		await client.patch(Lease, body.metadata, { type: 'apply', body, force: true });
	};
	const all = async () => {
		await renew('first', {});
		await renew('second', { address: '192.0.2.8' });
		await renew('third', { address: '192.0.2.9', port: 7443 });
		await renew('stranger', { address: '192.0.2.10', authority: 'another' });
		await renew('local', { address: '127.0.0.1' });
	};
	await all();
	await pass(running, clock, 1);
	const three = ['192.0.2.7:6443', '192.0.2.8:6443', '192.0.2.9:7443'];
	t.deepEqual(await addresses(t, place), three);
	for (let round = 0; round < 3; round++) {
		await pass(running, clock, SECONDS - 1);
		await all();
	}
	t.deepEqual(await addresses(t, place), three);
	t.is(lines.length, 1);
	t.regex(lines[0] ?? '', /certificate authority of its own/);

	await pass(running, clock, SECONDS - 1);
	await renew('second', { address: '192.0.2.8' });
	await pass(running, clock, 2);
	t.deepEqual(await addresses(t, place), ['192.0.2.7:6443', '192.0.2.8:6443']);
	const left = async () => (await client.list(Lease, { namespace: 'kube-system' })).items;
	t.deepEqual(
		(await left()).map(({ spec }) => spec.holderIdentity),
		['second'],
	);
	t.deepEqual(
		(await client.list(EndpointSlice)).items.map(({ metadata }) => metadata.name),
		['kubernetes'],
	);
	// One that says goodbye goes at once.
	for (const { metadata } of await left()) await client.delete(Lease, metadata);
	await pass(running, clock, 0);
	t.deepEqual(await addresses(t, place), ['192.0.2.7:6443']);
});
