/** All of the agent's waiting goes by a clock that nobody sets. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { createWheel } from '../../src/agents/wheel.ts';

const HOURS = 3_600_000;

test.serial('what waits comes in its time though the clock of the machine is set back or forward', async (t) => {
	using wheel = createWheel();
	const real = Date.now;
	t.teardown(() => {
		Date.now = real;
	});
	const came: string[] = [];
	wheel.after(500, () => came.push('before it was set back'));
	wheel.after(HOURS, () => came.push('in an hour'));
	Date.now = () => real() - 6 * HOURS;
	wheel.after(600, () => came.push('after'));
	while (came.length < 2) await delay(20);
	t.deepEqual(came, ['before it was set back', 'after']);
	Date.now = () => real() + 6 * HOURS;
	wheel.after(100, () => came.push('after it was set forward'));
	while (came.length < 3) await delay(20);
	t.deepEqual(came.slice(2), ['after it was set forward'], 'an hour has not passed');
});
