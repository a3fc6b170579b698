/** What several servers on one store promise, when the watch of one lags behind and when the answer to a commit is lost. */
import test, { type ExecutionContext } from 'ava';
import { type Api, openApi } from '../../src/api/index.ts';
import { StoredObject } from '../../src/api/storage.ts';
import { ApiError, ConfigMap, loadRegistry, Namespace, Pod } from '../../src/kinds/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { configMap, names, pod } from './objects.ts';
import { type Shaky, shaky } from './shaky.ts';

const maps = { kind: ConfigMap, namespace: 'default' };
const a = { ...maps, name: 'a' };

interface Pair {
	/** The server whose connection to the store is good. */
	readonly sound: Api;
	/** The other one, and its connection. */
	readonly behind: Api;
	readonly link: Shaky;
}

/** Two servers on one store, closed with the test. */
async function pair(t: ExecutionContext): Promise<Pair> {
	const opened = await openTestApi();
	const link = shaky(opened.store);
	const behind = await openApi({ store: link.store, registry: loadRegistry(), log: silentLog });
	t.teardown(async () => {
		link.flow();
		await behind[Symbol.asyncDispose]();
		await opened[Symbol.asyncDispose]();
	});
	return { sound: opened.api, behind, link };
}

const refusal = async (t: ExecutionContext, call: Promise<unknown>) =>
	(await t.throwsAsync(call, { instanceOf: ApiError }))?.status;

test('few objects of an old state that are selected from many cost the store no more pages than all of them', async (t) => {
	await using opened = await openTestApi();
	const wanted = { ...configMap('wanted'), metadata: { name: 'wanted', labels: { a: 'b' } } };
	await Promise.all(Array.from({ length: 50 }, (_, at) => opened.api.create(maps, configMap(`m-${at}`), {}, admin)));
	const { object } = await opened.api.create(maps, wanted, {}, admin);
	await opened.api.delete({ ...maps, name: 'wanted' }, {}, admin);
	const { store, read } = shaky(opened.store);
	// One that knows nothing of the history but what the store has.
	await using late = await openApi({ store, registry: loadRegistry(), log: silentLog });
	const before = read.pages;
	const { resourceVersion } = object.metadata;
	const exact = { resourceVersion, resourceVersionMatch: 'Exact', limit: 1 } as const;
	const { items } = await late.list(maps, { ...exact, labelSelector: 'a=b' }, admin);
	t.deepEqual(names(items), ['wanted']);
	t.is(read.pages - before, 1);
});

test('a write whose answer was lost is told as such, and is made once', async (t) => {
	const { sound, behind, link } = await pair(t);
	await sound.create(maps, { ...configMap('a'), metadata: { name: 'a', finalizers: [] } }, {}, admin);
	await behind.list(maps, {}, admin);
	const append = { op: 'add', path: '/metadata/finalizers', value: ['example.com/one'] };
	const more = { op: 'add', path: '/metadata/finalizers/-', value: 'example.com/two' };
	await behind.patch(a, { type: 'json', body: [append] }, {}, admin);

	link.loseAnswer('after');
	const lost = await refusal(t, behind.patch(a, { type: 'json', body: [more] }, {}, admin));
	t.is(lost?.code, 503);
	t.is(lost?.details?.retryAfterSeconds, undefined, 'nobody is told to send it again');
	const { object } = await sound.get(a, {}, admin);
	t.deepEqual(object.metadata.finalizers, ['example.com/one', 'example.com/two']);

	const current = await behind.get(a, {}, admin);
	link.loseAnswer('after');
	const replaced = { ...configMap('a', { k: 'v' }), metadata: { ...current.object.metadata, finalizers: [] } };
	t.is((await refusal(t, behind.update(a, replaced, {}, admin)))?.code, 503, 'not a conflict with itself');
	t.is((await sound.get(a, {}, admin)).object.data?.k, 'v');

	link.loseAnswer('after');
	t.is((await refusal(t, behind.delete(a, {}, admin)))?.code, 503, 'not a 404 for what it has removed itself');
	t.is((await refusal(t, sound.get(a, {}, admin)))?.code, 404);

	link.loseAnswer('after');
	t.is((await refusal(t, behind.create(maps, configMap('b'), {}, admin)))?.code, 503);
	t.deepEqual(names((await behind.list(maps, {}, admin)).items), ['b']);
});

test('a write whose request was lost is told as such, and is not made', async (t) => {
	const { sound, behind, link } = await pair(t);
	await behind.create(maps, configMap('a'), {}, admin);
	link.loseAnswer('before');
	const body = { data: { k: 'v' } };
	t.is((await refusal(t, behind.patch(a, { type: 'merge', body }, {}, admin)))?.code, 503);
	t.is((await sound.get(a, {}, admin)).object.data?.k, undefined);
});

