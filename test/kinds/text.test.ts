import test from 'ava';
import {
	ageOf,
	canonicalQuantity,
	compareQuantities,
	configKey,
	dns1035Label,
	dnsLabel,
	dnsSubdomain,
	environmentName,
	formatQuantity,
	humanDuration,
	isQuantity,
	labelValue,
	milli,
	type NameCheck,
	portName,
	qualifiedName,
	quantity,
} from '../../src/kinds/index.ts';
import fc from '../testbed/fast-check.ts';

const canonical: [string | number, string][] = [
	['0.5', '500m'],
	[1, '1'],
	[0.1, '100m'],
	['1500m', '1500m'],
	['1000m', '1'],
	['1000', '1k'],
	['1024Mi', '1Gi'],
	['1.5Gi', '1536Mi'],
	['1000Ki', '1000Ki'],
	['100', '100'],
	['2e3', '2e3'],
	['0', '0'],
	['0Mi', '0'],
	['.5', '500m'],
	['-3', '-3'],
	['+3', '3'],
	['0.0000000001', '1n'],
	// "No quantity may represent a number greater than 2^63-1 in magnitude": what is larger is capped.
	['12345678901234567890', '9223372036854775807'],
	['9Ei', '9223372036854775807'],
	['-1e30', '-9223372036854775807'],
	[1e308, '9223372036854775807'],
	['1e999999999', '9223372036854775807'],
	['1e-999999999', '1e-9'],
	['0e999999999', '0'],
];
for (const [text, expected] of canonical)
	test(`the quantity ${typeof text} ${text} is stored as ${expected}`, (t) => {
		t.is(canonicalQuantity(text), expected);
		t.is(canonicalQuantity(expected), expected);
	});

test('quantities have their amount in units and in thousandths', (t) => {
	t.is(quantity('250m'), 0.25);
	t.is(quantity('1Ki'), 1024);
	t.is(milli('1.5'), 1500);
	t.is(milli('1n'), 1);
});

test('quantities compare by amount, not by how they are written', (t) => {
	t.is(compareQuantities('1', '1000m'), 0);
	t.true(compareQuantities('1G', '1Gi') < 0);
	t.true(compareQuantities('9007199254740993', '9007199254740992') > 0);
});

test('amounts in units are written in the form that is asked for', (t) => {
	t.is(formatQuantity(1.5, 'DecimalSI'), '1500m');
	t.is(formatQuantity(2 ** 30, 'BinarySI'), '1Gi');
});

test('what is no quantity is known as none', (t) => {
	for (const text of ['', 'a', '1x', '1 Gi', '1.2.3', '1e', '--1', '.', null, {}, Number.NaN])
		t.false(isQuantity(text), String(text));
	// A reader that tries each way of reading these has work for hours.
	const digits = '1'.repeat(3_000_000);
	for (const text of [digits, `${digits}x`, `0.${digits}`, `1e${digits}`]) t.false(isQuantity(text));
	t.throws(() => quantity('lots'), { instanceOf: RangeError, message: /regular expression/ });
});

test('the canonical form has the same amount and stays as it is', (t) => {
	const suffix = fc.constantFrom('', 'n', 'u', 'm', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi', 'e3', 'e-2');
	const number = fc.tuple(
		fc.integer({ min: -1e9, max: 1e9 }),
		fc.option(fc.integer({ min: 0, max: 999 }), { nil: undefined }),
	);
	fc.assert(
		fc.property(number, suffix, ([whole, fraction], unit) => {
			const text = `${whole}${fraction === undefined ? '' : `.${fraction}`}${unit}`;
			const once = canonicalQuantity(text);
			// Amounts finer than a billionth are rounded up, so that only those are compared that are not.
			if (!(unit === 'n' && fraction) && !(unit === 'u' && fraction)) t.is(compareQuantities(text, once), 0, text);
			// What no power of 1024 divides is written without a suffix, and is decimal for who reads it again.
			if (!unit.endsWith('i') || once.endsWith('i')) t.is(canonicalQuantity(once), once);
		}),
	);
	t.pass();
});

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const durations: [number, string][] = [
	[-5 * second, '<invalid>'],
	[-second, '0s'],
	[0, '0s'],
	[119 * second, '119s'],
	[2 * minute, '2m'],
	[5 * minute + 30 * second, '5m30s'],
	[10 * minute + 30 * second, '10m'],
	[179 * minute, '179m'],
	[3 * hour, '3h'],
	[7 * hour + 59 * minute, '7h59m'],
	[8 * hour + 59 * minute, '8h'],
	[47 * hour, '47h'],
	[2 * day + 3 * hour, '2d3h'],
	[8 * day + 3 * hour, '8d'],
	[729 * day, '729d'],
	[730 * day, '2y'],
	[800 * day, '2y70d'],
	[9 * 365 * day, '9y'],
];
for (const [milliseconds, expected] of durations)
	test(`a duration of ${milliseconds / second} seconds reads ${expected}`, (t) => {
		t.is(humanDuration(milliseconds), expected);
	});

test('an age is counted from a timestamp', (t) => {
	const now = Date.parse('2026-01-02T00:05:30Z');
	t.is(ageOf('2026-01-02T00:00:00Z', now), '5m30s');
	t.is(ageOf(undefined, now), '<unknown>');
});

const names: [string, NameCheck, string[], string[]][] = [
	[
		'a DNS label',
		dnsLabel,
		['a', 'web-1', '1web', 'a'.repeat(63)],
		['', 'A', '-a', 'a-', 'a.b', 'a_b', 'a'.repeat(64)],
	],
	[
		'a DNS subdomain',
		dnsSubdomain,
		['web.example.com', 'a', '1'],
		['', 'Web', '.a', 'a..b', 'a_b', `${'a'.repeat(250)}.abc`],
	],
	['the name of a service', dns1035Label, ['web', 'a1'], ['1a', 'a.b', '']],
	[
		'a label key',
		qualifiedName,
		['app', 'app.kubernetes.io/name', 'A_b.c-d', 'example.com/MyName'],
		['', '/a', 'a/', 'a/b/c', 'Example.com/a', '-a', 'a'.repeat(64)],
	],
	['a label value', labelValue, ['', 'a', 'A_b.c-1'], ['-a', 'a b', 'a/b', 'a'.repeat(64)]],
	['a config key', configKey, ['a', '.hidden', 'A_b-c.txt', '..data'.slice(1)], ['', '.', '..', '..data', 'a/b']],
	['the name of a variable', environmentName, ['A', 'a.b', '1', 'A B'], ['', 'A=B', 'ä']],
	['the name of a port', portName, ['http', 'p-1'], ['', 'HTTP', '80', 'a--b', '-a', 'abcdefghijklmnop']],
];
for (const [what, check, good, bad] of names)
	test(`${what} is told from what is none`, (t) => {
		for (const name of good) t.deepEqual(check(name), [], name);
		for (const name of bad) t.not(check(name).length, 0, JSON.stringify(name));
	});

test('a wrong name is explained in the words of Kubernetes', (t) => {
	t.deepEqual(dnsLabel('My_name'), [
		"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
	]);
	t.deepEqual(dnsSubdomain('a_b'), [
		"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
	]);
});
