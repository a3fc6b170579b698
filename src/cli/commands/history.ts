import type { Command } from 'commander';
import { humanDuration } from '../../kinds/index.ts';
import { recordedText } from '../../sync/status/revision.ts';
import { connect, findApplication, type GlobalOptions } from '../connect.ts';
import { table, tame } from '../terminal.ts';

export function history(program: Command): void {
	program
		.command('history [app]')
		.description('the revisions that an application was synced to, the newest first')
		.addHelpText('after', '\nExamples:\n  driftless history\n  driftless history shop')
		.action(async (name: string | undefined, _: object, command: Command) => {
			await using client = await connect(command.optsWithGlobals<GlobalOptions>());
			const application = await findApplication(client, name ?? 'default');
			const entries = tame([...(application.status?.history ?? [])].reverse());
			if (entries.length === 0) return void process.stdout.write(`${application.metadata.name} was never synced\n`);
			const rows = entries.map(({ id, deployedAt, initiatedBy, ...made }) => [
				String(id),
				recordedText(made) || '-',
				`${humanDuration(Date.now() - Date.parse(deployedAt))} ago`,
				initiatedBy?.automated ? 'automatic' : (initiatedBy?.username ?? 'by hand'),
				[...new Set((made.sources ?? [made.source]).map((source) => source?.repoURL ?? ''))].join(', '),
			]);
			process.stdout.write(`${table([['ID', 'REVISION', 'SYNCED', 'STARTED', 'SOURCE'], ...rows]).join('\n')}\n`);
		});
}
