/** What goes into one commit beside the object: claims, counts, and the term of a leader. Also with two servers on one store. */
import test from 'ava';
import type { Api, Caller, Counter } from '../../src/api/index.ts';
import { inProcess, runWhileLeader } from '../../src/client/index.ts';
import { ApiError, ConfigMap, forbidden, type Kind, Lease, Service } from '../../src/kinds/index.ts';
import { admin } from '../testbed/api.ts';
import { servers } from '../testbed/servers.ts';
import { silentLog } from '../testbed/silent-log.ts';

const namespace = 'default';
const map = (name: string, data: object = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });
const codeOf = (error: unknown) => (error instanceof ApiError ? error.code : String(error));

const LIMIT = 40;
/** At most so many ConfigMaps in a namespace. */
const quota: Counter = {
	counts(kind, before, after) {
		if (kind.plural !== 'configmaps' || Boolean(before) === Boolean(after)) return [];
		return [
			{
				name: 'maps/default',
				next(value) {
					const used = (typeof value === 'number' ? value : 0) + (after ? 1 : -1);
					if (used > LIMIT) throw forbidden(kind, after?.metadata.name ?? '', 'exceeded quota');
					return used;
				},
			},
		];
	},
};

for (const count of [1, 2])
	test(`of 64 creations at once just as many are made as a count allows, with ${count} servers`, async (t) => {
		const apis = await servers(t, count, { counters: [quota] });
		const at = (i: number) => apis[i % count] as Api;
		const make = (i: number, name = `m${i}`) => at(i).create({ kind: ConfigMap, namespace }, map(name), {}, admin);
		const results = await Promise.allSettled(Array.from({ length: 64 }, (_, i) => make(i)));
		const codes = results.map((result) => (result.status === 'fulfilled' ? 201 : codeOf(result.reason)));
		t.is(codes.filter((code) => code === 201).length, LIMIT, JSON.stringify(codes));
		t.deepEqual(
			codes.filter((code) => code !== 201),
			Array(64 - LIMIT).fill(403),
		);
		const [api] = apis as [Api];
		const { items } = await api.list({ kind: ConfigMap, namespace }, {}, admin);
		t.is(items.length, LIMIT);
		const gone = items.slice(0, 10).map(({ object }) => object.metadata.name);
		await Promise.all(gone.map((name, i) => at(i).delete({ kind: ConfigMap, namespace, name }, {}, admin)));
		const again = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => make(i, `again${i}`)));
		t.is(again.filter(({ status }) => status === 'fulfilled').length, 10);
	});

test('64 services at once on two servers get an address each, and none twice', async (t) => {
	const apis = await servers(t, 2, { services: { cidr: '10.9.0.0/25' } });
	const service = (name: string) => ({
		apiVersion: 'v1',
		kind: 'Service',
		metadata: { name },
		spec: { ports: [{ port: 80 }] },
	});
	const made = await Promise.all(
		Array.from({ length: 64 }, (_, i) =>
			(apis[i % 2] as Api).create({ kind: Service, namespace }, service(`s${i}`), {}, admin),
		),
	);
	t.is(new Set(made.map(({ object }) => object.spec.clusterIP)).size, 64);
});

/** Every write that a leader may make to `there`. */
const writes = (api: Api, leader: Caller): readonly (() => Promise<unknown>)[] => {
	const target = { kind: ConfigMap, namespace, name: 'there' };
	return [
		() => api.create({ kind: ConfigMap, namespace }, map('late'), {}, leader),
		() => api.update(target, map('there', { late: 'yes' }), {}, leader),
		() => api.patch(target, { type: 'merge', body: { data: { late: 'yes' } } }, {}, leader),
		() => api.patch(target, { type: 'apply', body: map('there', { late: 'yes' }) }, { fieldManager: 'x' }, leader),
		() => api.patch({ ...target, name: 'new' }, { type: 'apply', body: map('new') }, { fieldManager: 'x' }, leader),
		() => api.delete(target, {}, leader),
	];
};

