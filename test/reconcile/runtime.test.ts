import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { RENEW_DEADLINE_MS } from '../../src/client/election.ts';
import { type Client, createCache, inProcess, runWhileLeader } from '../../src/client/index.ts';
import { ConfigMap, Lease, Namespace, Node, notFound } from '../../src/kinds/index.ts';
import { exposition } from '../../src/metrics.ts';
import {
	type Controller,
	controller,
	controllerFamilies,
	index,
	type Metrics,
	type Reading,
	readings,
	runControllers,
	watch,
	watchedFile,
} from '../../src/reconcile/index.ts';
import { handClock } from '../client/clock.ts';
import { caller, eventually, run, settled, world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';

const configMap = (
	name: string,
	data: Record<string, string> = {},
	owner?: { kind: string; name: string },
): ConfigMap => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: {
		name,
		namespace: 'default',
		...(owner && { ownerReferences: [{ apiVersion: 'v1', ...owner, uid: 'some', controller: true }] }),
	},
	data,
});

const lease = (name: string): Lease => ({
	apiVersion: 'coordination.k8s.io/v1',
	kind: 'Lease',
	metadata: { name, namespace: 'default' },
	spec: {},
});

/** A client whose watches are late. */
const slowly = (inner: Client): Client => ({
	...inner,
	async *watch(kind, options) {
		for await (const batch of inner.watch(kind, options)) {
			await new Promise((resolve) => setTimeout(resolve, 10));
			yield batch;
		}
	},
});

/** Settles when `condition` holds; looks each turn of the event loop. */
async function until(condition: () => boolean): Promise<void> {
	while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('what is for, owned and watched queues the keys that the declaration says', async (t) => {
	const w = await world(t);
	const keys: string[] = [];
	const declared = controller({
		name: 'test',
		for: Lease,
		owns: [ConfigMap],
		watches: [watch(Node, ({ metadata }) => [`from-${metadata.name}`])],
		async reconcile(key) {
			keys.push(key);
			return undefined;
		},
	});
	run(t, w, [declared]);
	await w.client.create(Lease, lease('own'));
	await until(() => keys.includes('default/own'));
	await w.client.create(ConfigMap, configMap('a', {}, { kind: 'Node', name: 'other' }));
	await w.client.create(ConfigMap, {
		...configMap('b'),
		metadata: {
			name: 'b',
			namespace: 'default',
			ownerReferences: [
				{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', name: 'owner', uid: 'x', controller: true },
			],
		},
	});
	await until(() => keys.includes('default/owner'));
	await w.client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: {} });
	await until(() => keys.includes('from-n'));
	t.deepEqual(keys, ['default/own', 'default/owner', 'from-n']);
});

test('a change is looked at once, though it concerns a key before and after', async (t) => {
	const w = await world(t);
	const keys: string[] = [];
	const declared = controller({
		name: 'test',
		for: ConfigMap,
		watches: [watch(Lease, () => ['leases', 'more']), watch(Node, () => ['nodes'], { part: ({ spec }) => spec })],
		async reconcile(key) {
			keys.push(key);
			return undefined;
		},
	});
	const running = run(t, w, [declared]);
	const node = await w.client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: {} });
	const made = await w.client.create(Lease, lease('one'));
	await w.client.create(ConfigMap, configMap('a'));
	await until(() => keys.includes('default/a') && keys.includes('more') && keys.includes('nodes'));
	keys.length = 0;
	await settled(w, running, ConfigMap, await w.client.update(ConfigMap, configMap('a', { changed: 'yes' })));
	await settled(w, running, Lease, await w.client.update(Lease, { ...made, spec: { holderIdentity: 'a' } }));
	// What is declared as no matter.
	const touched = { ...node, metadata: { ...node.metadata, labels: { touched: 'yes' } } };
	const labelled = await w.client.update(Node, touched);
	await settled(w, running, Node, labelled);
	t.deepEqual(keys.toSorted(), ['default/a', 'leases', 'more']);
	await settled(w, running, Node, await w.client.update(Node, { ...labelled, spec: { unschedulable: true } }));
	await until(() => keys.includes('nodes'));
});

