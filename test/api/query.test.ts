/** Reading the query of a request: what anybody may send, before it is known who asks. */
import test from 'ava';
import { checkTimeout } from '../../src/api/http/query.ts';
import { ApiError } from '../../src/kinds/status.ts';

const check = (timeout: string) => checkTimeout(new URLSearchParams({ timeout }));

for (const duration of [
	'',
	'0',
	'30s',
	'1m30s',
	'1.5h',
	'.5s',
	'1.s',
	'-1m',
	'+100ms',
	'3us',
	'3µs',
	'3μs',
	'2562047h47m16.854775807s',
])
	test(`the timeout ${JSON.stringify(duration)} of a request is a duration`, (t) => {
		t.notThrows(() => check(duration));
	});

for (const wrong of ['soon', '30', '1 s', 's', '.s', '1.2.3s', '1d', '--1s', '+'])
	test(`the timeout ${JSON.stringify(wrong)} of a request is no duration`, (t) => {
		const error = t.throws(() => check(wrong), { instanceOf: ApiError, message: /time: invalid duration/ });
		t.is(error?.code, 400);
	});

// A reader that tries each way of reading these has work for hours.
for (const [what, timeout] of Object.entries({
	digits: '1'.repeat(3_000_000),
	'digits and points': '1.1'.repeat(1_000_000),
	'durations without an end': `${'1s'.repeat(1_500_000)}1`,
}))
	test(`a timeout of millions of ${what} is refused at once, and not repeated whole`, (t) => {
		const error = t.throws(() => check(timeout), { instanceOf: ApiError });
		t.is(error?.code, 400);
		t.true((error?.message.length ?? 0) < 1000);
	});
