/** The commands, in the order in which help lists them. */
import type { Command } from 'commander';

/** Adds a command to the program. */
export type AddCommand = (program: Command) => void;

/** A command's file is loaded when it is needed: the platform behind `up` is large, and `get` must be quick. */
const files: Readonly<Record<string, () => Promise<AddCommand>>> = {
	up: async () => (await import('./up.ts')).up,
	server: async () => (await import('./server.ts')).server,
	agent: async () => (await import('./agent.ts')).agent,
	down: async () => (await import('./down.ts')).down,
	credential: async () => (await import('./credential.ts')).credential,
	remote: async () => (await import('./remote.ts')).remote,
	status: async () => (await import('./status.ts')).status,
	diff: async () => (await import('./diff.ts')).diff,
	sync: async () => (await import('./sync.ts')).sync,
	history: async () => (await import('./history.ts')).history,
	rollback: async () => (await import('./rollback.ts')).rollback,
	get: async () => (await import('./get.ts')).get,
	describe: async () => (await import('./describe.ts')).describe,
	apply: async () => (await import('./apply.ts')).apply,
	create: async () => (await import('./create.ts')).create,
	delete: async () => (await import('./delete.ts')).deleteCommand,
	logs: async () => (await import('./logs.ts')).logs,
	exec: async () => (await import('./exec.ts')).exec,
};

const asked = process.argv.slice(2);
const named = Object.keys(files).filter((name) => asked.includes(name));
const general = named.length === 0 || /^(help|-h|--help)$/.test(asked[0] ?? '');

/** The commands that the command line may mean; all of them where help or a suggestion has to list them. */
export const commands: readonly AddCommand[] = await Promise.all(
	(general ? Object.keys(files) : named).flatMap((name) => files[name]?.() ?? []),
);
