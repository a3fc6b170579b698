/** Property tests with cases that are drawn anew, for as long as is wished: `npm run storms:properties -- [SECONDS] [SEED]`. */
import { execFileSync, spawnSync } from 'node:child_process';

/** The files that draw cases, by what they import. */
const drawing = ['grep', '-l', '-e', 'testbed/fast-check.ts', '-e', './properties.ts', '--', 'test/*.test.ts'];
const files = execFileSync('git', drawing, { encoding: 'utf8' });

const [seconds = 120, firstSeed = Date.now() % 1_000_000] = process.argv.slice(2).map(Number);
const end = Date.now() + seconds * 1000;
for (let seed = firstSeed; Date.now() < end; seed++) {
	const { status, stdout } = spawnSync('node_modules/.bin/ava', files.trim().split('\n'), {
		env: { ...process.env, DRIFTLESS_TEST_SEED: String(seed) },
		encoding: 'utf8',
		maxBuffer: 64 * 1024 * 1024,
	});
	console.log(`seed ${seed}: ${status === 0 ? 'as it should be' : stdout}`);
	if (status === 0) continue;
	process.exitCode = 1;
	break;
}
