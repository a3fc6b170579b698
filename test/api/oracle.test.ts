/** The writes of the API beside a plain account of what they must come to, in sequences that nobody has thought of. */
import assert from 'node:assert/strict';
import test from 'ava';
import { openApi } from '../../src/api/index.ts';
import { ConfigMap, loadRegistry } from '../../src/kinds/index.ts';
import { type Answer, admin, serveTestApi, type TestServer } from '../testbed/api.ts';
import fc from '../testbed/fast-check.ts';
import { silentLog } from '../testbed/silent-log.ts';
import {
	apply,
	fieldsOf,
	type Json,
	jsonPatch,
	mergePatch,
	type Operation,
	type Outcome,
	ownersOf,
	update,
} from './oracle.ts';

const RUNS = 60;
const path = '/api/v1/namespaces/default/configmaps';

type Tree = { readonly [key: string]: Json };
type Live = { readonly metadata: Tree & { readonly managedFields: Parameters<typeof ownersOf>[0] } } & Tree;

const key = fc.constantFrom('a', 'b', 'c', 'd');
/** Of labels and annotations; in a pointer it is escaped. */
const qualified = fc.constantFrom('a', 'b', 'x.io/c');
const noNull = { noNullPrototype: true };
const map = fc.dictionary(key, key, { maxKeys: 3, ...noNull });
const labels = fc.dictionary(qualified, key, { maxKeys: 3, ...noNull });
const finalizers = fc.uniqueArray(
	key.map((name) => `x.io/${name}`),
	{ maxLength: 3 },
);
const optional = { requiredKeys: [], ...noNull };
/** What people write of an object. */
const content = fc
	.record({ data: map, labels, annotations: labels, finalizers }, optional)
	.map(({ data, ...metadata }) => ({ metadata, ...(data && { data }) }) as Tree);
const removable = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 3 });
const changes = fc
	.record(
		{
			data: removable(fc.dictionary(key, removable(key), noNull)),
			labels: removable(fc.dictionary(qualified, removable(key), noNull)),
			annotations: removable(fc.dictionary(qualified, removable(key), noNull)),
			finalizers: removable(finalizers),
		},
		optional,
	)
	.map(({ data, ...metadata }) => ({ metadata, ...(data !== undefined && { data }) }) as Tree);
const noted = fc
	.tuple(fc.constantFrom('/metadata/labels', '/metadata/annotations'), qualified)
	.map(([at, name]) => `${at}/${name.replace('/', '~1')}`);
const entry = fc.oneof(
	noted,
	key.map((name) => `/data/${name}`),
);
const item = fc.constantFrom('/metadata/finalizers/0', '/metadata/finalizers/1', '/metadata/finalizers/-');
const operation: fc.Arbitrary<Operation> = fc.oneof(
	fc.record({ op: fc.constantFrom('add', 'replace', 'test'), path: entry, value: key }),
	fc.record({ op: fc.constant('remove'), path: fc.oneof(entry, item) }),
	fc.record({ op: fc.constantFrom('move', 'copy'), from: noted, path: noted }),
	fc.record({ op: fc.constantFrom('add', 'replace'), path: fc.constant('/data'), value: map }),
	fc.record({ op: fc.constant('add'), path: item, value: key.map((name) => `x.io/${name}`) }),
) as fc.Arbitrary<Operation>;

const manager = fc.constantFrom('one', 'two', 'three');
const write = fc.oneof(
	fc.record({ how: fc.constant('put'), manager, body: content }),
	fc.record({ how: fc.constant('merge'), manager, body: changes }),
	fc.record({ how: fc.constant('json'), manager, body: fc.array(operation, { minLength: 1, maxLength: 3 }) }),
	fc.record({ how: fc.constant('apply'), manager, body: content, force: fc.boolean() }),
);
type Write = typeof write extends fc.Arbitrary<infer T> ? T : never;

const types = {
	merge: 'application/merge-patch+json',
	json: 'application/json-patch+json',
	apply: 'application/apply-patch+yaml',
} as const;

/** What people write of a live object: what the API adds by itself is left out. */
function contentOf({ data, metadata }: Tree): Tree {
	const { labels, annotations, finalizers } = metadata as Tree;
	const written = Object.entries({ labels, annotations, finalizers }).filter(([, value]) => value !== undefined);
	return { metadata: Object.fromEntries(written) as Tree, ...(data !== undefined && { data }) };
}

const outcomeOf = (live: Live): Outcome => ({
	fields: fieldsOf(contentOf(live)),
	owners: ownersOf(live.metadata.managedFields ?? []),
});

/** What a write must come to; a refusal where it must not be made. */
function expected(
	live: Live | undefined,
	write: Write,
): Outcome | { readonly code: number; readonly fields?: ReadonlySet<string> } {
	const before = live && { ...outcomeOf(live), tracked: live.metadata.managedFields.length > 0 };
	if (write.how === 'apply') {
		const outcome = apply(before, `${write.manager} Apply`, fieldsOf(write.body), write.force);
		return 'conflicts' in outcome ? { code: 409, fields: outcome.conflicts } : outcome;
	}
	if (!live) return { code: 404 };
	const after =
		write.how === 'put'
			? write.body
			: write.how === 'merge'
				? mergePatch(contentOf(live), write.body)
				: jsonPatch(contentOf(live), write.body);
	return after === undefined ? { code: 422 } : update(before, `${write.manager} Update`, fieldsOf(after));
}

