import test from 'ava';
import { LineTooLong, lines } from '../../src/client/lines.ts';
import fc from '../testbed/fast-check.ts';

async function* chunksOf(bytes: Uint8Array, cuts: readonly number[]) {
	const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((one, other) => one - other), bytes.length];
	for (let index = 1; index < at.length; index++) yield bytes.subarray(at[index - 1], at[index]);
}

test('lines come out whole wherever their bytes are cut, within characters too', async (t) => {
	const line = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\n'));
	await fc.assert(
		fc.asyncProperty(fc.array(line), fc.array(fc.nat()), async (wanted, cuts) => {
			const bytes = Buffer.from(wanted.map((each) => `${each}\n`).join(''), 'utf8');
			const got: string[] = [];
			for await (const batch of lines(chunksOf(bytes, cuts), 1 << 20)) got.push(...batch);
			if (JSON.stringify(got) !== JSON.stringify(wanted.map((each) => Buffer.from(each).toString()))) {
				throw new Error(`${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`);
			}
		}),
	);
	t.pass();
});

test('what follows the last newline comes at the end', async (t) => {
	const got: string[][] = [];
	for await (const batch of lines(chunksOf(Buffer.from('a\nbc'), [3]), 100)) got.push(batch);
	t.deepEqual(got, [['a'], ['bc']]);
});

test('a line without end does not fill the memory', async (t) => {
	async function* endless() {
		for (;;) yield Buffer.alloc(1000, 'x');
	}
	const read = async () => {
		for await (const _ of lines(endless(), 10_000));
	};
	await t.throwsAsync(read, { instanceOf: LineTooLong });
});
