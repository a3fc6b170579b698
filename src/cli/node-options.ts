/** The flags that `up` and `agent` share: what the node of this machine is, and what it gives to pods. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
	type Amount,
	ENGINES,
	type EngineKind,
	type EvictionOptions,
	type ImageGarbageOptions,
	parseAmounts,
	parseGraces,
	type Signal,
} from '../agents/index.ts';
import { isQuantity, quantity } from '../kinds/index.ts';
import { collect, duration, label, nodeName, port } from './options.ts';

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
	readonly podManifestPath?: string;
	readonly evictionHard?: Amounts;
	readonly evictionSoft?: Amounts;
	readonly evictionSoftGracePeriod?: Readonly<Partial<Record<Signal, number>>>;
	readonly evictionMinimumReclaim?: Amounts;
	readonly evictionPressureTransitionPeriod?: number;
	readonly evictionMaxPodGracePeriod?: number;
	readonly imageGcHighThreshold?: number;
	readonly imageGcLowThreshold?: number;
	readonly minimumImageTtlDuration?: number;
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
		)
		.addOption(
			new Option(
				'--pod-manifest-path <path>',
				'a folder of files, each a pod that runs on this node as long as the file is there',
			),
		)
		.addOption(
			new Option(
				'--eviction-hard <thresholds>',
				'what left below which pods are evicted at once (default: memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%,pid.available<10%)',
			).argParser(saying((text) => parseAmounts(text, '<'))),
		)
		.addOption(
			new Option(
				'--eviction-soft <thresholds>',
				'the same, below which pods are evicted after a grace period (default: none)',
			).argParser(saying((text) => parseAmounts(text, '<'))),
		)
		.addOption(
			new Option(
				'--eviction-soft-grace-period <durations>',
				'how long each soft threshold has to be met, memory.available=90s say',
			).argParser(saying((text) => parseGraces(text, duration))),
		)
		.addOption(
			new Option(
				'--eviction-minimum-reclaim <amounts>',
				'how much more has to be left before a threshold counts as not met, imagefs.available=2Gi say (default: nothing)',
			).argParser(saying((text) => parseAmounts(text, '='))),
		)
		.addOption(
			new Option(
				'--eviction-pressure-transition-period <duration>',
				'how long pressure is told of after it was last seen (default: 5m)',
			).argParser(duration),
		)
		.addOption(
			new Option(
				'--eviction-max-pod-grace-period <seconds>',
				'grace at most of pods that a soft threshold evicts (default: their own)',
			).argParser(whole('seconds')),
		)
		.addOption(
			new Option(
				'--image-gc-high-threshold <percent>',
				'disk in use from which images are removed that nobody needs (default: 85)',
			).argParser(percent),
		)
		.addOption(
			new Option(
				'--image-gc-low-threshold <percent>',
				'disk in use down to which they are removed (default: 80)',
			).argParser(percent),
		)
		.addOption(
			new Option(
				'--minimum-image-ttl-duration <duration>',
				'how long an image stays after it was fetched (default: 2m)',
			).argParser(duration),
		);
}

type Amounts = Readonly<Partial<Record<Signal, Amount>>>;

/** A parser whose errors are those of the option. */
const saying =
	<T>(parse: (text: string) => T) =>
	(text: string): T => {
		try {
			return parse(text);
		} catch (error) {
			throw error instanceof InvalidArgumentError ? error : new InvalidArgumentError((error as Error).message);
		}
	};

const whole = (what: string) => (text: string) => {
	if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError(`It takes a number of ${what}.`);
	return Number(text);
};

function percent(text: string): number {
	if (!/^\d{1,3}$/.test(text) || Number(text) > 100) throw new InvalidArgumentError('It takes a number from 0 to 100.');
	return Number(text);
}

/** What the flags say of when the node evicts pods, and removes images. Throws where they contradict each other. */
export function evictionOf(flags: Partial<NodeFlags>): {
	readonly eviction: EvictionOptions;
	readonly imageGarbage: ImageGarbageOptions;
} {
	const eviction: EvictionOptions = {
		hard: flags.evictionHard,
		soft: flags.evictionSoft,
		softGrace: flags.evictionSoftGracePeriod,
		minimumReclaim: flags.evictionMinimumReclaim,
		transitionMs: flags.evictionPressureTransitionPeriod,
		maxPodGrace: flags.evictionMaxPodGracePeriod,
	};
	const {
		imageGcHighThreshold: highPercent,
		imageGcLowThreshold: lowPercent,
		minimumImageTtlDuration: minAgeMs,
	} = flags;
	return { eviction, imageGarbage: { highPercent, lowPercent, minAgeMs } };
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
