import type { Command } from 'commander';
import { type HttpClient, pathOf } from '../../client/index.ts';
import { Application } from '../../kinds/index.ts';
import { connect, findApplications, type GlobalOptions } from '../connect.ts';
import { request } from '../resources/request.ts';
import { type RevisionOptions, revisionOptions, revisionsFor } from '../revisions.ts';
import { diffText, unknownText } from '../status.ts';
import { paintFor, tame } from '../terminal.ts';

export function diff(program: Command): void {
	const command = program
		.command('diff [app]')
		.description('each drifted field: the live and the desired value, and the file and line of the desired one');
	revisionOptions(command, 'what a sync to this commit, branch or tag would change')
		.option('--exit-code', 'exit with 1 when something has drifted')
		.addHelpText(
			'after',
			'\nExit status: 0, 1 with --exit-code where something has drifted, 2 on an error.\n\nExamples:\n  driftless diff\n  driftless diff default --exit-code\n  driftless diff shop --revision v1.4.0',
		)
		.action(async (name: string | undefined, _: object, command: Command) => {
			const options = command.optsWithGlobals<GlobalOptions & RevisionOptions & { exitCode?: boolean }>();
			await using client = await connect(options);
			const paint = paintFor(process.stdout);
			let drifted = false;
			const asks = options.revision !== undefined || options.revisions !== undefined;
			for (const found of await findApplications(client, name ?? (asks ? 'default' : undefined))) {
				const revisions = revisionsFor(found, options);
				const application = tame(revisions ? await planOf(client, found, revisions) : found);
				const unknown = unknownText(application);
				if (unknown) {
					process.stderr.write(`${paintFor(process.stderr)('red', 'error:')} ${unknown}\n`);
					process.exitCode = 2;
				}
				const lines = diffText(application, paint);
				drifted ||= lines.length > 0;
				for (const line of lines) process.stdout.write(`${line}\n`);
			}
			if (drifted && options.exitCode) process.exitCode ??= 1;
		});
}

/** The application with the status that it would have at other revisions: the leader answers that. */
async function planOf(
	client: HttpClient,
	{ metadata }: Application,
	revisions: readonly string[],
): Promise<Application> {
	const query = new URLSearchParams(revisions.map((revision) => ['revision', revision]));
	const path = `${pathOf(Application, metadata, 'plan')}?${query}`;
	return (await request(client, { path })) as Application;
}