test('a controller counts in its cache on all that it has written, however slow the watch is', async (t) => {
	const w = await world(t);
	const wanted = 20;
	let created = 0;
	// Each look makes one more until there are enough: a stale cache would make too many.
	const counting = controller({
		name: 'counting',
		for: Lease,
		owns: [ConfigMap],
		indexes: [index(ConfigMap, 'counted', ({ data }) => (data?.counted ? ['yes'] : []))],
		workers: 3,
		async reconcile(_key, { client, cache }) {
			if (cache.informer(ConfigMap).count('counted', 'yes') >= wanted) return undefined;
			await client.create(ConfigMap, configMap(`made-${created++}`, { counted: 'yes' }));
			return { after: 0 };
		},
	});
	await using cache = createCache(slowly(w.client), { signal: w.signal, log: silentLog });
	const running = run(t, { ...w, cache }, [counting]);
	const count = () => cache.informer(ConfigMap).count('counted', 'yes');
	await w.client.create(Lease, lease('one'));
	await until(() => count() >= wanted);
	await w.client.create(Lease, lease('two'));
	await until(() => cache.informer(Lease).size >= 2);
	await running.stop();
	t.is(created, wanted);
});

test('what a controller writes carries its name as field manager', async (t) => {
	const w = await world(t);
	const writer = controller({
		name: 'writer',
		for: Lease,
		indexes: [index(ConfigMap, 'none', () => [])],
		async reconcile(_key, { client }) {
			await client.create(ConfigMap, configMap('written'));
			return undefined;
		},
	});
	run(t, w, [writer]);
	await w.client.create(Lease, lease('one'));
	const written = await eventually(w, [ConfigMap], () => w.cache.informer(ConfigMap).get('default/written'));
	t.is(written.metadata.managedFields?.[0]?.manager, 'writer');
});

test('a failing key is retried until it works, is logged once, and does not hold up the others', async (t) => {
	const w = await world(t);
	const lines: string[] = [];
	const log = { ...silentLog, warn: (_fields: object, message: string) => void lines.push(message) };
	const tries = new Map<string, number>();
	const failing = controller({
		name: 'failing',
		for: ConfigMap,
		async reconcile(key) {
			const count = (tries.get(key) ?? 0) + 1;
			tries.set(key, count);
			if (key.endsWith('bad') && count < 5) throw new Error('not yet');
			if (key.endsWith('raced') && count === 1) throw notFound(ConfigMap, 'raced');
			return undefined;
		},
	});
	const metrics: Metrics = new Map();
	const stop = new AbortController();
	const running = runControllers({
		client: w.client,
		cache: w.cache,
		controllers: [failing],
		log,
		now: Date.now,
		signal: stop.signal,
		metrics,
	});
	await w.client.create(ConfigMap, configMap('bad'));
	await w.client.create(ConfigMap, configMap('good'));
	await w.client.create(ConfigMap, configMap('raced'));
	await until(() => tries.get('default/bad') === 5 && tries.has('default/good') && tries.get('default/raced') === 2);
	stop.abort();
	await running;
	t.is(lines.length, 1, 'what was deleted meanwhile is no failure');
	const counted = metrics.get('failing');
	t.deepEqual(counted?.outcomes, { success: 3, requeue_after: 0, error: 5 });
	t.is(counted?.retries, 5);
	t.is(counted?.works.count, 8);
	t.is(counted?.depth, 0);
	t.is(counted?.running.size, 0);
	const text = exposition(controllerFamilies(metrics, () => 0));
	t.regex(text, /^workqueue_retries_total\{name="failing"\} 5$/m);
	t.regex(text, /^workqueue_queue_duration_seconds_bucket\{name="failing",le="\+Inf"\} 8$/m);
	t.regex(text, /^controller_runtime_reconcile_total\{controller="failing",result="error"\} 5$/m);
});

