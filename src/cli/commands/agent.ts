import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { createCache, followKubeconfig, overHttp } from '../../client/index.ts';
import { SIMULATED_TAINT } from '../../kinds/index.ts';
import type { GlobalOptions } from '../connect.ts';
import { dataDirectory, kubeletDirectory, takeDataDirectory } from '../data-dir.ts';
import { type NodeFlags, nodeOptions } from '../node-options.ts';
import { cidr, oneOf, ownIp } from '../options.ts';
import { ownAddress } from '../platform/addresses.ts';
import { createLog, type LogOptions } from '../platform/log.ts';
import { giveMemoryBack } from '../platform/memory.ts';
import { runNode } from '../platform/node.ts';
import { nodeCredentials, renewNodeCredentials } from '../platform/node-credentials.ts';
import { untilStopped } from '../platform/run.ts';

interface Options extends GlobalOptions, NodeFlags {
	readonly address?: string;
	readonly podNetwork: string;
	readonly serviceNetwork: string;
	readonly logLevel: LogOptions['level'];
	readonly logFormat: LogOptions['format'];
}

export function agent(program: Command): void {
	const command = program
		.command('agent')
		.description(
			'run a node: containers, services and DNS of this machine, for the control plane of --kubeconfig, which is needed once',
		);
	nodeOptions(command)
		.addOption(
			new Option(
				'--address <address>',
				'address under which the control plane reaches this node (default: its first)',
			).argParser(ownIp),
		)
		.addOption(new Option('--pod-network <cidr>', 'as given to the server').argParser(cidr).default('10.244.0.0/16'))
		.addOption(new Option('--service-network <cidr>', 'as given to the server').argParser(cidr).default('10.96.0.0/12'))
		.addOption(
			new Option('--log-level <level>', 'debug, info, warn or error')
				.argParser(oneOf('debug', 'info', 'warn', 'error'))
				.default('warn'),
		)
		.addOption(new Option('--log-format <format>', 'text or json').argParser(oneOf('text', 'json')).default('text'))
		.addHelpText(
			'after',
			'\nExamples:\n  driftless --kubeconfig /etc/driftless/kubeconfig agent --node-name worker-1 --label disk=ssd',
		)
		.action(async (_: object, command: Command) => {
			const options = command.optsWithGlobals<Options>();
			const { signal, say } = untilStopped(options.engine);
			const dataDir = join(dataDirectory(options.dataDir), 'agent');
			using _lock = takeDataDirectory(dataDir);
			using _memory = giveMemoryBack();
			const log = createLog({ level: options.logLevel, format: options.logFormat });
			const nodeName = options.nodeName ?? hostname().toLowerCase();
			const own = { given: options.kubeconfig, dataDir, nodeName, say, log, signal };
			const credentials = await nodeCredentials(own).catch((error: unknown) => {
				if (!signal.aborted) throw error;
			});
			if (!credentials) return;
			const { path, config } = credentials;
			await using client = await overHttp(await followKubeconfig(path), 'driftless-agent');
			await using cache = createCache(client, { signal, log });
			void renewNodeCredentials(client, path, own);
			say(`node ${nodeName} works for ${config.server}`);
			await runNode({
				client,
				cache,
				kubeconfig: path,
				dataDir,
				kubeletDir: kubeletDirectory(options.kubeletDir, dataDir),
				nodeName,
				address: options.address ?? ownAddress(),
				agentPort: options.agentPort,
				clientCa: config.ca,
				podNetwork: options.podNetwork,
				serviceNetwork: options.serviceNetwork,
				labels: Object.fromEntries(options.label),
				taints: options.engine === 'simulated' ? [SIMULATED_TAINT] : [],
				limits: options,
				engine: options.engine,
				dockerHost: process.env.DOCKER_HOST,
				say,
				log,
				signal,
			});
		});
}
