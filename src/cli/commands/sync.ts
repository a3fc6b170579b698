import type { Command } from 'commander';
import { connect, findApplication, type GlobalOptions } from '../connect.ts';
import { operate, operationText } from '../operation.ts';
import { type RevisionOptions, revisionOptions, revisionsFor } from '../revisions.ts';
import { tame } from '../terminal.ts';

interface Options extends GlobalOptions, RevisionOptions {
	readonly dryRun?: boolean;
	readonly prune?: boolean;
}

export function sync(program: Command): void {
	const command = program
		.command('sync [app]')
		.description('apply what the source says now, and show what that changed')
		.option('--dry-run', 'show what would change, change nothing')
		.option('--prune', 'delete what left the source, even if that is everything');
	revisionOptions(command, 'a commit, branch or tag instead of the one that the application follows')
		.addHelpText(
			'after',
			'\nExamples:\n  driftless sync\n  driftless sync --dry-run --prune\n  driftless sync shop --revision v1.4.0\n  driftless sync shop --revisions v1.4.0 --source-positions 2',
		)
		.action(async (name: string | undefined, _: object, command: Command) => {
			const options = command.optsWithGlobals<Options>();
			await using client = await connect(options);
			const application = await findApplication(client, name ?? 'default');
			const revisions = revisionsFor(application, options);
			const state = await operate(client, application, {
				sync: {
					...(application.spec.sources?.length ? { revisions } : { revision: revisions?.[0] }),
					prune: options.prune ?? false,
					dryRun: options.dryRun,
				},
			});
			for (const line of operationText(tame(state))) process.stdout.write(`${line}\n`);
			if (state.phase !== 'Succeeded') process.exitCode = 2;
		});
}
