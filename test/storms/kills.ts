/**
 * Kills of the embedded store in its checkpoints, for as long as is wished: `npm run storms:kills -- [SECONDS] [SEED]`. Each round
 * goes on with the database of the last. The first that loses or damages anything ends the run with status 1 and its seed.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killInCheckpoint } from '../store/kills.ts';
import { numbers } from './numbers.ts';

const [seconds = 120, seed = Date.now() % 1_000_000] = process.argv.slice(2).map(Number);
const random = numbers(seed);
const folder = await mkdtemp(join(tmpdir(), 'driftless-kills-'));
const end = Date.now() + seconds * 1000;
let rounds = 0;
for (; Date.now() < end && !process.exitCode; rounds++) {
	const faults = await killInCheckpoint(join(folder, 'store.db'), 1 + Math.floor(random() * 3), random() * 60);
	if (faults.length === 0) continue;
	console.log(`round ${rounds} of seed ${seed}:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
	process.exitCode = 1;
}
console.log(`seed ${seed}: ${rounds} kills`);
await rm(folder, { recursive: true });
