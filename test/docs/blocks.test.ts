/**
 * Every shell example of README and docs/ is run, in the order of the pages, on one real platform, and prints what the page
 * says; every manifest is one that the API takes. Marks after the language of a block:
 *   sh               runs, every command succeeds; a `text` block after it is what it prints
 *   sh fails         runs, and the last command fails
 *   sh until         runs again until it prints what the page says (what it waits for takes its time)
 *   sh norun WHY     is not run
 *   yaml norun WHY   is no whole object
 */
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { type Platform, startPlatform } from '../testbed/platform.ts';
import { type Block, matches, type Page } from './markdown.ts';
import { root, runPages } from './pages.ts';

const PATIENCE_MS = 30_000;
/** What the pages call the data directory: that of root. */
const DATA = '/var/lib/driftless';

test('every example of the documentation does what its page says', async (t) => {
	t.timeout(600_000);
	const pages = await runPages();
	await using platform = await startPlatform({ args: ['--label', 'disk=ssd'] });
	const clone = join(platform.folder, 'work/driftless');
	await mkdir(clone, { recursive: true });
	for (const name of ['bin', 'docs', 'src', 'README.md', 'LICENSE']) await symlink(join(root, name), join(clone, name));
	await cp(join(root, 'manifests-example'), join(clone, 'manifests-example'), { recursive: true });
	const run: Run = { platform, clone, faults: [], skipped: [] };
	for (const page of pages) await runPage(run, page);
	for (const line of run.skipped) t.log(`not run: ${line}`);
	t.is(run.faults.length, 0, run.faults.join('\n\n'));
});

interface Run {
	readonly platform: Platform;
	/** The reader's clone of this repository. */
	readonly clone: string;
	/** What went otherwise than a page says. */
	readonly faults: string[];
	readonly skipped: string[];
}

async function runPage(run: Run, page: Page): Promise<void> {
	const shell = await openShell(run, page);
	let before: { readonly block: Block; readonly output: string } | undefined;
	for (const [index, block] of page.blocks.entries()) {
		const where = `${block.page}:${block.line}`;
		if (block.info.startsWith('norun')) {
			const why = block.info.slice('norun'.length).trim();
			if (why) run.skipped.push(`${where}: ${why}`);
			else run.faults.push(`${where}: it does not say why it is not run`);
			before = undefined;
		} else if (block.language === 'sh') {
			const next = page.blocks[index + 1];
			const expected = next?.language === 'text' ? next.text : undefined;
			before = { block, output: await runBlock(run, block, expected, shell) };
		} else if (block.language === 'text' && before) {
			if (!matches(block.text, before.output))
				run.faults.push(`${where}: it printed something else:\n${before.output}\ninstead of:\n${block.text}`);
			before = undefined;
		} else if (block.language === 'yaml' || block.language === 'json') await tryManifest(run, block);
	}
}

async function runBlock({ faults }: Run, block: Block, expected: string | undefined, shell: Shell): Promise<string> {
	const where = `${block.page}:${block.line}`;
	const deadline = Date.now() + PATIENCE_MS;
	for (;;) {
		const { code, output } = await shell(block.text);
		if (block.info !== 'until') {
			if ((code !== 0) !== (block.info === 'fails'))
				faults.push(`${where}: ended with ${code}:\n${block.text}\nprinted:\n${output}`);
			return output;
		}
		if (expected === undefined ? code === 0 : matches(expected, output)) return output;
		if (Date.now() > deadline) return output;
		await delay(100);
	}
}

async function tryManifest({ platform, faults }: Run, block: Block): Promise<void> {
	const { code, output } = await platform.run(
		'kubectl',
		['apply', '--server-side', '--force-conflicts', '--dry-run=server', '-f', '-'],
		{ input: block.text },
	);
	if (code !== 0) faults.push(`${block.page}:${block.line}: the API refuses it: ${output}`);
}

type Shell = (script: string) => Promise<{ readonly code: number | null; readonly output: string }>;

/** One shell a page, as a reader has it: where it is and what it has set stays from block to block. */
async function openShell({ platform, clone }: Run, page: Page): Promise<Shell> {
	const name = page.path.replaceAll(/\W/g, '-');
	const file = (suffix: string) => join(platform.folder, `${name}.${suffix}`);
	await writeFile(file('cwd'), page.path === 'README.md' ? clone : join(clone, '../shop'));
	await writeFile(file('env'), page.path === 'README.md' ? '' : `PATH="${clone}/bin:$PATH"`);
	await writeFile(
		file('sh'),
		`set -a
. ${file('env')}
cd "$(cat ${file('cwd')})" || exit 99
status=0
trap 'status=$?' ERR
set -o pipefail
. ${file('block')}
last=$?
trap - ERR
{ export -p | grep -v '^declare -x \\(PWD\\|OLDPWD\\|SHLVL\\|_\\|status\\|last\\)='; } > ${file('env')}
pwd > ${file('cwd')}
if [ "$status" = 0 ]; then exit "$last"; fi
exit "$status"
`,
	);
	return async (script) => {
		await writeFile(file('block'), `${script.replaceAll(DATA, platform.dataDir)}\n`);
		const { code, output } = await platform.run('timeout', ['60', 'bash', file('sh')]);
		return { code, output: output.replaceAll(platform.dataDir, DATA) };
	};
}
