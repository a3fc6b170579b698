/** Quotas as the API charges them: exactly, whoever writes at once. */
import test, { type ExecutionContext } from 'ava';
import type { Api } from '../../src/api/index.ts';
import { ApiError, ConfigMap, type Dynamic, Pod, ResourceQuota } from '../../src/kinds/index.ts';
import { admin } from '../testbed/api.ts';
import { servers } from '../testbed/servers.ts';

const namespace = 'default';
const pod = (name: string, cpu = '100m', spec: object = {}) => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name },
	spec: { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu } } }], ...spec },
});
const create = (api: Api, body: object, options = {}) => api.create({ kind: Pod, namespace }, body, options, admin);
const remove = (api: Api, name: string, gracePeriodSeconds = 0) =>
	api.delete({ kind: Pod, namespace, name }, { gracePeriodSeconds }, admin);

/** A quota whose limits hold, as the controller makes it. */
async function limit(api: Api, hard: Record<string, string>, used: Record<string, string>, name = 'q', spec = {}) {
	const body = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name }, spec: { hard, ...spec } };
	const { object } = await api.create({ kind: ResourceQuota, namespace }, body, {}, admin);
	const target = { kind: ResourceQuota, namespace, name, subresource: 'status' } as const;
	await api.update(target, { ...object, status: { hard, used } }, {}, admin);
}
const usedOf = async (api: Api, name = 'q') =>
	(await api.get({ kind: ResourceQuota, namespace, name }, {}, admin)).object.status?.used;

async function refusal(t: ExecutionContext, attempt: Promise<unknown>): Promise<string> {
	const error = await t.throwsAsync(attempt, { instanceOf: ApiError });
	t.is(error?.code, 403);
	return error?.message ?? '';
}

for (const count of [1, 2])
	test(`of 64 pods at once a quota lets in just as many as it has room for, with ${count} servers`, async (t) => {
		const apis = await servers(t, count);
		const at = (i: number) => apis[i % count] as Api;
		await limit(at(0), { pods: '20', 'requests.cpu': '1' }, { pods: '0', 'requests.cpu': '0' });
		const make = (i: number, name = `p${i}`) => create(at(i), pod(name));
		const results = await Promise.allSettled(Array.from({ length: 64 }, (_, i) => make(i)));
		const refused = results.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
		t.is(64 - refused.length, 10, 'the cpu is what there is least of');
		t.true(refused.every((error) => error instanceof ApiError && error.code === 403));
		for (const api of apis) t.deepEqual(await usedOf(api), { pods: '10', 'requests.cpu': '1' });
		const { items } = await at(0).list({ kind: Pod, namespace }, {}, admin);
		t.is(items.length, 10);
		const gone = items.slice(0, 4).map(({ object }) => object.metadata.name);
		await Promise.all(gone.map((name, i) => remove(at(i), name)));
		t.deepEqual(await usedOf(at(1)), { pods: '6', 'requests.cpu': '600m' });
		const again = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => make(i, `again${i}`)));
		t.is(again.filter(({ status }) => status === 'fulfilled').length, 4);
	});

test('a limit holds at every server from the moment in which it begins', async (t) => {
	const [one, two] = (await servers(t, 2)) as [Api, Api];
	for (let i = 0; i < 20; i++) {
		await limit(one, { configmaps: '0' }, { configmaps: '0' }, `q${i}`);
		const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `m${i}` } };
		const message = await refusal(t, two.create({ kind: ConfigMap, namespace }, body, {}, admin));
		t.is(
			message,
			`configmaps "m${i}" is forbidden: exceeded quota: q${i}, requested: configmaps=1, used: configmaps=0, limited: configmaps=0`,
		);
		await one.delete({ kind: ResourceQuota, namespace, name: `q${i}` }, {}, admin);
	}
});

