/** A short storm of edits; the long one is in test/storms. */
import test from 'ava';
import { editStorm } from '../storms/edits.ts';
import { numbers } from '../storms/numbers.ts';
import { startGitOps } from './gitops.ts';

for (const seed of [1, 2])
	test(`whatever is edited and pushed at once, in the end there is what the last specs name, and nothing else (seed ${seed})`, async (t) => {
		t.timeout(300_000);
		const world = await startGitOps(t, { pushWaitMs: 0 });
		t.deepEqual(await editStorm({ world, random: numbers(seed), edits: 12, pushes: 8 }), []);
	});
