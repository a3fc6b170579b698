import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { GlobalOptions } from '../connect.ts';
import { dataDirectory, readRunning } from '../data-dir.ts';
import { UserError } from '../user-error.ts';

/** Where the token of the embedded repository lies in the data directory. */
export const TOKEN_FILE = 'git/token';

export function remote(program: Command): void {
	program
		.command('remote')
		.description('the URL to push to; it contains a secret token')
		.addHelpText('after', '\nExamples:\n  git remote add driftless "$(driftless remote)"\n  git push driftless main')
		.action((_: object, command: Command) => {
			const directory = dataDirectory(command.optsWithGlobals<GlobalOptions>().dataDir);
			const running = readRunning(directory);
			let token: string;
			try {
				token = readFileSync(join(directory, TOKEN_FILE), 'utf8').trim();
			} catch (error) {
				const { code, message } = error as NodeJS.ErrnoException;
				throw new UserError(
					code === 'ENOENT' || code === 'ENOTDIR'
						? `${directory} has no embedded repository yet; start driftless first: driftless up (or name its data directory with --data-dir)`
						: `the token of the embedded repository cannot be read: ${message}`,
				);
			}
			if (!running) throw new UserError(`driftless has not served ${directory} yet; start it first: driftless up`);
			const url = new URL('/git/default.git', running.http);
			url.username = 'git';
			url.password = token;
			process.stdout.write(`${url}\n`);
		});
}