test('what is refused says by which quota, what was asked for, and what is used of what', async (t) => {
	const [api] = (await servers(t, 1)) as [Api];
	await limit(api, { pods: '1', 'requests.cpu': '150m' }, { pods: '0', 'requests.cpu': '0' });
	await create(api, pod('first'));
	t.is(
		await refusal(t, create(api, pod('second'))),
		'pods "second" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=100m, used: pods=1,requests.cpu=100m, limited: pods=1,requests.cpu=150m',
	);
	t.is(
		await refusal(t, create(api, pod('second'), { dryRun: true })),
		'pods "second" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=100m, used: pods=1,requests.cpu=100m, limited: pods=1,requests.cpu=150m',
		'a dry run is told the same',
	);
	t.is(
		await refusal(t, create(api, { ...pod('silent'), spec: { containers: [{ name: 'c', image: 'i' }] } })),
		'pods "silent" is forbidden: failed quota: q: must specify requests.cpu for: c',
	);
	t.deepEqual(await usedOf(api), { pods: '1', 'requests.cpu': '100m' });
	await create(api, pod('tried', '10m'), { dryRun: true }).catch(() => undefined);
	t.deepEqual(await usedOf(api), { pods: '1', 'requests.cpu': '100m' }, 'a dry run charges nothing');
});

test('a pod counts until it has ended or is gone, and its end is never refused', async (t) => {
	const [api] = (await servers(t, 1)) as [Api];
	await limit(api, { pods: '2', 'count/pods': '2' }, { pods: '0', 'count/pods': '0' });
	await create(api, pod('p', '100m', { nodeName: 'n1' }));
	await remove(api, 'p', 30);
	t.deepEqual(await usedOf(api), { pods: '1', 'count/pods': '1' }, 'it runs on for its grace period');
	const status = { kind: Pod, namespace, name: 'p', subresource: 'status' } as const;
	await api.patch(status, { type: 'merge', body: { status: { phase: 'Succeeded' } } }, {}, admin);
	t.deepEqual(await usedOf(api), { pods: '0', 'count/pods': '1' });
	await remove(api, 'p');
	t.deepEqual(await usedOf(api), { pods: '0', 'count/pods': '0' });
});

test('a quota below what is used refuses more, and lets go of what there is', async (t) => {
	const [api] = (await servers(t, 1)) as [Api];
	await create(api, pod('a'));
	await create(api, pod('b'));
	await limit(api, { pods: '1' }, { pods: '2' });
	t.regex(await refusal(t, create(api, pod('c'))), /requested: pods=1, used: pods=2, limited: pods=1/);
	await remove(api, 'a');
	t.deepEqual(await usedOf(api), { pods: '1' });
});

test('every quota of the namespace has its say, and the others are not charged for what one refuses', async (t) => {
	const [api] = (await servers(t, 1)) as [Api];
	await limit(api, { pods: '5' }, { pods: '0' }, 'wide');
	await limit(api, { pods: '0' }, { pods: '0' }, 'narrow', { scopes: ['Terminating'] });
	await create(api, pod('stays'));
	t.regex(await refusal(t, create(api, pod('ends', '1m', { activeDeadlineSeconds: 5 }))), /exceeded quota: narrow/);
	t.deepEqual(await usedOf(api, 'wide'), { pods: '1' });
	t.deepEqual(await usedOf(api, 'narrow'), { pods: '0' });
});

test('a quota of quotas is charged for the others', async (t) => {
	const [api] = (await servers(t, 1)) as [Api];
	await limit(api, { resourcequotas: '2' }, { resourcequotas: '1' }, 'first');
	await limit(api, { pods: '1' }, { pods: '0' }, 'second');
	const third = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'third' }, spec: {} };
	const made = api.create({ kind: ResourceQuota, namespace }, third, {}, admin);
	t.regex(await refusal(t, made), /exceeded quota: first/);
	await Promise.all(['first', 'second'].map((name) => api.delete({ kind: ResourceQuota, namespace, name }, {}, admin)));
	const { items } = await api.list({ kind: ResourceQuota, namespace }, {}, admin);
	t.deepEqual(items as unknown as Dynamic[], [], 'two that charge each other can go at once');
});
