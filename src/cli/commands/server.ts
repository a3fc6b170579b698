import type { Command } from 'commander';
import { type PlatformOptions, runPlatform, untilStopped } from '../platform/run.ts';
import { platformOptions } from '../platform-options.ts';

export function server(program: Command): void {
	platformOptions(
		program.command('server').description('run the control plane without a node: API, git endpoint, controllers'),
	)
		.addHelpText('after', '\nExamples:\n  driftless server --store etcd://127.0.0.1:2379 --advertise-address 10.0.0.1')
		.action(async (_: object, command: Command) =>
			runPlatform(
				{ ...command.optsWithGlobals<PlatformOptions>(), agentPort: 0, engine: 'docker', label: [] },
				false,
				untilStopped(),
			),
		);
}