const lease = (holderIdentity: string, leaseTransitions = 0) => ({
	apiVersion: 'coordination.k8s.io/v1',
	kind: 'Lease',
	metadata: { name: 'leader', namespace: 'kube-system' },
	spec: { holderIdentity, leaseTransitions },
});
const leases = { kind: Lease, namespace: 'kube-system' };

test('a leader writes while it holds the Lease, and nothing from the commit on in which another takes it', async (t) => {
	const [one, two] = (await servers(t, 2)) as [Api, Api];
	const held = await one.create(leases, lease('one'), {}, admin);
	const fence = await one.fence(held.object);
	const leader: Caller = { ...admin, fence };
	await one.create({ kind: ConfigMap, namespace }, map('there', { a: '1' }), {}, leader);
	for (let i = 0; i < 10; i++) {
		await one.patch(
			{ ...leases, name: 'leader' },
			{ type: 'merge', body: { spec: { renewTime: '2026-01-01T00:00:00.000000Z' } } },
			{},
			admin,
		);
		await one.patch(
			{ kind: ConfigMap, namespace, name: 'there' },
			{ type: 'merge', body: { data: { i: `${i}` } } },
			{},
			leader,
		);
	}
	const before = await two.get({ kind: ConfigMap, namespace, name: 'there' }, {}, admin);

	// At once, through the other server: this one need not have heard of it.
	const taken = await two.update(
		{ ...leases, name: 'leader' },
		{
			...lease('two', 1),
			metadata: {
				...lease('two').metadata,
				resourceVersion: (await two.get({ ...leases, name: 'leader' }, {}, admin)).object.metadata.resourceVersion,
			},
		},
		{},
		admin,
	);
	for (const write of writes(one, leader)) {
		const cause = await t.throwsAsync<ApiError>(write, { instanceOf: ApiError }, String(write));
		t.is(cause.code, 409, cause.message);
		t.is(
			cause.message.includes('the lease leader is held by another by now: nothing was written'),
			true,
			cause.message,
		);
	}
	const after = await two.get({ kind: ConfigMap, namespace, name: 'there' }, {}, admin);
	t.is(after.revision, before.revision);
	t.deepEqual(
		(await two.list({ kind: ConfigMap, namespace }, {}, admin)).items.map(({ object }) => object.metadata.name),
		['there'],
	);
	await t.throwsAsync(one.fence(held.object), { instanceOf: ApiError });
	const next: Caller = { ...admin, fence: await two.fence(taken.object) };
	await two.delete({ kind: ConfigMap, namespace, name: 'there' }, {}, next);
});

test('a process that took its own Lease again after a restart writes, and the one before it does no more', async (t) => {
	const [api] = (await servers(t, 1)) as [Api];
	const callers: Caller[] = [];
	for (let i = 0; i < 2; i++) {
		const stop = new AbortController();
		const options = { name: 'leader', identity: 'me', now: Date.now, signal: stop.signal, log: silentLog };
		// The first one dies without giving the Lease back: its client is cut off.
		let dead = false;
		const client = inProcess(api, admin);
		const mortal = {
			...client,
			update: (...call: Parameters<typeof client.update>) =>
				dead ? Promise.reject(new Error('dead')) : client.update(...call),
		} as typeof client;
		await runWhileLeader(mortal, options, async (_signal, _holds, held) => {
			callers.push({ ...admin, fence: await api.fence(held) });
			dead = true;
			stop.abort();
		});
	}
	const [before, now] = callers as [Caller, Caller];
	const make = (name: string, caller: Caller) => api.create({ kind: ConfigMap, namespace }, map(name), {}, caller);
	await make('now', now);
	t.is((await t.throwsAsync<ApiError>(make('before', before))).code, 409);
});

test('leases by which nodes say that they live, and those that nobody holds, are no terms', async (t) => {
	const [api] = (await servers(t, 1)) as [Api];
	const of = lease('n1');
	const node = await api.create(
		{ kind: Lease, namespace: 'kube-node-lease' },
		{ ...of, metadata: { name: 'n1' } },
		{},
		admin,
	);
	await t.throwsAsync(api.fence(node.object), { instanceOf: ApiError });
	t.deepEqual((Lease as unknown as Kind).claims(node.object), []);
});
