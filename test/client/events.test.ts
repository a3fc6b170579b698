import test from 'ava';
import {
	BURST,
	createCorrelator,
	MOST_SIMILAR,
	REFILL_MS,
	SIMILAR_INTERVAL_MS,
} from '../../src/client/event-series.ts';
import { MOST_WAITING } from '../../src/client/events.ts';
import { type Client, recordEvents } from '../../src/client/index.ts';
import { ConfigMap, Event, type KubeObject, Node, serviceUnavailable } from '../../src/kinds/index.ts';
import type { Log } from '../../src/log.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { handClock } from './clock.ts';
import { eventually, type World, world } from './world.ts';

const about = (name: string): KubeObject => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: { name, namespace: 'default', uid: name },
});

const occurrence = (message: string, name = 'a') => ({
	about: about(name),
	type: 'Normal' as const,
	reason: 'Tested',
	message,
});

const recorder = (w: World, client = w.client, now = () => Date.parse('2030-01-01T00:00:00Z')) =>
	recordEvents(client, { component: 'tester', host: 'here', now, log: silentLog, signal: w.signal });

const events = (w: World, enough: (events: Event[]) => boolean) =>
	eventually(w, [Event], async () => {
		const items = [...(await w.client.list(Event)).items];
		return enough(items) ? items : undefined;
	});

test('an event tells who, about what, why and when', async (t) => {
	const w = await world(t);
	const object = await w.client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: 'a', namespace: 'default' },
	});
	recorder(w).event(object, 'Warning', 'Tested', 'it was tested');
	const [event] = await events(w, ({ length }) => length === 1);
	t.like(event, {
		type: 'Warning',
		reason: 'Tested',
		message: 'it was tested',
		count: 1,
		firstTimestamp: '2030-01-01T00:00:00Z',
		lastTimestamp: '2030-01-01T00:00:00Z',
		source: { component: 'tester', host: 'here' },
	});
	t.like(event?.involvedObject, { kind: 'ConfigMap', name: 'a', namespace: 'default', uid: object.metadata.uid });
	t.is(event?.metadata.namespace, 'default');
	t.regex(event?.metadata.name ?? '', /^a\.[0-9a-f]+$/);
});

test('the same again counts up; a forgotten one is made anew; events of the cluster go to the namespace default', async (t) => {
	const w = await world(t);
	let now = Date.parse('2030-01-01T00:00:00Z');
	const { event } = recorder(w, w.client, () => now);
	const node = await w.client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: {} });
	event(node, 'Normal', 'Tested', 'again');
	await events(w, ([first]) => first?.count === 1);
	now += 5000;
	event(node, 'Normal', 'Tested', 'again');
	event(node, 'Normal', 'Tested', 'again');
	const [counted, ...others] = await events(w, ([first]) => first?.count === 3);
	t.deepEqual(others, []);
	t.like(counted, { firstTimestamp: '2030-01-01T00:00:00Z', lastTimestamp: '2030-01-01T00:00:05Z' });
	t.is(counted?.metadata.namespace, 'default');
	await w.client.delete(Event, { name: counted?.metadata.name ?? '', namespace: 'default' });
	event(node, 'Normal', 'Tested', 'again');
	const [anew] = await events(w, ([first]) => first?.count === 4);
	t.not(anew?.metadata.name, counted?.metadata.name);
});