test('a write that would change nothing answers with the state that is, not with one that was', async (t) => {
	const { sound, behind, link } = await pair(t);
	await sound.create(maps, configMap('a', { k: 'old' }), {}, admin);
	await behind.list(maps, {}, admin);
	link.lag();
	const { revision } = await sound.patch(a, { type: 'merge', body: { data: { k: 'new' } } }, {}, admin);

	// To the server that lags behind each of these changes nothing; to the store they do.
	const put = await behind.update(a, configMap('a', { k: 'old' }), {}, admin);
	t.true(put.revision > revision);
	t.is((await sound.get(a, {}, admin)).object.data?.k, 'old');

	await sound.patch(a, { type: 'merge', body: { data: { k: 'new' } } }, {}, admin);
	const dry = await behind.patch(
		a,
		{ type: 'merge', body: { metadata: { labels: { l: '1' } } } },
		{ dryRun: true },
		admin,
	);
	t.is(dry.object.data?.k, 'new', 'a dry run shows what would come of the state that is');

	await sound.delete(a, {}, admin);
	t.is((await refusal(t, behind.patch(a, { type: 'merge', body: {} }, {}, admin)))?.code, 404);
	t.is((await refusal(t, behind.delete(a, { dryRun: true }, admin)))?.code, 404);
});

test('an apply makes an object whose removal the server has not seen yet, at the first attempt', async (t) => {
	const { sound, behind, link } = await pair(t);
	const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { k: 'v' } };
	const apply = (options: { readonly dryRun?: boolean } = {}) =>
		behind.patch(a, { type: 'apply', body }, { fieldManager: 'sync', ...options }, admin);
	await sound.create(maps, configMap('a'), {}, admin);
	await behind.list(maps, {}, admin);
	link.lag();
	await sound.delete(a, {}, admin);
	const dry = await apply({ dryRun: true });
	t.true(dry.created, 'a dry run comes to the same');
	const { object, created } = await apply();
	t.true(created);
	t.is(object.data?.k, 'v');
	t.is((await sound.get(a, {}, admin)).object.metadata.uid, object.metadata.uid);
});

test('what is created in a namespace that was removed and made anew is not refused for the old one', async (t) => {
	const { sound, behind, link } = await pair(t);
	const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } };
	const target = { kind: Namespace, name: 'n' };
	await sound.create({ kind: Namespace }, namespace, {}, admin);
	const { object } = (await sound.delete(target, {}, admin)).stored;
	await behind.get(target, {}, admin);
	link.lag();
	await sound.update({ ...target, subresource: 'finalize' }, { ...object, spec: { finalizers: [] } }, {}, admin);
	await sound.create({ kind: Namespace }, namespace, {}, admin);
	const made = await behind.create({ kind: ConfigMap, namespace: 'n' }, configMap('a'), {}, admin);
	t.is(made.object.metadata.namespace, 'n');
});

test('a list is read in pages from any server, each of the state of the first and at the cost of itself', async (t) => {
	const { sound, behind, link } = await pair(t);
	const count = 200;
	for (let index = 0; index < count; index++) {
		await sound.create(maps, configMap(`m${String(index).padStart(3, '0')}`, { at: 'first' }), {}, admin);
	}
	const first = await sound.list(maps, { limit: 10 }, admin);
	await sound.delete({ ...maps, name: 'm015' }, {}, admin);
	await sound.patch({ ...maps, name: 'm016' }, { type: 'merge', body: { data: { at: 'later' } } }, {}, admin);
	await sound.create(maps, configMap('m017a'), {}, admin);
	// Each page from the next server; the third one was started since, so that it has nothing of the past in memory.
	const link3 = shaky(link.store);
	const started = await openApi({ store: link3.store, registry: loadRegistry(), log: silentLog });
	t.teardown(() => started[Symbol.asyncDispose]());
	const servers = [behind, started, sound];
	const found = [...first.items];
	let token = first.continue;
	let turn = 0;
	let most = 0;
	while (token) {
		const server = servers[turn++ % servers.length] as Api;
		const before = link3.read.entries;
		const page = await server.list(maps, { limit: 10, continue: token }, admin);
		most = Math.max(most, link3.read.entries - before);
		t.is(page.resourceVersion, first.resourceVersion);
		t.true(page.items.length <= 10);
		found.push(...page.items);
		token = page.continue;
	}
	t.deepEqual(
		names(found),
		Array.from({ length: count }, (_, index) => `m${String(index).padStart(3, '0')}`),
	);
	t.true(found.every(({ object }) => object.data?.at === 'first'));
	t.is(most, 11, 'a page is read from the store as a page, and one more tells that there is more');
});

