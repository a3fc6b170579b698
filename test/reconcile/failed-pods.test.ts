import test from 'ava';
import { createFailedPods } from '../../src/reconcile/workloads/failed-pods.ts';
import { handClock } from '../client/clock.ts';

test('a pod that failed is made anew at once, then with a pause that doubles up to 15 minutes, each place for itself', (t) => {
	const clock = handClock();
	const failed = createFailedPods(clock);
	t.is(failed.wait('n1', 'a'), 0);
	t.is(failed.wait('n1', 'a'), 0, 'it may still go');
	const pauses = ['b', 'c', 'd'].map((uid) => {
		const wait = failed.wait('n1', uid);
		clock.advance(wait);
		return wait;
	});
	t.deepEqual(pauses, [1000, 2000, 4000]);
	t.is(failed.wait('n2', 'x'), 0);
	failed.wait('n1', 'e');
	clock.advance(3000);
	t.is(failed.wait('n1', 'e'), 5000, 'what is left of the pause');
	let longest = 0;
	for (let number = 0; number < 20; number++) {
		longest = failed.wait('n1', `many-${number}`);
		clock.advance(longest);
	}
	t.is(longest, 15 * 60_000);
	clock.advance(31 * 60_000);
	t.is(failed.wait('n1', 'much later'), 0);
});
