import type { Command } from 'commander';
import { nodeOptions } from '../node-options.ts';
import { type PlatformOptions, runPlatform, untilStopped } from '../platform/run.ts';
import { platformOptions } from '../platform-options.ts';

export function up(program: Command): void {
	const command = program
		.command('up')
		.description('run the whole platform on this machine: API, git endpoint, controllers, node, services, DNS');
	nodeOptions(platformOptions(command))
		.addHelpText(
			'after',
			`
The container engine is the one of DOCKER_HOST or of /var/run/docker.sock; where none answers, one is started and supervised.

Examples:
  driftless up
  driftless up --watch ./manifests
  driftless up --repo https://git.example.com/team/shop.git --revision main
  driftless up --data-dir /srv/driftless --api-port 7443 --http-port 7081
  driftless up --engine simulated --data-dir /tmp/simulated
  driftless up --store etcd://10.0.0.1:2379,10.0.0.2:2379`,
		)
		.action(async (_: object, command: Command) => {
			const options = command.optsWithGlobals<PlatformOptions>();
			await runPlatform(options, true, untilStopped(options.engine));
		});
}
