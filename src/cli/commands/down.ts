import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import {
	type ConnectOptions,
	connectEngine,
	engineOfDataDir,
	findEngine,
	nodeOfDataDir,
	removeNode,
} from '../../agents/index.ts';
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
			const say = (line: string) => process.stdout.write(`${line}\n`);
			// An agent keeps its own, its engine too, below that of the data directory.
			const agents = join(directory, 'agent');
			const [owner, worker] = await Promise.all([directory, agents].map(nodeOfDataDir));
			// The file by which an agent takes its directory.
			const served = existsSync(join(agents, 'lock'));
			using _agentLock = served ? takeDataDirectory(agents) : undefined;
			// What is simulated has none of the machine's rules: those that are there are another node's.
			const simulated = [isSimulated(directory), isSimulated(agents)];
			const real = [owner, worker].some((node, index) => node !== undefined && !simulated[index]);
			try {
				await takeDown(directory, owner, options.nodeName, { log, say, signal: stop.signal });
				await takeDown(agents, worker, options.nodeName, { log, say, signal: stop.signal });
			} finally {
				stop.abort();
			}
			if ((real || !simulated.includes(true)) && process.getuid?.() === 0) {
				for (const node of [directory, agents]) await stopDns(dnsFolder(node));
				await removeRules({ serviceNetwork: options.serviceNetwork });
				say('no service rules and no cluster DNS are left');
			}
			say(`what is stored in ${directory} stays; \`${commandOf(directory, served)}\` starts everything again`);
		});
}

const isSimulated = (place: string) => engineOfDataDir(place) === 'simulated';

/**
 * Takes down what the node of a data directory has left. An engine of its own is started for that where it must be: its
 * containers run on without it. Where no node has the directory there are none, and only an engine that runs is looked at.
 */
async function takeDown(
	place: string,
	owner: string | undefined,
	named: string | undefined,
	{ say, ...surroundings }: Pick<ConnectOptions, 'log' | 'signal'> & { readonly say: (line: string) => void },
): Promise<void> {
	const own = existsSync(join(place, 'docker')) && !process.env.DOCKER_HOST;
	// What another data directory has on the engine of the machine is its own.
	if (!existsSync(place) || !(owner || named || own || isSimulated(place))) return;
	await using engine = await (owner && own ? connectEngine : findEngine)({ dataDir: place, ...surroundings });
	if (!engine) {
		if (!owner) return;
		throw new UserError(
			`the containers of the node ${owner} cannot be removed: no container engine answers at /var/run/docker.sock; start it, then run the same command again`,
		);
	}
	const removed = await removeNode(engine, named ?? owner ?? hostname().toLowerCase(), place);
	if (owner || removed > 0) say(`removed ${removed} containers`);
	if (own) {
		await engine.stop?.();
		say('stopped the container engine');
	}
}

/** What serves a data directory: `up` has its node in it, an agent a directory of its own below it. */
function commandOf(directory: string, withAgent: boolean): string {
	if (!withAgent) return 'driftless up';
	return existsSync(join(directory, 'pki')) ? 'driftless server` and `driftless agent' : 'driftless agent';
}