/** Whether a list that is a set would have an item twice, which is no question for this test. */
const hasTwice = (outcome: Json | undefined) => {
	const all = ((outcome as { metadata?: { finalizers?: string[] } })?.metadata?.finalizers ?? []) as string[];
	return new Set(all).size < all.length;
};

function send(
	server: TestServer,
	name: string,
	write: Write,
	live: Live | undefined,
	dryRun: boolean,
): Promise<Answer> {
	const metadata = { ...((write.body as Tree).metadata as Tree), name };
	const whole = { apiVersion: 'v1', kind: 'ConfigMap', ...(write.body as Tree), metadata };
	const query = new URLSearchParams({ fieldManager: write.manager });
	if (dryRun) query.set('dryRun', 'All');
	if (write.how === 'apply') query.set('force', String(write.force));
	const resourceVersion = live?.metadata.resourceVersion ?? '';
	return server.ask(`${path}/${name}?${query}`, {
		method: write.how === 'put' ? 'PUT' : 'PATCH',
		headers: { 'content-type': write.how === 'put' ? 'application/json' : types[write.how] },
		body: JSON.stringify(
			write.how === 'apply'
				? whole
				: write.how === 'put'
					? { ...whole, metadata: { ...metadata, resourceVersion } }
					: write.body,
		),
	});
}

/** An answer without what a dry run cannot know: times, by which managers are sorted, and what is given out once. */
const lasting = ({ text }: Answer): unknown =>
	JSON.parse(text, (name, value) => {
		if (name === 'managedFields')
			return Object.fromEntries(value.map((each: Tree) => [`${each.manager} ${each.operation}`, each]));
		return /^(time|resourceVersion|uid|creationTimestamp)$/.test(name) ? undefined : value;
	});

/** The field that a cause of a conflict names (`.metadata.finalizers[="x.io/a"]`), as the oracle writes it. */
const named = (field: string) =>
	field
		.slice(1)
		.replace(/\[="(.*)"\]/, ' =$1')
		.replace(/\.(?!io\/)/g, ' ');

async function step(server: TestServer, name: string, write: Write): Promise<void> {
	const read = async () => {
		const answer = await server.ask(`${path}/${name}`);
		return answer.code === 404 ? undefined : (answer.body as Live);
	};
	const live = await read();
	if (!live && write.how === 'put') {
		const body = { ...(write.body as Tree), metadata: { ...((write.body as Tree).metadata as Tree), name } };
		const made = await server.ask(`${path}?fieldManager=${write.manager}`, { body });
		assert.equal(made.code, 201, made.text);
		assert.deepEqual(outcomeOf(made.body), update(undefined, `${write.manager} Update`, fieldsOf(write.body)));
		return;
	}
	if (live && write.how === 'json' && hasTwice(jsonPatch(contentOf(live), write.body))) return;
	const wanted = expected(live, write);
	const dry = await send(server, name, write, live, true);
	assert.deepEqual(await read(), live, 'a dry run has changed something');
	const real = await send(server, name, write, live, false);
	assert.equal(dry.code, real.code, `${dry.text} ${real.text}`);
	if ('code' in wanted) {
		assert.equal(real.code, wanted.code, real.text);
		assert.deepEqual(await read(), live);
		if (!wanted.fields) return;
		const causes: { field: string }[] = real.body.details.causes;
		assert.deepEqual(new Set(causes.map(({ field }) => named(field))), wanted.fields);
		return;
	}
	assert.ok(real.code < 300, real.text);
	assert.deepEqual(lasting(dry), lasting(real), 'the dry run told something else');
	const got: Live = real.body;
	assert.deepEqual(outcomeOf(got), wanted);
	assert.deepEqual(await read(), got);
	if (write.how !== 'apply') return;
	const again = await send(server, name, write, got, false);
	assert.deepEqual(again.body, got, 'the same apply once more has changed something');
}

test('every sequence of writes comes to what the documents of its sorts say, dry runs tell it before, and watches, reads and a start anew agree', async (t) => {
	await using server = await serveTestApi();
	const seen = new Map<string, string>();
	const stop = new AbortController();
	const target = { kind: ConfigMap, namespace: 'default' };
	const { resourceVersion } = await server.api.list(target, {}, admin);
	const watching = (async () => {
		for await (const batch of server.api.watch(target, { resourceVersion, signal: stop.signal }, admin))
			for (const event of batch)
				if (event.type !== 'BOOKMARK')
					seen.set(event.stored.object.metadata.name, Buffer.from(event.stored.bytes).toString());
	})();
	let count = 0;
	await t.notThrowsAsync(() =>
		fc.assert(
			fc.asyncProperty(fc.array(write, { minLength: 2, maxLength: 8 }), async (writes) => {
				const name = `m${count++}`;
				for (const each of writes) await step(server, name, each);
			}),
			{ numRuns: RUNS },
		),
	);
	await using anew = await openApi({ store: server.store, registry: loadRegistry(), log: silentLog });
	const { items } = await anew.list(target, {}, admin);
	t.true(items.length > RUNS / 2);
	for (const { object, bytes } of items) {
		const { name } = object.metadata;
		const text = Buffer.from(bytes).toString();
		t.is((await server.ask(`${path}/${name}`)).text.trim(), text);
		t.is(seen.get(name), text);
		t.deepEqual(JSON.parse(text), object);
	}
	stop.abort();
	await watching;
});
