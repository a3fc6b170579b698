import test from 'ava';
import type { Log } from '../../src/log.ts';
import { createLoop } from '../../src/proxy/loop.ts';
import { silentLog } from '../testbed/silent-log.ts';

const HOUR_MS = 3_600_000;

test('pokes while the work is done are one more time of it, and the end of the signal is the end of all', async (t) => {
	const stop = new AbortController();
	const release: (() => void)[] = [];
	let entered = Promise.withResolvers<void>();
	let times = 0;
	let atOnce = 0;
	const loop = createLoop({
		name: 'work',
		everyMs: HOUR_MS,
		log: silentLog,
		async work() {
			times++;
			atOnce++;
			t.is(atOnce, 1);
			const gate = Promise.withResolvers<void>();
			release.push(gate.resolve);
			entered.resolve();
			await gate.promise;
			atOnce--;
		},
	});
	const running = loop.run(stop.signal);
	await entered.promise;
	entered = Promise.withResolvers();
	for (let pokes = 0; pokes < 5; pokes++) loop.poke();
	release.shift()?.();
	await entered.promise;
	t.is(times, 2);
	stop.abort();
	release.shift()?.();
	await running;
	t.is(times, 2);
});

test('work that fails is told once, tried again, and told when it is well', async (t) => {
	const stop = new AbortController();
	const said: string[] = [];
	const note = (_: object, message: string) => void said.push(message);
	const log: Log = { debug: note, info: note, warn: note, error: note };
	let times = 0;
	const loop = createLoop({
		name: 'the work',
		everyMs: HOUR_MS,
		log,
		async work() {
			if (++times < 3) throw new Error('not yet');
			setImmediate(() => stop.abort());
		},
	});
	await loop.run(stop.signal);
	t.is(times, 3);
	t.deepEqual(said, ['the work: not in place; it is tried again every 2 s', 'the work: in place again']);
});
