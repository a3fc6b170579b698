/** The commands, in the order in which help lists them. */
import type { Command } from 'commander';
import { agent } from './agent.ts';
import { diff } from './diff.ts';
import { history } from './history.ts';
import { remote } from './remote.ts';
import { rollback } from './rollback.ts';
import { server } from './server.ts';
import { status } from './status.ts';
import { sync } from './sync.ts';
import { up } from './up.ts';

export const commands: readonly ((program: Command) => void)[] = [
	up,
	server,
	agent,
	remote,
	status,
	diff,
	sync,
	history,
	rollback,
];
