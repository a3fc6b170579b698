import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { connectEngine, nodeOfDataDir, removeNode } from '../../agents/index.ts';
import { removeRules, stopDns } from '../../proxy/index.ts';
import type { GlobalOptions } from '../connect.ts';
import { dataDirectory, takeDataDirectory } from '../data-dir.ts';
import { cidr } from '../options.ts';
import { createLog } from '../platform/log.ts';
import { dnsFolder } from '../platform/node.ts';
import { UserError } from '../user-error.ts';

interface Options extends GlobalOptions {
	readonly nodeName?: string;
	readonly serviceNetwork: string;
}

export function down(program: Command): void {
	program
		.command('down')
		.description(
			'remove what a stopped `up` left running: its containers, the engine it started, service rules. What is stored stays',
		)
		.addOption(new Option('--node-name <name>', 'as given to up (default: the node that has the data directory)'))
		.addOption(new Option('--service-network <cidr>', 'as given to up').argParser(cidr).default('10.96.0.0/12'))
		.addHelpText('after', '\nExamples:\n  driftless down')
		.action(async (_: object, command: Command) => {
			const options = command.optsWithGlobals<Options>();
			const directory = dataDirectory(options.dataDir);
			if (!existsSync(directory))
				throw new UserError(`there is no data directory ${directory}; name the one of \`up\` with --data-dir`);
			// Refuses while `up` runs: it would start everything again.
			using _lock = takeDataDirectory(directory);
			const stop = new AbortController();
			const log = createLog({ level: 'error', format: 'text' });
			// An agent keeps its own, its engine too, below that of the data directory.
			const agents = join(directory, 'agent');
			const owners = await Promise.all([directory, agents].map(nodeOfDataDir));
			const places = [directory, agents].filter((_, index) => owners[index]);
			using _agentLock = places.includes(agents) ? takeDataDirectory(agents) : undefined;
			try {
				for (const place of places.length > 0 ? places : [directory]) {
					const own = existsSync(join(place, 'docker'));
					await using engine = await connectEngine({ dataDir: place, log, signal: stop.signal });
					const nodeName = options.nodeName ?? (await nodeOfDataDir(place)) ?? hostname().toLowerCase();
					const removed = await removeNode(engine, nodeName, place);
					process.stdout.write(`removed ${removed} containers\n`);
					if (own && !process.env.DOCKER_HOST) {
						await engine.stop?.();
						process.stdout.write('stopped the container engine\n');
					}
				}
			} finally {
				stop.abort();
			}
			if (process.getuid?.() === 0) {
				for (const node of [directory, agents]) await stopDns(dnsFolder(node));
				await removeRules({ serviceNetwork: options.serviceNetwork });
				process.stdout.write('removed the service rules, and stopped cluster DNS\n');
			}
			process.stdout.write(`${directory} is as it was; \`driftless up\` starts everything again\n`);
		});
}
