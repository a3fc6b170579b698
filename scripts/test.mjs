// The whole test command: format and lint, types, import directions, then the tests on the real parts.
// Ends with one line, `N passed, N failed`.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function run(command, args) {
	return new Promise((resolve) => {
		const child = spawn(`${root}node_modules/.bin/${command}`, args, {
			cwd: root,
			stdio: ['ignore', 'pipe', 'inherit'],
			env: { ...process.env, PATH: `${root}node_modules/.bin:${process.env.PATH}` },
		});
		const output = [];
		child.stdout.on('data', (chunk) => {
			output.push(chunk);
			process.stdout.write(chunk);
		});
		child.on('close', (code) => resolve({ code, output: Buffer.concat(output).toString('utf8') }));
	});
}

const count = (output, pattern) => [...output.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0);
let passed = 0;
let failed = 0;
for (const [title, command, args] of [
	['format and lint', 'biome', ['check', '.']],
	['types', '../typescript-7/bin/tsc', []],
	['import directions', 'depcruise', ['src', '--config', '.dependency-cruiser.cjs']],
]) {
	process.stdout.write(`\n# ${title}\n`);
	if ((await run(command, args)).code === 0) passed++;
	else failed++;
}
process.stdout.write('\n# tests\n');
const { code, output } = await run('ava', process.argv.slice(2));
// ava counts what has passed only where nothing has failed.
passed += output.match(/^ +✔ /gm)?.length ?? 0;
const broken =
	count(output, /(\d+) tests? failed/g) +
	count(output, /(\d+) uncaught exceptions?/g) +
	count(output, /(\d+) unhandled rejections?/g);
// A run that ava ends without a count (a time-out, a file that does not load) has failed all the same.
failed += code === 0 ? broken : Math.max(1, broken);
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exit(failed === 0 ? 0 : 1);
