/** Runs every benchmark, each in a process of its own, one after the other. `npm run bench [NAME...]` runs those named. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The figures that the documentation gives come first. */
const first = ['push', 'push-to-running', 'drift', 'start', 'pods', 'idle'];
const folder = fileURLToPath(new URL('.', import.meta.url));
const all = readdirSync(folder)
	.filter((file) => file.endsWith('.ts') && file !== 'all.ts')
	.map((file) => file.slice(0, -3));
const rest = all.filter((name) => !first.includes(name)).sort();
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !all.includes(name));
if (unknown.length > 0) {
	console.error(`there is no benchmark ${unknown.join(', ')}; there are: ${[...first, ...rest].join(', ')}`);
	process.exit(2);
}
let failed = 0;
for (const name of [...first, ...rest]) {
	if (asked.length > 0 && !asked.includes(name)) continue;
	console.log(`\n# ${name}`);
	const { status } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', `${folder}${name}.ts`], {
		stdio: 'inherit',
	});
	if (status !== 0) failed++;
}
process.exit(failed === 0 ? 0 : 1);
