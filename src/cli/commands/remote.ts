import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { GlobalOptions } from '../connect.ts';
import { dataDirectory, readRunning } from '../data-dir.ts';
import { UserError } from '../user-error.ts';

/** Where the token of the embedded repository lies in the data directory. */
export const TOKEN_FILE = 'git/token';

interface Options extends GlobalOptions {
	readonly add?: string | boolean;
}

export function remote(program: Command): void {
	program
		.command('remote')
		.description('the URL to push to; it contains a secret token')
		.option('--add [name]', 'make it a remote of the git repository here (default: driftless), without the token in it')
		.addHelpText(
			'after',
			'\nExamples:\n  git push "$(driftless remote)" HEAD:main\n  driftless remote --add\n  git push driftless HEAD:main',
		)
		.action((_: object, command: Command) => {
			const { add, dataDir } = command.optsWithGlobals<Options>();
			const directory = dataDirectory(dataDir);
			const token = readToken(directory);
			const running = readRunning(directory);
			if (!running) throw new UserError(`driftless has not served ${directory} yet; start it first: driftless up`);
			const url = new URL('/git/default.git', running.http);
			if (add) return addRemote(add === true ? 'driftless' : add, url, directory);
			url.username = 'git';
			url.password = token;
			process.stdout.write(`${url}\n`);
		});
}

/** The token of the embedded repository. Throws UserError. */
export function readToken(directory: string): string {
	try {
		return readFileSync(join(directory, TOKEN_FILE), 'utf8').trim();
	} catch (error) {
		const { code, message } = error as NodeJS.ErrnoException;
		throw new UserError(
			code === 'ENOENT' || code === 'ENOTDIR'
				? `${directory} has no embedded repository yet; start driftless first: driftless up (or name its data directory with --data-dir)`
				: `the token of the embedded repository cannot be read: ${message}`,
		);
	}
}

/** Has git ask `driftless credential` for the token: an argument of a program, or a file that is copied, would show it. */
function addRemote(name: string, url: URL, directory: string): void {
	const program = process.env.DRIFTLESS_COMMAND ?? 'driftless';
	const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
	const path = program.includes('/') ? resolve(program) : program;
	const helper = `!${quoted(path)} --data-dir ${quoted(directory)} credential`;
	const there = git('remote', 'get-url', name).status === 0;
	for (const args of [
		['remote', there ? 'set-url' : 'add', name, url.href],
		// An empty one first: no other helper is asked, nor told to keep it.
		['config', '--replace-all', `credential.${url.origin}.helper`, ''],
		['config', '--add', `credential.${url.origin}.helper`, helper],
	]) {
		const { status, stderr, error } = git(...args);
		if (status !== 0) throw new UserError(`git ${args[0]} failed: ${error?.message ?? stderr.trim()}`);
	}
	process.stdout.write(`git push ${name} HEAD:main\n`);
}

const git = (...args: string[]) => spawnSync('git', args, { encoding: 'utf8' });