test('one key is never reconciled twice at a time, and several keys are at once', async (t) => {
	const w = await world(t);
	const active = new Map<string, number>();
	let most = 0;
	let worst = 0;
	let calls = 0;
	/** Open once as many are under way as may be. */
	const full = Promise.withResolvers<void>();
	const slow = controller({
		name: 'slow',
		for: ConfigMap,
		workers: 3,
		async reconcile(key) {
			const count = (active.get(key) ?? 0) + 1;
			active.set(key, count);
			worst = Math.max(worst, count);
			most = Math.max(most, active.size);
			if (active.size === 3) full.resolve();
			await full.promise;
			await new Promise((resolve) => setTimeout(resolve, 5));
			active.delete(key);
			calls++;
			return undefined;
		},
	});
	run(t, w, [slow]);
	for (let round = 0; round < 4; round++) {
		for (const name of ['a', 'b', 'c', 'd']) {
			const object = configMap(name, { round: String(round) });
			await (round === 0 ? w.client.create(ConfigMap, object) : w.client.update(ConfigMap, object));
		}
	}
	await until(() => calls >= 4 && active.size === 0);
	t.is(worst, 1);
	t.is(most, 3);
});

test('a controller may look again later, be triggered from outside, and read only what it declares', async (t) => {
	const w = await world(t);
	const keys: string[] = [];
	let misread: unknown;
	const asking: Controller = controller({
		name: 'asking',
		watches: [watch(ConfigMap, () => [])],
		triggers: (queue) => queue('triggered'),
		async reconcile(key, { cache }) {
			keys.push(key);
			cache.informer(ConfigMap);
			try {
				cache.informer(Node);
			} catch (error) {
				misread = error;
			}
			return keys.length < 3 ? { after: 1 } : undefined;
		},
	});
	const running = run(t, w, [asking]);
	await until(() => keys.length === 3);
	await running.stop();
	t.deepEqual(keys, ['triggered', 'triggered', 'triggered']);
	t.true(misread instanceof Error && /asking reads nodes without declaring/.test(misread.message));
});

test('a controller with a state of its own has one for each time that it runs', async (t) => {
	const w = await world(t);
	const said: string[] = [];
	let opened = 0;
	const counting = controller({
		name: 'counting',
		watches: [watch(ConfigMap, ({ metadata }) => [metadata.name])],
		open({ cache }, queue) {
			const number = ++opened;
			said.push(`${number} opens with ${cache.informer(ConfigMap).size}`);
			queue('own');
			return {
				async reconcile(key) {
					said.push(`${number} has ${key}`);
					return undefined;
				},
				[Symbol.dispose]: () => void said.push(`${number} is over`),
			};
		},
	});
	await w.client.create(ConfigMap, configMap('a'));
	for (let time = 1; time <= 2; time++) {
		const running = run(t, w, [counting]);
		await until(() => ['own', 'a'].every((key) => said.includes(`${time} has ${key}`)));
		await running.stop();
	}
	t.deepEqual(said.toSorted(), [
		'1 has a',
		'1 has own',
		'1 is over',
		'1 opens with 1',
		'2 has a',
		'2 has own',
		'2 is over',
		'2 opens with 1',
	]);
	t.is(said.indexOf('1 is over') + 1, said.indexOf('2 opens with 1'), 'the second begins when the first is over');
});

test('when the signal aborts, reconciles under way are waited for and nothing new begins', async (t) => {
	const w = await world(t);
	let begun = 0;
	let ended = 0;
	const waiting = controller({
		name: 'waiting',
		for: ConfigMap,
		workers: 1,
		async reconcile(_key, { signal }) {
			begun++;
			await new Promise((resolve) => signal.addEventListener('abort', resolve));
			ended++;
			return { after: 1 };
		},
	});
	const running = run(t, w, [waiting]);
	await w.client.create(ConfigMap, configMap('a'));
	await w.client.create(ConfigMap, configMap('b'));
	await until(() => begun === 1);
	await running.stop();
	t.is(begun, 1);
	t.is(ended, 1);
});

