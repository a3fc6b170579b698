import type { Command } from 'commander';
import { Application } from '../../kinds/index.ts';
import { recordedText } from '../../sync/status/revision.ts';
import { connect, findApplication, type GlobalOptions } from '../connect.ts';
import { operate, operationText } from '../operation.ts';
import { tame } from '../terminal.ts';
import { UserError } from '../user-error.ts';

export function rollback(program: Command): void {
	program
		.command('rollback <app> [id]')
		.description('go back to a revision of the history: the one before the last, or the one with this id')
		.option('--prune', 'delete what that revision does not have')
		.addHelpText(
			'after',
			`
Automated sync would go forward again at once, so it is switched off. The next push does not switch it on:
  kubectl patch application NAME --type merge -p '{"spec":{"syncPolicy":{"automated":{"enabled":true}}}}'
To undo a change for good, revert its commit and push.

Examples:
  driftless rollback default
  driftless rollback shop 3 --prune`,
		)
		.action(async (name: string, id: string | undefined, _: object, command: Command) => {
			const options = command.optsWithGlobals<GlobalOptions & { readonly prune?: boolean }>();
			await using client = await connect(options);
			const application = await findApplication(client, name);
			const history = application.status?.history ?? [];
			const last = recordedText(history.at(-1));
			const entry =
				id === undefined
					? history.findLast((each) => recordedText(each) !== last)
					: history.find((each) => String(each.id) === id);
			if (!entry || !recordedText(entry)) {
				throw new UserError(
					id === undefined
						? `${name} has no earlier revision to go back to`
						: `${name} has no revision with the id ${id} in its history; it has: ${history.map((each) => each.id).join(', ') || 'none'}`,
				);
			}
			const { metadata, spec } = application;
			if (spec.syncPolicy?.automated && spec.syncPolicy.automated.enabled !== false) {
				await client.patch(Application, metadata, {
					type: 'merge',
					body: { spec: { syncPolicy: { automated: { enabled: false } } } },
				});
				process.stdout.write(`automated sync of ${name} is switched off\n`);
			}
			process.stdout.write(`rolling back to ${recordedText(entry)}\n`);
			// Where it came from then, whatever the spec says now.
			const { revision, revisions, source, sources } = entry;
			const state = await operate(client, application, {
				sync: { ...(sources ? { revisions, sources } : { revision, source }), prune: options.prune ?? false },
			});
			for (const line of operationText(tame(state))) process.stdout.write(`${line}\n`);
			if (state.phase !== 'Succeeded') process.exitCode = 2;
		});
}
