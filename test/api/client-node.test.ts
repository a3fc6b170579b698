import {
	AppsV1Api,
	AuthorizationV1Api,
	CoreV1Api,
	KubeConfig,
	KubernetesObjectApi,
	makeInformer,
	PatchStrategy,
	setHeaderOptions,
	Watch,
} from '@kubernetes/client-node';
import test from 'ava';
import { serveTestApi } from '../testbed/api.ts';
import { configMap, deployment, pod, service } from './objects.ts';

const server = await serveTestApi();
test.after.always(() => server[Symbol.asyncDispose]());
const config = new KubeConfig();
config.loadFromFile(server.kubeconfig);
const core = config.makeApiClient(CoreV1Api);
const namespace = 'default';

test('the official client creates, reads, replaces, patches and deletes', async (t) => {
	const apps = config.makeApiClient(AppsV1Api);
	const made = await apps.createNamespacedDeployment({ namespace, body: deployment('web', 2) });
	t.is(made.spec?.replicas, 2);
	t.true(made.metadata?.creationTimestamp instanceof Date);
	if (made.spec) made.spec.replicas = 3;
	const replaced = await apps.replaceNamespacedDeployment({ namespace, name: 'web', body: made });
	t.is(replaced.spec?.replicas, 3);
	const patched = await apps.patchNamespacedDeployment(
		{ namespace, name: 'web', body: { spec: { replicas: 4 } } },
		setHeaderOptions('Content-Type', PatchStrategy.StrategicMergePatch),
	);
	t.is(patched.spec?.replicas, 4);
	const scale = await apps.readNamespacedDeploymentScale({ namespace, name: 'web' });
	t.is(scale.spec?.replicas, 4);
	t.is((await apps.deleteNamespacedDeployment({ namespace, name: 'web' })).status, 'Success');
	await t.throwsAsync(apps.readNamespacedDeployment({ namespace, name: 'web' }), {
		message: /deployments.apps .* not found/,
	});
});

test('the official client applies, evicts, and gets back what it has deleted', async (t) => {
	const objects = KubernetesObjectApi.makeApiClient(config);
	const map = { ...configMap('applied', { a: '1' }), metadata: { name: 'applied', namespace } };
	const apply = (data: Record<string, string>, manager: string, force?: boolean) =>
		objects.patch({ ...map, data }, undefined, undefined, manager, force, PatchStrategy.ServerSideApply);
	t.like(await apply({ a: '1' }, 'one'), { data: { a: '1' } });
	await t.throwsAsync(apply({ a: '2' }, 'two'), { message: /conflict with .+one.+: \.data\.a/ });
	t.like(await apply({ a: '2' }, 'two', true), { data: { a: '2' } });
	await core.createNamespacedService({ namespace, body: service('gone') });
	t.is((await core.deleteNamespacedService({ namespace, name: 'gone' })).spec?.ports?.[0]?.port, 80);
	await core.createNamespacedPod({ namespace, body: pod('evicted') });
	await core.createNamespacedPodEviction({ namespace, name: 'evicted', body: { metadata: { name: 'evicted' } } });
	await t.throwsAsync(core.readNamespacedPod({ namespace, name: 'evicted' }), { message: /not found/ });
	const review = { spec: { user: 'ann', resourceAttributes: { namespace, verb: 'get', resource: 'pods' } } };
	const access = config.makeApiClient(AuthorizationV1Api);
	t.is((await access.createNamespacedLocalSubjectAccessReview({ namespace, body: review })).status?.allowed, false);
});

test('the official client lists in pages and watches', async (t) => {
	for (const name of ['a', 'b', 'c'])
		await core.createNamespacedConfigMap({ namespace: 'kube-public', body: configMap(name) });
	const first = await core.listNamespacedConfigMap({ namespace: 'kube-public', limit: 2 });
	t.is(first.items.length, 2);
	const rest = await core.listNamespacedConfigMap({ namespace: 'kube-public', _continue: first.metadata?._continue });
	t.deepEqual(
		rest.items.map(({ metadata }) => metadata?.name),
		['c'],
	);
	const seen: string[] = [];
	await new Promise<void>((resolve, reject) => {
		const query = { resourceVersion: rest.metadata?.resourceVersion };
		new Watch(config)
			.watch(
				'/api/v1/namespaces/kube-public/configmaps',
				query,
				(type, object) => {
					seen.push(`${type} ${object.metadata.name}`);
					if (seen.length === 2) resolve();
				},
				reject,
			)
			.then(async () => {
				await core.createNamespacedConfigMap({ namespace: 'kube-public', body: configMap('d') });
				await core.deleteNamespacedConfigMap({ namespace: 'kube-public', name: 'a' });
			}, reject);
	});
	t.deepEqual(seen, ['ADDED d', 'DELETED a']);
});

test('the official informer keeps up', async (t) => {
	const path = '/api/v1/namespaces/kube-node-lease/configmaps';
	await core.createNamespacedConfigMap({ namespace: 'kube-node-lease', body: configMap('before') });
	const informer = makeInformer(config, path, () => core.listNamespacedConfigMap({ namespace: 'kube-node-lease' }));
	const events = new Map<string, () => void>();
	const until = (event: string) => new Promise<void>((resolve) => events.set(event, resolve));
	for (const verb of ['add', 'update', 'delete'] as const)
		informer.on(verb, (object) => events.get(`${verb} ${object.metadata?.name}`)?.());
	const added = until('add before');
	await informer.start();
	await added;
	const later = until('add later');
	await core.createNamespacedConfigMap({ namespace: 'kube-node-lease', body: configMap('later') });
	await later;
	const updated = until('update later');
	await core.replaceNamespacedConfigMap({
		namespace: 'kube-node-lease',
		name: 'later',
		body: configMap('later', { a: '1' }),
	});
	await updated;
	const deleted = until('delete later');
	await core.deleteNamespacedConfigMap({ namespace: 'kube-node-lease', name: 'later' });
	await deleted;
	t.deepEqual(
		informer.list().map(({ metadata }) => metadata?.name),
		['before'],
	);
	await informer.stop();
});
