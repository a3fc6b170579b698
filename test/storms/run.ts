/**
 * Storms on several servers and a real etcd, for as long as is wished: `npm run storms -- [SECONDS] [SEED]`. The first round in
 * which something cannot be ends the run with status 1 and its seed.
 */
import { startEtcd } from '../testbed/etcd.ts';
import { startRound } from './start.ts';
import { writesRound } from './writes.ts';

const [seconds = 120, firstSeed = Date.now() % 1_000_000] = process.argv.slice(2).map(Number);
/** One round in so many is one of servers that start. */
const STARTS = 4;

await using etcd = await startEtcd();
const end = Date.now() + seconds * 1000;
for (let seed = firstSeed; Date.now() < end; seed++) {
	const faults = await (seed % STARTS === 0 ? startRound(seed) : writesRound(etcd, seed));
	if (faults.length === 0) continue;
	console.log(`seed ${seed} cannot be:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
	process.exitCode = 1;
	break;
}
