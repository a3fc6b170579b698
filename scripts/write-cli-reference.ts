/**
 * Writes docs/cli.md from the help texts of the commands, so that the page is never older than the code.
 *
 *   node scripts/write-cli-reference.ts          writes it
 *   node scripts/write-cli-reference.ts --check  fails where it is another
 */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = `${root}docs/cli.md`;
const run = promisify(execFile);

/** The help of a command, as a terminal of 80 columns shows it. */
async function help(path: readonly string[]): Promise<string> {
	const { stdout } = await run(`${root}bin/driftless`, [...path, '--help'], {
		env: { PATH: process.env.PATH, NO_COLOR: '1' },
	});
	return stdout.trimEnd();
}

/** The names of the sub-commands that a help text lists. */
export function subcommands(text: string): string[] {
	const list = /\nCommands:\n((?: .*\n?)+)/.exec(text)?.[1] ?? '';
	return [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name = '']) => name).filter((name) => name !== 'help');
}

/** A command (`['create', 'secret']`) and its help. */
export interface Help {
	readonly path: readonly string[];
	readonly text: string;
}

/** Every command with its help, the program itself first. */
export async function everyHelp(path: readonly string[] = []): Promise<Help[]> {
	const text = await help(path);
	const below = await Promise.all(subcommands(text).map((name) => everyHelp([...path, name])));
	return [{ path, text }, ...below.flat()];
}

/** The page. */
export function reference(helps: readonly Help[]): string {
	const lines = [
		'# Commands',
		'',
		'Written by `node scripts/write-cli-reference.ts` from the help of each command.',
		'',
	];
	for (const { path, text } of helps) {
		const title = ['driftless', ...path].join(' ');
		lines.push(`${'#'.repeat(path.length > 1 ? 3 : 2)} ${title}`, '', '```text', text, '```', '');
	}
	return `${lines.join('\n').trimEnd()}\n`;
}

if (import.meta.main) {
	const text = reference(await everyHelp());
	if (process.argv[2] === '--check') {
		if (text !== (await readFile(page, 'utf8'))) {
			console.error('docs/cli.md is not what the commands say: run node scripts/write-cli-reference.ts');
			process.exitCode = 1;
		}
	} else await writeFile(page, text);
}
