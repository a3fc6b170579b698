import { type Command, Option } from 'commander';
import { oneOf } from '../options.ts';
import { choice, filenames, flag } from '../resources/flags.ts';
import type { ObjectFormat } from '../resources/print.ts';
import { type ResourceOptions, resourceCommand, withSession } from '../resources/session.ts';
import { UserError } from '../user-error.ts';

interface Options extends ResourceOptions {
	readonly filename?: readonly string[];
	readonly kustomize?: string;
	readonly recursive?: boolean;
	readonly dryRun?: 'server' | 'none' | 'client';
	readonly forceConflicts?: boolean;
	readonly prune?: boolean;
	readonly output?: ObjectFormat;
}

export function apply(program: Command): void {
	const command = resourceCommand(program, 'apply', 'make objects what files say (server-side apply)', [
		'driftless apply -f web.yaml',
		'driftless apply -f manifests/ -R -n shop',
		'driftless apply -k overlays/production --dry-run',
		'generate | driftless apply -f -',
	]);
	filenames(command, 'what to apply').option(
		'-o, --output <format>',
		'print the objects: yaml, json or name',
		oneOf('yaml', 'json', 'name'),
	);
	choice(command, '--dry-run', 'let the server try it, and change nothing', ['server', 'none', 'client'], 'server');
	flag(command, '--force-conflicts', 'take over fields that others manage');
	flag(command, '--server-side', 'as always: accepted because kubectl has it');
	command.addOption(new Option('--prune').hideHelp());
	command.action((_: object, command: Command) =>
		withSession<Options>(command, async ({ client, namespace, fail }, options) => {
			if (options.prune)
				throw new UserError(
					'apply does not prune: delete what is too much (driftless delete), or let an Application with syncPolicy.automated.prune follow the files',
				);
			if (options.dryRun === 'client')
				throw new UserError('apply is tried by the server, which knows what it would do: --dry-run=server');
			// The renderer is large; those who only ask do not wait for it.
			const { readManifests } = await import('../resources/manifests.ts');
			const { applyOne, applyOrder, tryApply } = await import('../resources/apply.ts');
			const { reporter } = await import('../resources/report.ts');
			const dryRun = options.dryRun === 'server';
			const given = await readManifests(client, options, {
				namespace: options.namespace,
				otherwise: namespace ?? 'default',
			});
			const how = { force: options.forceConflicts ?? false, warn: warning };
			const tried = await tryApply(client, applyOrder(given), how);
			const report = reporter(options.output, dryRun ? 'server dry run' : undefined);
			for (const each of tried) {
				if (dryRun) {
					report.add(each.given.kind, each.object, each.outcome);
					continue;
				}
				try {
					// The trial has said the warnings already.
					const done = await applyOne(client, each.given, { ...how, warn: () => {}, dryRun });
					report.add(done.given.kind, done.object, done.outcome);
				} catch (error) {
					fail(error);
				}
			}
			report.end();
		}),
	);
}

export const warning = (message: string): void => void process.stderr.write(`warning: ${message}\n`);
