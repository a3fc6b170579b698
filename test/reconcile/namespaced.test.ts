import test from 'ava';
import { ConfigMap, Event, Namespace, ServiceAccount } from '../../src/kinds/index.ts';
import { rootCa } from '../../src/reconcile/accounts/root-ca.ts';
import { serviceAccount } from '../../src/reconcile/accounts/service-account.ts';
import { EVENT_TTL_MS, eventTtl, lastSeen } from '../../src/reconcile/cleanup/event-ttl.ts';
import { namespace } from '../../src/reconcile/cleanup/namespace.ts';
import { eventually, found, run, type World, world } from '../client/world.ts';

const makeNamespace = (w: World, name: string) =>
	w.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} });

test('each namespace has a default ServiceAccount, also after it was deleted', async (t) => {
	const w = await world(t);
	run(t, w, [serviceAccount]);
	await makeNamespace(w, 'new');
	const account = (name: string) =>
		eventually(w, [ServiceAccount], async () =>
			found(w.client.get(ServiceAccount, { name: 'default', namespace: name })),
		);
	await account('default');
	const first = await account('new');
	await w.client.delete(ServiceAccount, { name: 'default', namespace: 'new' });
	const second = await eventually(w, [ServiceAccount], async () => {
		const object = await account('new');
		return object.metadata.uid === first.metadata.uid ? undefined : object;
	});
	t.not(second.metadata.uid, first.metadata.uid);
});

test('each namespace has the certificate authority, as it is now, until it is deleted', async (t) => {
	const w = await world(t);
	const before = run(t, w, [rootCa('old CA')]);
	const holding = (ca: string) =>
		eventually(w, [ConfigMap], async () => {
			const object = await found(w.client.get(ConfigMap, { name: 'kube-root-ca.crt', namespace: 'new' }));
			return object?.data?.['ca.crt'] === ca ? object : undefined;
		});
	await makeNamespace(w, 'new');
	await holding('old CA');
	await before.stop();
	run(t, w, [rootCa('new CA'), serviceAccount, namespace]);
	await holding('new CA');
	await w.client.patch(
		ConfigMap,
		{ name: 'kube-root-ca.crt', namespace: 'new' },
		{ type: 'merge', body: { data: { 'ca.crt': 'forged' } } },
	);
	t.deepEqual((await holding('new CA')).data, { 'ca.crt': 'new CA' });
	await w.client.delete(Namespace, { name: 'new' });
	await eventually(w, [Namespace], async () =>
		(await found(w.client.get(Namespace, { name: 'new' }))) ? undefined : true,
	);
	t.deepEqual((await w.client.list(ConfigMap, { namespace: 'new' })).items, []);
});

const event = (name: string, lastTimestamp: string): Event => ({
	apiVersion: 'v1',
	kind: 'Event',
	metadata: { name, namespace: 'default' },
	involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
	reason: 'Tested',
	lastTimestamp,
});

test('events go an hour after they last happened', async (t) => {
	const w = await world(t);
	const now = Date.parse('2030-01-01T12:00:00Z');
	await w.client.create(Event, event('old', '2030-01-01T10:59:59Z'));
	await w.client.create(Event, event('recent', '2030-01-01T11:30:00Z'));
	run(t, w, [eventTtl], () => now);
	await eventually(w, [Event], async () =>
		(await found(w.client.get(Event, { name: 'old', namespace: 'default' }))) ? undefined : true,
	);
	t.truthy(await found(w.client.get(Event, { name: 'recent', namespace: 'default' })));
});

test('the last time of an event is the newest of all that it has', (t) => {
	const at = (time: string) => Date.parse(`2030-01-01T${time}Z`);
	const old = event('e', '2030-01-01T10:00:00Z');
	t.is(lastSeen(old), at('10:00:00'));
	t.is(lastSeen({ ...old, series: { count: 2, lastObservedTime: '2030-01-01T11:00:00.000000Z' } }), at('11:00:00'));
	t.is(
		lastSeen({ ...old, lastTimestamp: undefined, metadata: { name: 'e', creationTimestamp: '2030-01-01T09:00:00Z' } }),
		at('09:00:00'),
	);
	t.true(EVENT_TTL_MS === 3600_000);
});
