import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { GlobalOptions } from '../connect.ts';
import { dataDirectory } from '../data-dir.ts';
import { readToken } from './remote.ts';

/** git's protocol for credential helpers: `get` prints what it knows of what it reads; the rest has nothing to do. Source: gitcredentials(7). */
export function credential(program: Command): void {
	program
		.command('credential <operation>')
		.description('gives git the token of the embedded repository; "driftless remote --add" has git ask it')
		.action((operation: string, _: object, command: Command) => {
			if (operation !== 'get') return;
			const directory = dataDirectory(command.optsWithGlobals<GlobalOptions>().dataDir);
			// git says which place it asks for, and asks this helper for its own alone.
			readFileSync(0);
			process.stdout.write(`username=git\npassword=${readToken(directory)}\n`);
		});
}
