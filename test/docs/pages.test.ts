/** What pages say of files, flags, limits and kinds is what there is. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { everyHelp, reference } from '../../scripts/write-cli-reference.ts';
import { limits } from '../../src/api/limits.ts';
import { loadRegistry } from '../../src/kinds/index.ts';
import { anchorOf, matches, parsePage } from './markdown.ts';
import { allPages, readPage, root, runPages } from './pages.ts';

/** Asked for once: it starts each command. */
const helps = everyHelp();

test('every link leads to a file or a heading that is there', async (t) => {
	const pages = new Map((await allPages()).map((page) => [page.path, page]));
	let checked = 0;
	for (const { path, links } of pages.values()) {
		for (const { target, line } of links) {
			if (/^(https?:|mailto:)/.test(target)) continue;
			checked++;
			const [file = '', anchor] = target.split('#');
			const found = file ? normalize(join(dirname(path), file)).replace(/\/$/, '') : path;
			t.true(existsSync(join(root, found)), `${path}:${line}: there is no ${found}`);
			if (anchor !== undefined && found.endsWith('.md')) {
				const { anchors } = pages.get(found) ?? readPage(found);
				t.true(anchors.has(anchor), `${path}:${line}: ${found} has no heading #${anchor}`);
			}
		}
	}
	t.true(checked > 50);
});

test('every decision is in the list of decisions', async (t) => {
	const listed = readPage('docs/decisions/README.md').links.map(({ target }) => `docs/decisions/${target}`);
	const there = (await allPages()).map(({ path }) => path).filter((path) => /^docs\/decisions\/\d/.test(path));
	t.deepEqual(listed.toSorted(), there.toSorted());
});

test('the page of the commands is what the commands say', async (t) => {
	t.is(
		await readFile(join(root, 'docs/cli.md'), 'utf8'),
		reference(await helps),
		'docs/cli.md is older than the commands: run node scripts/write-cli-reference.ts',
	);
});

test('the picture of the controllers is what they declare', async (t) => {
	const check = ['scripts/draw-controllers.ts', '--check', 'docs/architecture.md'];
	await t.notThrowsAsync(promisify(execFile)(process.execPath, check, { cwd: root }));
});

