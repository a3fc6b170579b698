import test from 'ava';
import { LEASE_MS, planLease, RENEW_DEADLINE_MS, RETRY_MS } from '../../src/client/election.ts';
import { type Client, runWhileLeader } from '../../src/client/index.ts';
import { Lease, serviceUnavailable } from '../../src/kinds/index.ts';
import type { Log } from '../../src/log.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { type HandClock, handClock } from './clock.ts';
import { found, type World, world } from './world.ts';

const NAME = { name: 'controllers', namespace: 'kube-system' };

interface Candidate {
	/** How often it began to lead, and whether it does now. */
	begun: number;
	leading: boolean;
	readonly ended: Promise<void>;
	stop(): void;
}

function candidate(
	w: World,
	identity: string,
	clock: HandClock,
	client: Client = w.client,
	log: Log = silentLog,
): Candidate {
	const stop = new AbortController();
	const state = { begun: 0, leading: false, ended: Promise.resolve(), stop: () => stop.abort() };
	const signal = AbortSignal.any([w.signal, stop.signal]);
	state.ended = runWhileLeader(
		client,
		{ name: NAME.name, identity, now: () => 1e12 + clock.now(), signal, log, clock },
		async (term) => {
			state.begun++;
			state.leading = true;
			if (!term.aborted) await new Promise((resolve) => term.addEventListener('abort', resolve));
			state.leading = false;
		},
	);
	return state;
}

const holder = async (w: World) => (await w.client.get(Lease, NAME)).spec.holderIdentity;

/** Lets what is under way come to rest. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
	while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Turns the clock in steps in which everybody does what falls due. */
async function pass(clock: HandClock, ms: number): Promise<void> {
	for (let left = ms; left > 0; left -= 500) {
		clock.advance(Math.min(500, left));
		for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
	}
}

test('the first candidate leads, the second waits; when the first stops it gives the Lease back and the second leads at once', async (t) => {
	const w = await world(t);
	const clock = handClock();
	const one = candidate(w, 'one', clock);
	await until(() => one.leading);
	const other = candidate(w, 'other', clock);
	await pass(clock, LEASE_MS * 3);
	t.false(other.leading);
	t.is(await holder(w), 'one');
	one.stop();
	await one.ended;
	t.false(one.leading);
	t.is(await holder(w), undefined);
	await until(async () => {
		await pass(clock, RETRY_MS);
		return other.leading;
	});
	t.is((await w.client.get(Lease, NAME)).spec.leaseTransitions, 1);
});

test('a candidate takes the Lease of a leader that is silent, and not before its time', async (t) => {
	const w = await world(t);
	const clock = handClock();
	await w.client.create(Lease, planLease(undefined, NAME.name, 'dead', 0, 'before'));
	const one = candidate(w, 'one', clock);
	await until(() => clock.waiting > 0);
	await pass(clock, LEASE_MS - RETRY_MS);
	t.false(one.leading);
	await pass(clock, RETRY_MS * 2);
	await until(() => one.leading);
	t.is(await holder(w), 'one');
});

test('a process that starts again with its identity leads at once', async (t) => {
	const w = await world(t);
	const clock = handClock();
	await w.client.create(Lease, planLease(undefined, NAME.name, 'one', 0, 'before'));
	const one = candidate(w, 'one', clock);
	await until(() => one.leading);
	t.is(clock.now(), 0);
});

test('of two processes with one identity, as a copied data directory makes them, one leads, and the fault is told', async (t) => {
	const w = await world(t);
	const clock = handClock();
	const told: string[] = [];
	const log = { ...silentLog, error: (_: object, message: string) => void told.push(message) };
	const one = candidate(w, 'twin', clock, w.client, log);
	await until(() => one.leading);
	const other = candidate(w, 'twin', clock, w.client, log);
	await until(() => other.leading);
	await until(async () => {
		await pass(clock, RETRY_MS);
		return !one.leading;
	});
	for (let passed = 0; passed < LEASE_MS * 3; passed += RETRY_MS) {
		await pass(clock, RETRY_MS);
		t.deepEqual([one.leading, other.leading], [false, true]);
	}
	t.deepEqual(told, ['another server has the identity of this one: its data directory is a copy']);
	other.stop();
	await other.ended;
	await until(async () => {
		await pass(clock, RETRY_MS);
		return one.leading;
	});
});

