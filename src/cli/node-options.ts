/** The flags that `up` and `agent` share: what the node of this machine is, and what it gives to pods. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { ENGINES, type EngineKind } from '../agents/index.ts';
import { isQuantity, quantity } from '../kinds/index.ts';
import { collect, label, nodeName, port } from './options.ts';

export interface NodeFlags {
	readonly nodeName?: string;
	readonly agentPort: number;
	readonly engine: EngineKind;
	readonly label: readonly (readonly [string, string])[];
	readonly systemReserved?: Readonly<Record<string, string>>;
	readonly allowedUnsafeSysctls?: readonly string[];
	readonly containerMaxPids?: number;
	readonly kubeletDir?: string;
	readonly podMaxPids?: number;
}

export function nodeOptions(command: Command): Command {
	return command
		.addOption(new Option('--node-name <name>', 'name of this node (default: the host name)').argParser(nodeName))
		.addOption(new Option('--agent-port <port>', 'HTTPS port of the node agent').argParser(port).default(10_250))
		.addOption(
			new Option('--engine <engine>', 'what runs the pods; simulated runs nothing, for trying and testing')
				.choices(ENGINES)
				.default('docker' satisfies EngineKind),
		)
		.addOption(
			new Option('--label <key=value>', 'label of this node; may be given several times')
				.argParser(collect(label))
				.default([], 'none'),
		)
		.addOption(
			new Option(
				'--system-reserved <amounts>',
				'what pods never get, cpu=500m,memory=1Gi say (default: none)',
			).argParser(reserved),
		)
		.addOption(
			new Option(
				'--allowed-unsafe-sysctls <names>',
				'unsafe sysctls that pods may set, kernel.msg*,net.core.somaxconn say (default: none)',
			).argParser((text) => text.split(',').filter(Boolean)),
		)
		.addOption(
			new Option('--container-max-pids <number>', 'processes that each container may have (default: 4096)').argParser(
				processes,
			),
		)
		.addOption(
			new Option(
				'--kubelet-dir <directory>',
				'where plugins of the node have their sockets and volumes (default: /var/lib/kubelet, or kubelet in the data directory where --data-dir names one)',
			),
		)
		.addOption(
			new Option(
				'--pod-max-pids <number>',
				'processes that each pod may have (default: as many as its containers)',
			).argParser(processes),
		);
}

function processes(text: string): number {
	if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It takes a number of processes.');
	return Number(text);
}

const RESERVABLE = ['cpu', 'memory', 'ephemeral-storage'];

function reserved(text: string): Readonly<Record<string, string>> {
	const amounts: Record<string, string> = {};
	for (const part of text.split(',')) {
		const [name = '', amount = ''] = part.split('=');
		if (!RESERVABLE.includes(name) || !isQuantity(amount) || quantity(amount) < 0)
			throw new InvalidArgumentError(`It takes amounts of ${RESERVABLE.join(', ')}, such as cpu=500m,memory=1Gi.`);
		amounts[name] = amount;
	}
	return amounts;
}