test('every command and flag that a page names is one', async (t) => {
	const flags = new Map<string, ReadonlySet<string>>();
	for (const { path, text } of await helps)
		flags.set(path.join(' '), new Set(text.match(/(?<![\w-])--?[a-zA-Z][\w-]*/g) ?? []));
	const commands = new Set([...flags.keys()].map((path) => path.split(' ')[0] ?? ''));
	const all = new Set([...flags.values()].flatMap((each) => [...each]));
	let checked = 0;
	for (const { path, blocks, code } of await runPages()) {
		const lines = [
			...blocks
				.filter(({ language }) => language === 'sh')
				.flatMap(({ line, text }) => text.split('\n').map((each, index) => ({ line: line + 1 + index, text: each }))),
			...code,
		];
		for (const { line, text } of lines) {
			if (/^--[a-z]/.test(text))
				t.true(all.has(text.split(/[ =]/)[0] ?? ''), `${path}:${line}: no command has ${text}`);
			for (const [, rest = ''] of text.matchAll(/(?:^|[\s("])(?:bin\/)?driftless((?: +[^|)"`;]+)+)/g)) {
				const words = rest.trim().split(/\s+/);
				const end = words.includes('--') ? words.indexOf('--') : words.length;
				const name = words.slice(0, end).find((word) => commands.has(word));
				// Prose in code ("driftless is ready") names no command.
				if (name === undefined && !words.some((word) => word.startsWith('--'))) continue;
				const known = new Set([...(flags.get('') ?? []), ...(flags.get(name ?? '') ?? [])]);
				for (const word of words.slice(0, end)) {
					if (!/^--?[a-zA-Z]/.test(word)) continue;
					checked++;
					t.true(known.has(word.split('=')[0] ?? ''), `${path}:${line}: driftless ${name ?? ''} has no ${word}`);
				}
			}
		}
	}
	t.true(checked > 20);
});

test('every limit in the table is that of the source', (t) => {
	const rows = readPage('docs/operate.md').rows.filter(({ cells }) => /^`[\w.]+` in `/.test(cells[2] ?? ''));
	t.true(rows.length > 40);
	for (const { cells, line } of rows) {
		const [, name = '', file = ''] = /^`([\w.]+)` in `([^`]+)`/.exec(cells[2] ?? '') ?? [];
		const told = amount(cells[1] ?? '', name);
		t.is(told, constantOf(name, file), `docs/operate.md:${line}: ${cells[0]} (${name} in ${file})`);
	}
});

const units: Readonly<Record<string, number>> = { '%': 1, bytes: 1, KiB: 1024, MiB: 1024 ** 2, ms: 1, s: 1000 };

/** `5 MiB` in bytes, `30 s` in milliseconds, `10,000` as it is. */
function amount(text: string, name: string): number {
	const [number = '', unit] = text.split(' ');
	const factor = unit === undefined ? 1 : units[unit];
	if (factor === undefined) throw new Error(`${name}: ${text} has no unit that is known`);
	return Number(number.replaceAll(',', '')) * factor;
}

/** The value of a constant that is declared, once or alike, somewhere in a folder. */
function constantOf(name: string, folder: string): number {
	if (name.startsWith('limits.'))
		return Number((limits as Readonly<Record<string, number>>)[name.slice('limits.'.length)]);
	const declared = new RegExp(`^(?:export )?const ${name} = ([\\d_ *.]+);`, 'm');
	const found = new Set<number>();
	for (const file of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
		const text = file.endsWith('.ts') && declared.exec(readFileSync(join(root, folder, file), 'utf8'))?.[1];
		if (text) found.add(product(text));
	}
	const [value] = found;
	if (value === undefined || found.size > 1)
		throw new Error(`${folder} has ${found.size} constants ${name}: mend the table of limits in docs/operate.md`);
	return value;
}

/** `5 * 60_000`. */
const product = (text: string) =>
	text
		.replaceAll('_', '')
		.split('*')
		.reduce((all, factor) => all * Number(factor.trim()), 1);

test('the kinds that the README names are those that there are', (t) => {
	const named = ['Kinds', 'Jobs', 'Policies', 'Storage', 'Data only'];
	const rows = readPage('README.md').rows.filter(({ cells }) => named.includes(cells[0] ?? ''));
	const there = [...loadRegistry().stored()].map(({ kind }) => kind);
	t.deepEqual(rows.flatMap(({ cells }) => cells[1]?.split(', ') ?? []).toSorted(), there.toSorted());
});

test('pages are written in plain words', async (t) => {
	for (const { path } of await runPages()) {
		const text = readFileSync(join(root, path), 'utf8');
		t.notRegex(text, /\u2014|\u2013/, `${path}: no dashes between words`);
		t.notRegex(text, /\b(?:blazing|seamless|powerful|effortless|world-class|simply|just works)\b/i, path);
	}
});

test('printed lines match with gaps, and only so', (t) => {
	t.true(matches('a   b', 'a b\n'));
	t.true(matches('…\nb\n…', 'a\na\nb\nc\n'));
	t.true(matches('a … c', 'a long way c'));
	t.false(matches('a', 'a\nb'));
	t.false(matches('a\nb', 'a\nx\nb'));
	t.false(matches('a.c', 'abc'));
});

test('headings have the anchors that links use', (t) => {
	t.is(anchorOf('Who may what?'), 'who-may-what');
	t.is(anchorOf('`a` and [b](c)'), 'a-and-b');
	const page = parsePage('x.md', '# A\n## A\n```sh norun why\n# no heading\n```\n[x](#a-1) `[y](#b)`\n');
	t.deepEqual([...page.anchors], ['a', 'a-1']);
	t.deepEqual(page.links, [{ line: 6, target: '#a-1' }]);
	t.is(page.blocks[0]?.info, 'norun why');
});

/** Words in the table of errors that others say. */
const foreign: Readonly<Record<string, string>> = {
	'listen EADDRINUSE': 'Node.js',
	'Authentication failed': 'git',
	'metrics not available yet': 'kubectl',
	'error retrieving RESTMappings to prune': 'kubectl',
	'x509: certificate is valid for': 'kubectl',
	'certificate signed by unknown authority': 'kubectl',
};

test('every error that the page on troubles names is one that is said', async (t) => {
	const folders = ['src', 'scripts'];
	const files = folders.flatMap((folder) =>
		readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
			.filter((name) => /\.(ts|mjs)$/.test(name))
			.map((name) => readFileSync(join(root, folder, name), 'utf8')),
	);
	const said = files.join('\n').replaceAll(/\$\{[^}]*\}/g, '…');
	let checked = 0;
	for (const { cells, line } of readPage('docs/troubleshooting.md').rows) {
		for (const [, message = ''] of (cells[0] ?? '').matchAll(/`([^`]+)`/g)) {
			if (Object.keys(foreign).some((words) => message.startsWith(words))) continue;
			for (const part of message.split('…').map((each) => each.trim())) {
				// Names of places, and fragments that say nothing.
				if (part.length < 4 || /^[A-Z:]+$/.test(part)) continue;
				checked++;
				t.true(said.includes(part), `docs/troubleshooting.md:${line}: nothing says "${part}"`);
			}
		}
	}
	t.true(checked > 60);
});
