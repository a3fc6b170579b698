import type { Command } from 'commander';
import { connect, findApplications, type GlobalOptions } from '../connect.ts';
import { diffText, unknownText } from '../status.ts';
import { paintFor } from '../terminal.ts';

export function diff(program: Command): void {
	program
		.command('diff [app]')
		.description('each drifted field: the live and the desired value, and the file and line of the desired one')
		.option('--exit-code', 'exit with 1 when something has drifted')
		.addHelpText(
			'after',
			'\nExit status: 0, 1 with --exit-code where something has drifted, 2 on an error.\n\nExamples:\n  driftless diff\n  driftless diff default --exit-code',
		)
		.action(async (name: string | undefined, _: object, command: Command) => {
			const options = command.optsWithGlobals<GlobalOptions & { exitCode?: boolean }>();
			await using client = await connect(options);
			const paint = paintFor(process.stdout);
			let drifted = false;
			for (const application of await findApplications(client, name)) {
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
