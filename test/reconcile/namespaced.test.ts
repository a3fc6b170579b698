import test from 'ava';
import { ConfigMap, Namespace, ServiceAccount } from '../../src/kinds/index.ts';
import { rootCa } from '../../src/reconcile/accounts/root-ca.ts';
import { serviceAccount } from '../../src/reconcile/accounts/service-account.ts';
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