test('a page with a selector from the history of the store is filled as far as there is something', async (t) => {
	const { sound, link } = await pair(t);
	for (let index = 0; index < 30; index++) {
		const metadata = { labels: { third: String(index % 3) } };
		await sound.create(maps, configMap(`m${String(index).padStart(2, '0')}`, {}, metadata), {}, admin);
	}
	const labelSelector = 'third=0';
	const first = await sound.list(maps, { limit: 4, labelSelector }, admin);
	t.is(first.remainingItemCount, undefined);
	await sound.create(maps, configMap('z'), {}, admin);
	const started = await openApi({ store: link.store, registry: loadRegistry(), log: silentLog });
	t.teardown(() => started[Symbol.asyncDispose]());
	const second = await started.list(maps, { limit: 4, labelSelector, continue: first.continue }, admin);
	t.deepEqual(names(second.items), ['m12', 'm15', 'm18', 'm21']);
	const third = await started.list(maps, { limit: 4, labelSelector, continue: second.continue }, admin);
	t.deepEqual(names(third.items), ['m24', 'm27']);
	t.is(third.continue, undefined);
});

test('a token from a history that the store does not have is refused with one that goes on in the present', async (t) => {
	const { sound } = await pair(t);
	for (const name of ['a', 'b']) await sound.create(maps, configMap(name), {}, admin);
	const forged = Buffer.from(JSON.stringify({ v: 1, rv: 2 ** 52, after: 'default/a' })).toString('base64url');
	const status = await refusal(t, sound.list(maps, { limit: 1, continue: forged }, admin));
	t.deepEqual([status?.code, status?.reason], [410, 'Expired']);
	t.deepEqual(names((await sound.list(maps, { continue: status?.metadata.continue }, admin)).items), ['b']);
});

test('pods of a node are listed as they come to it and leave, whole and in pages, without a look at those of others', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const pods = { kind: Pod, namespace: 'default' };
	const bind = (name: string, node: string) =>
		api.create(
			{ ...pods, name, subresource: 'binding' },
			{ metadata: { name }, target: { kind: 'Node', name: node } },
			{},
			admin,
		);
	const of = async (node: string, limit?: number) =>
		names((await api.list({ kind: Pod }, { fieldSelector: `spec.nodeName=${node}`, limit }, admin)).items);
	t.deepEqual(await of('n1'), []);
	for (const name of ['c', 'a', 'another', 'd']) await api.create(pods, pod(name), {}, admin);
	for (const name of ['c', 'a']) await bind(name, 'n1');
	await bind('another', 'n2');
	const looks = new Set<string>();
	const { attributes } = StoredObject.prototype;
	StoredObject.prototype.attributes = function (this: StoredObject, fields) {
		looks.add(this.object.metadata.name);
		return attributes.call(this, fields);
	};
	t.teardown(() => {
		StoredObject.prototype.attributes = attributes;
	});
	t.deepEqual(await of('n1'), ['a', 'c']);
	t.true(looks.has('c'));
	t.false(looks.has('another'), 'that of another node');
	t.deepEqual(await of(''), ['d']);
	t.deepEqual(await of('n1', 1), ['a'], 'a page of them');
	const { items } = await api.list(pods, { fieldSelector: 'spec.nodeName=n1,metadata.namespace!=default' }, admin);
	t.deepEqual(names(items), [], 'all terms hold');
	await api.delete({ ...pods, name: 'a' }, { gracePeriodSeconds: 0 }, admin);
	t.deepEqual(await of('n1'), ['c']);
});

test('a pod that another server has just made is none that a node may read because it is not known yet', async (t) => {
	const { sound, link, behind } = await pair(t);
	link.lag();
	await sound.create({ kind: Pod, namespace: 'default' }, pod('theirs', { nodeName: 'n2' }), {}, admin);
	const node = { name: 'system:node:n1', groups: ['system:nodes'] };
	const may = (name: string, verb = 'get') =>
		behind.authorizer.authorize(node, {
			type: 'resource',
			verb,
			group: '',
			version: 'v1',
			resource: 'pods',
			namespace: 'default',
			name,
		});
	const asked = may('theirs');
	link.flow();
	t.like(await asked, { allowed: false });
	t.like(await may('nobodys'), { allowed: false, missing: true });
	t.like(await may('nobodys', 'delete'), { allowed: true }, 'the delete itself says that there is none');
});