test('a leader whose renewals were made but never answered takes itself for no other', async (t) => {
	const w = await world(t);
	const clock = handClock();
	let deaf = false;
	const client: Client = {
		...w.client,
		async update(...args) {
			const answer = await w.client.update(...args);
			if (deaf) throw serviceUnavailable('the answer was lost');
			return answer;
		},
	};
	const told: string[] = [];
	const log = { ...silentLog, error: (_: object, message: string) => void told.push(message) };
	const one = candidate(w, 'one', clock, client, log);
	await until(() => one.leading);
	deaf = true;
	await pass(clock, RETRY_MS * 2);
	deaf = false;
	await pass(clock, LEASE_MS);
	t.true(one.leading);
	t.deepEqual([one.begun, ...told], [1]);
});

/** A client whose writes of Leases a test can break. */
function breakable(inner: Client) {
	const state = { broken: false };
	const client: Client = {
		...inner,
		update: (...args) => (state.broken ? Promise.reject(serviceUnavailable('cut off')) : inner.update(...args)),
		get: (...args) => (state.broken ? Promise.reject(serviceUnavailable('cut off')) : inner.get(...args)),
	};
	return { client, state };
}

test('a leader that is cut off stops leading before another can lead, and leads again when it may', async (t) => {
	const w = await world(t);
	const clock = handClock();
	const { client, state } = breakable(w.client);
	const one = candidate(w, 'one', clock, client);
	await until(() => one.leading);
	const other = candidate(w, 'other', clock);
	await pass(clock, RETRY_MS * 2);
	state.broken = true;
	let both = false;
	for (let waited = 0; waited < LEASE_MS * 2; waited += 500) {
		await pass(clock, 500);
		both ||= one.leading && other.leading;
		if (waited > RENEW_DEADLINE_MS + RETRY_MS) t.false(one.leading);
	}
	t.false(both);
	t.true(other.leading);
	state.broken = false;
	other.stop();
	await other.ended;
	await until(async () => {
		await pass(clock, RETRY_MS);
		return one.leading;
	});
	t.is(one.begun, 2);
});

test('a leader whose Lease somebody took stops leading', async (t) => {
	const w = await world(t);
	const clock = handClock();
	const one = candidate(w, 'one', clock);
	await until(() => one.leading);
	const body = { spec: { holderIdentity: 'thief' } };
	await w.client.patch(Lease, NAME, { type: 'merge', body });
	await until(async () => {
		await pass(clock, RETRY_MS);
		return !one.leading;
	});
	t.is(await holder(w), 'thief');
});

test('a leader whose Lease somebody deleted or only touched goes on', async (t) => {
	const w = await world(t);
	const clock = handClock();
	const one = candidate(w, 'one', clock);
	await until(() => one.leading);
	await w.client.patch(Lease, NAME, { type: 'merge', body: { metadata: { labels: { by: 'somebody' } } } });
	await pass(clock, RETRY_MS * 3);
	await w.client.delete(Lease, NAME);
	await until(async () => {
		await pass(clock, RETRY_MS);
		return (await found(w.client.get(Lease, NAME)))?.spec.holderIdentity === 'one';
	});
	t.true(one.leading);
	t.is(one.begun, 1);
});

test('what the run throws is thrown, after the Lease was given back', async (t) => {
	const w = await world(t);
	const options = { name: NAME.name, identity: 'one', now: Date.now, signal: w.signal, log: silentLog };
	await t.throwsAsync(
		runWhileLeader(w.client, options, () => Promise.reject(new Error('broken'))),
		{ message: 'broken' },
	);
	t.is(await holder(w), undefined);
});
