import test from 'ava';
import { ConfigMap, Pod, ResourceQuota } from '../../../src/kinds/index.ts';
import { countedKinds, resourceQuota } from '../../../src/reconcile/policy/resource-quota.ts';
import { eventually, run, world } from '../../client/world.ts';

const namespace = 'default';
const quota = (hard: Record<string, string>, name = 'q'): ResourceQuota => ({
	apiVersion: 'v1',
	kind: 'ResourceQuota',
	metadata: { name, namespace },
	spec: { hard },
});
const pod = (name: string, cpu: string): Pod => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name, namespace },
	spec: { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu } } }] },
});

test('a quota begins with what there is, and follows what comes and goes', async (t) => {
	const place = await world(t);
	const { client } = place;
	await client.create(Pod, pod('before', '1'));
	run(t, place, [resourceQuota]);
	await client.create(
		ResourceQuota,
		quota({ pods: '2', 'requests.cpu': '1500m', configmaps: '9', 'count/nothing.x': '3' }),
	);
	const statusOf = async () => (await client.get(ResourceQuota, { name: 'q', namespace })).status;
	const begun = await eventually(place, [ResourceQuota], async () =>
		(await statusOf())?.hard ? statusOf() : undefined,
	);
	t.deepEqual(begun, {
		hard: { pods: '2', 'requests.cpu': '1500m', configmaps: '9', 'count/nothing.x': '3' },
		used: { pods: '1', 'requests.cpu': '1', configmaps: '0', 'count/nothing.x': '0' },
	});
	await t.throwsAsync(client.create(Pod, pod('large', '1')), {
		message: /exceeded quota: q, requested: requests.cpu=1/,
	});
	await client.create(Pod, pod('small', '250m'));
	await client.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm', namespace } });
	t.like((await statusOf())?.used, { pods: '2', 'requests.cpu': '1250m', configmaps: '1' });
	await client.delete(Pod, { name: 'before', namespace });
	t.like((await statusOf())?.used, { pods: '1', 'requests.cpu': '250m' });
});

test('a quota that is made smaller than what is used says so, and removes nothing', async (t) => {
	const place = await world(t);
	const { client } = place;
	run(t, place, [resourceQuota]);
	for (const name of ['a', 'b', 'c']) await client.create(Pod, pod(name, '1'));
	await client.create(ResourceQuota, quota({ pods: '5' }));
	const until = (hard: string) =>
		eventually(place, [ResourceQuota], async () => {
			const { status } = await client.get(ResourceQuota, { name: 'q', namespace });
			return status?.hard?.pods === hard ? status : undefined;
		});
	await until('5');
	await client.patch(
		ResourceQuota,
		{ name: 'q', namespace },
		{ type: 'merge', body: { spec: { hard: { pods: '1' } } } },
	);
	t.deepEqual(await until('1'), { hard: { pods: '1' }, used: { pods: '3' } });
	t.is((await client.list(Pod, { namespace })).items.length, 3);
});

test('what a quota says wrongly is counted anew', async (t) => {
	const place = await world(t);
	const { client } = place;
	await client.create(Pod, pod('a', '1'));
	const made = await client.create(ResourceQuota, quota({ pods: '5' }));
	const wrong = { hard: { pods: '5' }, used: { pods: '4' } };
	await client.update(ResourceQuota, { ...made, status: wrong }, { subresource: 'status' });
	run(t, place, [resourceQuota]);
	const used = await eventually(place, [ResourceQuota], async () => {
		const { status } = await client.get(ResourceQuota, { name: 'q', namespace });
		return status?.used?.pods === '4' ? undefined : status?.used;
	});
	t.deepEqual(used, { pods: '1' });
});

test('pods that come while a limit begins are counted, each once', async (t) => {
	const place = await world(t);
	const { client } = place;
	run(t, place, [resourceQuota]);
	const wanted = Array.from({ length: 40 }, (_, i) => i);
	const made = client.create(ResourceQuota, quota({ pods: '1000' }));
	await Promise.all([made, ...wanted.map((i) => client.create(Pod, pod(`p${i}`, '1m')))]);
	const used = await eventually(place, [ResourceQuota, Pod], async () => {
		const { status } = await client.get(ResourceQuota, { name: 'q', namespace });
		return status?.used?.pods === '40' ? status.used : undefined;
	});
	t.deepEqual(used, { pods: '40' });
});

test('a recount looks at the kinds that the limits name, and at no others', async (t) => {
	const { client } = await world(t);
	const names = (...limits: string[]) => countedKinds(limits, client).map(({ kind }) => kind);
	t.deepEqual(names('pods', 'requests.cpu', 'limits.memory', 'requests.example.com/gpu'), ['Pod']);
	t.deepEqual(names('services.nodeports', 'count/deployments.apps'), ['Service', 'Deployment']);
	t.deepEqual(names('secrets', 'count/secrets', 'count/unknown.example.com'), ['Secret']);
});