test('an API that is away delays events and loses none; a refused one holds up nobody', async (t) => {
	const w = await world(t);
	const clock = handClock();
	let away = true;
	const client: Client = {
		...w.client,
		create: (...args) => (away ? Promise.reject(serviceUnavailable('away')) : w.client.create(...args)),
	};
	const { event } = recordEvents(client, {
		component: 'tester',
		now: Date.now,
		log: silentLog,
		signal: w.signal,
		clock,
	});
	event({ ...about('x'), metadata: { name: 'x', namespace: 'nowhere' } }, 'Normal', 'Tested', 'refused');
	event(about('a'), 'Normal', 'Tested', 'first');
	event(about('a'), 'Normal', 'Tested', 'second');
	while (clock.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
	away = false;
	const ticking = setInterval(() => clock.advance(10_000), 1);
	t.teardown(() => clearInterval(ticking));
	const items = await events(w, ({ length }) => length === 2);
	clearInterval(ticking);
	t.deepEqual(items.map(({ message }) => message).toSorted(), ['first', 'second']);
});

test('in a storm that never ends it is logged once that events are dropped, and when it is over how many were', async (t) => {
	const w = await world(t);
	const lines: string[] = [];
	const log: Log = {
		...silentLog,
		warn: (_, message) => void lines.push(message),
		info: (fields, message) => void lines.push(`${message} ${JSON.stringify(fields)}`),
	};
	/** Each write waits to be let through. */
	const writes: (() => void)[] = [];
	const client: Client = {
		...w.client,
		create: async (_kind, object) => {
			await new Promise<void>((resolve) => writes.push(resolve));
			return object;
		},
	};
	const letThrough = async (count: number) => {
		for (let done = 0; done < count; done++) {
			while (writes.length === 0) await new Promise((resolve) => setImmediate(resolve));
			writes.shift()?.();
		}
		// The next write is under way, and so its place is free.
		while (writes.length === 0) await new Promise((resolve) => setImmediate(resolve));
	};
	const { event } = recordEvents(client, { component: 'tester', now: Date.now, log, signal: w.signal });
	let told = 0;
	const tell = (count: number) => {
		for (const end = told + count; told < end; told++) event(about(`object-${told}`), 'Normal', 'Tested', 'again');
	};
	tell(1);
	await letThrough(0);
	tell(MOST_WAITING);
	// From now on one place becomes free at a time, and two ask for it.
	for (let round = 0; round < 50; round++) {
		tell(1);
		await letThrough(1);
		tell(1);
	}
	t.deepEqual(lines, ['events are dropped']);
	const left = 1 + MOST_WAITING;
	await letThrough(left - 1);
	writes.shift()?.();
	while (lines.length < 2) await new Promise((resolve) => setImmediate(resolve));
	t.deepEqual(lines.slice(1), ['events are kept again; so many were dropped {"times":50}']);
});

test('many alike are combined into one, those before stay as they are', (t) => {
	const { count } = createCorrelator();
	const series = Array.from({ length: MOST_SIMILAR + 3 }, (_, at) => count(occurrence(`message ${at}`), 0));
	t.is(new Set(series.slice(0, MOST_SIMILAR)).size, MOST_SIMILAR);
	t.is(new Set(series.slice(MOST_SIMILAR)).size, 1);
	t.like(series.at(-1), { count: 3, message: `(combined from similar events): message ${MOST_SIMILAR + 2}` });
	t.is(count(occurrence('message 0'), 1), series[0]);
	t.is(count(occurrence('new after a while'), SIMILAR_INTERVAL_MS + 2)?.message, 'new after a while');
});

test('an object that has too many is silenced, others are not, and after a while it may speak again', (t) => {
	const { count } = createCorrelator();
	for (let at = 0; at < BURST; at++) t.truthy(count(occurrence('same'), 0));
	t.is(count(occurrence('same'), 0), undefined);
	t.truthy(count(occurrence('same', 'b'), 0));
	t.is(count(occurrence('same'), REFILL_MS - 1), undefined);
	t.truthy(count(occurrence('same'), REFILL_MS));
});

test('when the signal aborts the recorder ends, and takes nothing more', async (t) => {
	const w = await world(t);
	const stop = new AbortController();
	const { event, ended } = recordEvents(w.client, {
		component: 'tester',
		now: Date.now,
		log: silentLog,
		signal: stop.signal,
	});
	stop.abort();
	await ended;
	event(about('a'), 'Normal', 'Tested', 'late');
	t.deepEqual((await w.client.list(Event)).items, []);
});
