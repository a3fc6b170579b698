import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import test from 'ava';
import { root } from '../testbed/platform.ts';

/** Fills the room for new objects with some that live on for a while, rests, and says how large it was and has become. */
const program = `
import { giveMemoryBack, roomForNewObjects } from '${root}src/cli/platform/memory.ts';
using memory = giveMemoryBack(200);
for (let round = 0; round < 30; round++) Array.from({ length: 200_000 }, (_, index) => ({ index }));
const before = roomForNewObjects();
while (roomForNewObjects() > 8 * 2 ** 20) await new Promise((resolve) => setTimeout(resolve, 100));
console.log(before > 8 * 2 ** 20 ? 'given back' : 'there was nothing to give back');
`;

test('memory that new objects had is given back at rest', async (t) => {
	const args = ['--input-type=module', '--eval', program];
	const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
	t.is(stdout, 'given back\n');
});
