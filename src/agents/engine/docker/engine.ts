/** The engine by Docker's API, through dockerode. Only this folder knows Docker's words. Source: Docker Engine API v1.41. */
import type { Log } from '../../../log.ts';
import type { Engine } from '../engine.ts';
import { EngineError } from '../error.ts';
import { SCHEME } from './answers.ts';
import { containerBody, type Surroundings, sandboxBody } from './body.ts';
import { followEvents } from './events.ts';
import { dockerImages } from './images.ts';
import { ensureNetwork, releaseNetwork } from './network.ts';
import { lowestOomScore } from './oom.ts';
import { createContainer, dockerParts, limitContainer } from './parts.ts';
import { ensurePauseImage } from './pause.ts';
import { dockerProcesses } from './processes.ts';
import { DEADLINES, type Deadlines, requests } from './requests.ts';

export interface DockerOptions {
	/** `unix:///path`, `tcp://host:port` or `http(s)://host:port`. */
	readonly address: string;
	readonly log: Log;
	/** Called before each attempt to reconnect: a supervisor sees to it that the engine runs. */
	revive?(): Promise<void>;
	stop?(): Promise<void>;
	readonly deadlines?: Deadlines;
}

/** What is read of Docker's `GET /info`. */
interface SystemInfo {
	readonly ServerVersion: string;
	readonly Architecture: string;
	readonly OperatingSystem: string;
	readonly KernelVersion: string;
	readonly NCPU: number;
	readonly MemTotal: number;
	readonly DockerRootDir: string;
	readonly CgroupDriver?: string;
	readonly Runtimes?: Readonly<Record<string, unknown>>;
	/** Absent or empty where the engine does not know the Container Device Interface. */
	readonly CDISpecDirs?: readonly string[] | null;
}

/** An engine at an address. Does not connect yet: the first call does. */
export function dockerEngine({ address, log, revive, stop, deadlines = DEADLINES }: DockerOptions): Engine {
	const connection = requests(address, deadlines);
	const parts = dockerParts(connection);
	const images = dockerImages(connection);
	const askInfo = () =>
		connection.call('ask the engine what it is', 'answerMs', (signal) => connection.dial<SystemInfo>('/info', signal));
	/** Stays as it is while the engine runs. */
	let around: Surroundings | undefined;
	const look = async (info: SystemInfo): Promise<Surroundings> => {
		around = { groups: info.CgroupDriver ?? 'none', lowestOomScore: await lowestOomScore() };
		return around;
	};
	const surroundings = async () => around ?? look(await askInfo());
	/** Name of the network that was prepared. */
	let network: string | undefined;

	const engine: Engine = {
		address,
		async info() {
			const info = await askInfo();
			await look(info);
			return {
				name: SCHEME,
				version: info.ServerVersion,
				architecture: architectures[info.Architecture] ?? info.Architecture,
				operatingSystem: info.OperatingSystem,
				kernelVersion: info.KernelVersion,
				cpus: info.NCPU,
				memory: info.MemTotal,
				root: info.DockerRootDir,
				// Only through a socket of this machine it is an engine of this machine.
				groups: address.startsWith('unix://') && info.CgroupDriver !== 'none' ? info.CgroupDriver : undefined,
				gpus: info.Runtimes?.nvidia !== undefined,
				cdi: (info.CDISpecDirs ?? []).length > 0,
			};
		},
		async prepare(wanted) {
			await ensureNetwork(connection, wanted, parts, log);
			await ensurePauseImage(engine);
			network = wanted.name;
		},
		release: (unwanted) => releaseNetwork(connection, unwanted),
		images,
		parts,
		sandboxes: {
			async create(spec) {
				if (network === undefined) throw new EngineError('unprepared', 'create a sandbox', 'there is no network yet');
				const body = sandboxBody(spec, network, await surroundings());
				try {
					return await createContainer(connection, body);
				} catch (error) {
					// Somebody has removed the image of all sandboxes.
					if (!(error instanceof EngineError) || error.fault !== 'not-found') throw error;
					await ensurePauseImage(engine);
					return createContainer(connection, body);
				}
			},
		},
		containers: {
			create: async (spec) => createContainer(connection, containerBody(spec, await surroundings())),
			limit: (id, limits) => limitContainer(connection, id, limits),
			...dockerProcesses(connection),
		},
		events: (signal) => followEvents({ requests: connection, address, log, revive }, signal),
		async stop() {
			await stop?.();
		},
		async [Symbol.asyncDispose]() {
			connection[Symbol.dispose]();
		},
	};
	return engine;
}

const architectures: Readonly<Record<string, string>> = {
	x86_64: 'amd64',
	aarch64: 'arm64',
	armv7l: 'arm',
	i686: '386',
};
