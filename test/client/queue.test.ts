import test from 'ava';
import { createQueue } from '../../src/client/index.ts';
import { FIRST_RETRY_MS, LONGEST_RETRY_MS } from '../../src/client/queue.ts';
import fc from '../testbed/fast-check.ts';
import { handClock } from './clock.ts';

const queue = () => {
	const stop = new AbortController();
	const clock = handClock();
	return { queue: createQueue({ signal: stop.signal, clock }), clock, stop };
};

test('keys are served in the order in which they were added, each once', async (t) => {
	const { queue: q } = queue();
	for (const key of ['a', 'b', 'a', 'c', 'b']) q.add(key);
	t.is(q.depth, 3);
	t.deepEqual([await q.take(), await q.take(), await q.take()], ['a', 'b', 'c']);
	t.is(q.depth, 0);
});

test('a key that is added while worked on waits until the work is done, then comes once more', async (t) => {
	const { queue: q } = queue();
	q.add('a');
	t.is(await q.take(), 'a');
	q.add('a');
	q.add('a');
	t.is(q.depth, 0);
	q.done('a');
	t.is(q.depth, 1);
	t.is(await q.take(), 'a');
	q.done('a');
	t.is(q.depth, 0);
});

test('a waiting worker gets the key that comes', async (t) => {
	const { queue: q } = queue();
	const taken = q.take();
	q.add('a');
	t.is(await taken, 'a');
});

test('a failing key comes again after a delay that doubles up to the longest, and starts over after a success', async (t) => {
	const { queue: q, clock } = queue();
	q.add('a');
	const delays: number[] = [];
	for (let failures = 0; failures < 20; failures++) {
		await q.take();
		const delay = q.retry('a');
		delays.push(delay);
		clock.advance(delay - 1);
		t.is(q.depth, 0);
		clock.advance(1);
		t.is(q.depth, 1);
	}
	t.is(delays[0], FIRST_RETRY_MS);
	t.is(delays[3], FIRST_RETRY_MS * 8);
	t.is(delays.at(-1), LONGEST_RETRY_MS);
	await q.take();
	q.done('a');
	q.add('a');
	await q.take();
	t.is(q.retry('a'), FIRST_RETRY_MS);
});

test('a failing key that is added comes at once, and its retry no longer counts', async (t) => {
	const { queue: q, clock } = queue();
	q.add('a');
	await q.take();
	q.retry('a');
	q.add('a');
	t.is(await q.take(), 'a');
	q.done('a');
	t.is(clock.waiting, 0);
});

test('the newest word on when to look again is the one that counts', async (t) => {
	const { queue: q, clock } = queue();
	const work = async (again?: number) => {
		q.add('a');
		await q.take();
		q.done('a', again);
	};
	await work(1000);
	await work(3000);
	clock.advance(2999);
	t.is(q.depth, 0);
	clock.advance(1);
	t.is(await q.take(), 'a');
	q.done('a', 500);
	await work();
	t.is(clock.waiting, 0);
});

test('what is gathered comes once for all that asked, and not before its time, whatever is done with the key meanwhile', async (t) => {
	const { queue: q, clock } = queue();
	q.gather('a', 1000);
	clock.advance(900);
	q.gather('a', 1000);
	q.add('a');
	t.is(await q.take(), 'a');
	q.done('a');
	t.is(q.depth, 0);
	clock.advance(100);
	t.is(await q.take(), 'a');
	q.done('a');
	clock.advance(10_000);
	t.is(q.depth, 0);
	t.is(clock.waiting, 0);
});

test('what waits for its time can be hurried', async (t) => {
	const { queue: q, clock } = queue();
	for (const key of ['a', 'b', 'c']) {
		q.add(key);
		await q.take();
	}
	q.done('a', 5000);
	q.retry('b');
	q.done('c');
	q.hurry();
	t.deepEqual([await q.take(), await q.take()].sort(), ['a', 'b']);
	t.is(q.depth, 0);
	t.is(clock.waiting, 0);
});

test('when the signal aborts, workers are sent home, what waits is dropped, and no timer stays', async (t) => {
	const { queue: q, clock, stop } = queue();
	q.add('a');
	q.add('b');
	await q.take();
	q.retry('a');
	await q.take();
	const idle = q.take();
	stop.abort();
	t.is(await idle, undefined);
	t.is(await q.take(), undefined);
	q.done('b', 10);
	q.add('c');
	t.is(q.depth, 0);
	t.is(clock.waiting, 0);
});

test('whatever happens, no key is worked on twice at once and every added key is worked on after it was added', async (t) => {
	const key = fc.constantFrom('a', 'b', 'c', 'd');
	const step = fc.oneof(
		{ weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), key }) },
		{ weight: 4, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
		fc.record({
			do: fc.constant('done' as const),
			key,
			again: fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }),
		}),
		fc.record({ do: fc.constant('retry' as const), key }),
		fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 100 }) }),
	);
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
			const { queue: q, clock, stop } = queue();
			const working = new Set<string>();
			/** Keys that were added and not taken since. */
			const owed = new Set<string>();
			const takers: Promise<void>[] = [];
			let idle = 0;
			const take = () => {
				idle++;
				takers.push(
					q.take().then((taken) => {
						idle--;
						if (taken === undefined) return;
						if (working.has(taken)) throw new Error(`${taken} is worked on twice`);
						working.add(taken);
						owed.delete(taken);
					}),
				);
			};
			const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
			for (const each of steps) {
				if (each.do === 'add') {
					q.add(each.key);
					owed.add(each.key);
				} else if (each.do === 'take') take();
				else if (each.do === 'advance') clock.advance(each.ms);
				else if (working.delete(each.key)) {
					if (each.do === 'done') q.done(each.key, each.again);
					else q.retry(each.key);
				}
				await settle();
				// Nobody waits while there is work.
				if (idle > 0 && q.depth > 0) throw new Error('a worker waits beside a waiting key');
			}
			for (let round = 0; owed.size > 0 && round < 10; round++) {
				for (const each of [...working]) {
					working.delete(each);
					q.done(each);
				}
				take();
				await settle();
			}
			if (owed.size > 0) throw new Error(`never worked on: ${[...owed]}`);
			stop.abort();
			await Promise.all(takers);
			if (clock.waiting > 0) throw new Error('a timer is left');
		}),
		{ numRuns: 200 },
	);
	t.pass();
});