test('a controller of everything sees changes of every kind, but for Events', async (t) => {
	const w = await world(t);
	const seen = new Set<string>();
	const everything = controller({
		name: 'everything',
		everything: ({ kind, key }) => [`${kind.kind} ${key}`],
		async reconcile(key) {
			seen.add(key);
			return undefined;
		},
	});
	run(t, w, [everything]);
	const other = inProcess(w.api, caller);
	await other.create(ConfigMap, configMap('a'));
	await other.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'new' }, spec: {} });
	await until(() => seen.has('ConfigMap default/a') && seen.has('Namespace new'));
	t.false([...seen].some((key) => key.startsWith('Event ')));
});

/** Writes of every verb, the first of which ends the term. */
const everyWrite = (client: Client): (() => Promise<unknown>)[] => [
	() => client.create(ConfigMap, configMap('late')),
	() => client.update(ConfigMap, configMap('there', { late: 'yes' })),
	() => client.patch(ConfigMap, configMap('there').metadata, { type: 'merge', body: { data: { late: 'yes' } } }),
	() => client.delete(ConfigMap, configMap('there').metadata),
	() => client.deleteCollection(ConfigMap, { namespace: 'default' }),
	() => client.bind({ name: 'there', namespace: 'default' }, 'node'),
	() => client.as('another').create(ConfigMap, configMap('late')),
];

test('a reconcile under way writes nothing any more from the moment at which the term ends', async (t) => {
	const w = await world(t);
	const stop = new AbortController();
	const refusals: unknown[] = [];
	const writing = controller({
		name: 'writing',
		for: ConfigMap,
		async reconcile(key, { client }) {
			if (key !== 'default/there') return undefined;
			await client.create(ConfigMap, configMap('in-time'));
			stop.abort(new Error('the lease was lost'));
			for (const write of everyWrite(client)) await write().catch((error) => refusals.push(error));
			// What is read is read.
			await client.get(ConfigMap, configMap('in-time').metadata);
			return undefined;
		},
	});
	const running = runControllers({
		client: w.client,
		cache: w.cache,
		controllers: [writing],
		log: silentLog,
		now: Date.now,
		signal: stop.signal,
	});
	await w.client.create(ConfigMap, configMap('there'));
	await running;
	t.deepEqual(refusals.map(String), Array(7).fill('Error: the lease was lost'));
	const left = (await w.client.list(ConfigMap, { namespace: 'default' })).items.map(({ metadata, data }) => [
		metadata.name,
		data,
	]);
	t.deepEqual(left, [
		['in-time', {}],
		['there', {}],
	]);
});

test('a process that was stopped for longer than its lease writes nothing when it goes on, before anything has aborted', async (t) => {
	const w = await world(t);
	const clock = handClock();
	const refusals: unknown[] = [];
	const begun = Promise.withResolvers<void>();
	const goOn = Promise.withResolvers<void>();
	const ended = Promise.withResolvers<void>();
	const writing = controller({
		name: 'writing',
		for: ConfigMap,
		async reconcile(key, { client, signal }) {
			if (key !== 'default/there') return undefined;
			begun.resolve();
			await goOn.promise;
			t.false(signal.aborted);
			for (const write of everyWrite(client)) await write().catch((error) => refusals.push(error));
			ended.resolve();
			return undefined;
		},
	});
	const stop = new AbortController();
	t.teardown(() => stop.abort());
	/** The clock of the process, which goes on while it stands. */
	let stood = 0;
	const process = { ...clock, now: () => clock.now() + stood };
	const options = { name: 'test', identity: 'one', now: Date.now, log: silentLog, clock: process, signal: stop.signal };
	const { client, cache } = w;
	const leading = runWhileLeader(client, options, (signal, holds) =>
		runControllers({ client, cache, controllers: [writing], log: silentLog, now: Date.now, signal, holds }),
	);
	await client.create(ConfigMap, configMap('there'));
	await begun.promise;
	stood = RENEW_DEADLINE_MS + 1;
	goOn.resolve();
	await ended.promise;
	t.is(refusals.length, 7);
	t.regex(String(refusals[0]), /not renewed in time/);
	stop.abort();
	await leading;
});

