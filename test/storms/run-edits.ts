/** Storms of edits and pushes on a real API and real git, for as long as is wished: `npm run storms:edits -- [SECONDS] [SEED]`. */
import { startGitOps } from '../sync/gitops.ts';
import { editStorm } from './edits.ts';
import { numbers } from './numbers.ts';

const [seconds = 120, firstSeed = Date.now() % 1_000_000] = process.argv.slice(2).map(Number);
const end = Date.now() + seconds * 1000;
for (let seed = firstSeed; Date.now() < end; seed++) {
	await using stack = new AsyncDisposableStack();
	const world = await startGitOps(
		{ teardown: (end) => stack.defer(async () => void (await end())) },
		{ pushWaitMs: 0 },
	);
	const faults = await editStorm({ world, random: numbers(seed), edits: 40, pushes: 25 });
	console.log(`seed ${seed}: ${faults.length === 0 ? 'as it should be' : ''}`);
	if (faults.length === 0) continue;
	for (const fault of faults) console.log(`  ${fault}`);
	process.exitCode = 1;
	break;
}
