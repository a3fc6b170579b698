/** What several servers on one store promise, when the watch of one lags behind and when the answer to a commit is lost. */
import test, { type ExecutionContext } from 'ava';
import { type Api, openApi } from '../../src/api/index.ts';
import { ApiError, ConfigMap, loadRegistry, Namespace } from '../../src/kinds/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { configMap, names } from './objects.ts';
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