test('what waits for its time is looked at when the wall clock jumps, forward or back', async (t) => {
	const w = await world(t);
	const clock = handClock();
	let set = 0;
	const looks: number[] = [];
	const waiting = controller({
		name: 'waiting',
		for: ConfigMap,
		async reconcile(key) {
			if (key !== 'default/a') return undefined;
			looks.push(clock.now());
			return { after: 3600_000 };
		},
	});
	const stop = new AbortController();
	const now = () => 1e12 + clock.now() + set;
	const { client, cache } = w;
	const running = runControllers({
		client,
		cache,
		controllers: [waiting],
		log: silentLog,
		now,
		clock,
		signal: stop.signal,
	});
	const pass = async (ms: number) => {
		for (let left = ms; left > 0; left -= 1_000) clock.advance(1_000);
		await new Promise((resolve) => setImmediate(resolve));
	};
	await client.create(ConfigMap, configMap('a'));
	await until(() => looks.length === 1);
	await pass(60_000);
	t.is(looks.length, 1);
	set = 7200_000;
	await pass(2_000);
	await until(() => looks.length === 2);
	set = 0;
	await pass(2_000);
	await until(() => looks.length === 3);
	// A drift of less than a second is none.
	set = 900;
	await pass(60_000);
	t.is(looks.length, 3);
	stop.abort();
	await running;
	t.is(clock.waiting, 0);
});

test('a controller follows readings and files that it declares, and reads no others', async (t) => {
	const w = await world(t);
	const folder = await mkdtemp(join(tmpdir(), 'driftless-inputs-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const path = join(folder, 'there', 'settings');
	let load = 1;
	let broken = false;
	const pressure = readings({
		name: 'load',
		everyMs: 5,
		async read() {
			if (broken) throw new Error('nobody answers');
			return load;
		},
		keys: ({ value }) => [`load ${value}`],
	});
	const file = watchedFile({ path, keys: () => ['file'] });
	const undeclared = readings({ name: 'other', everyMs: 5, read: async () => 0, keys: () => [] });
	const seen = new Map<string, unknown>();
	let misread: unknown;
	const lines: string[] = [];
	const log = { ...silentLog, warn: (_: object, line: string) => void lines.push(line) };
	const following = controller({
		name: 'following',
		inputs: [pressure, file],
		async reconcile(key, { input }) {
			const reading: Reading<number> | undefined = input(pressure);
			seen.set(key, key === 'file' ? (input(file)?.toString() ?? 'none') : reading?.value);
			try {
				input(undeclared);
			} catch (error) {
				misread = error;
			}
			return undefined;
		},
	});
	const stop = new AbortController();
	const { client, cache } = w;
	const running = runControllers({ client, cache, controllers: [following], log, now: Date.now, signal: stop.signal });
	await mkdir(join(folder, 'there'));
	await until(() => seen.get('load 1') === 1 && seen.get('file') === 'none');
	await writeFile(path, 'one');
	await until(() => seen.get('file') === 'one');
	await writeFile(`${path}.new`, 'two');
	await rename(`${path}.new`, path);
	await until(() => seen.get('file') === 'two');
	await rm(path);
	await until(() => seen.get('file') === 'none');
	broken = true;
	await until(() => lines.length > 0);
	broken = false;
	load = 2;
	await until(() => seen.get('load 2') === 2);
	t.true(misread instanceof Error && /following reads other without declaring/.test(misread.message));
	stop.abort();
	await running;
	t.deepEqual(lines, ['it cannot be read; the last reading counts']);
});
