/** The engine by Docker's API, through dockerode. Only this folder knows Docker's words. Source: Docker Engine API v1.41. */
import type { Duplex, Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { Log } from '../../../log.ts';
import { type Engine, EngineError } from '../engine.ts';
import {
	createBody,
	gatewayMode,
	imageUri,
	instructions,
	SCHEME,
	stateOf,
	toContainer,
	toImage,
	toUsage,
} from './body.ts';
import { followEvents } from './events.ts';
import { killCommand } from './kill.ts';
import { lines } from './lines.ts';
import { DEADLINES, type Deadlines, requests } from './requests.ts';
import { endedStreams, endWithContainer, outputOf, streamsOf } from './streams.ts';

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
}

/** An engine at an address. Does not connect yet: the first call does. */
export function dockerEngine({ address, log, revive, stop, deadlines = DEADLINES }: DockerOptions): Engine {
	const connection = requests(address, deadlines);
	const { docker, call, find, dial } = connection;
	const short = (id: string) => id.slice(0, 12);
	const container = (id: string) => docker.getContainer(id);
	const askInfo = () => call('ask the engine what it is', 'answerMs', (signal) => dial<SystemInfo>('/info', signal));
	let groups: string | undefined;
	/** How the engine makes control groups; it stays as it is while the engine runs. */
	const groupDriver = async () => {
		groups ??= (await askInfo()).CgroupDriver ?? 'none';
		return groups;
	};

	return {
		address,
		async info() {
			const info = await askInfo();
			groups = info.CgroupDriver ?? 'none';
			return {
				name: SCHEME,
				version: info.ServerVersion,
				architecture: architectures[info.Architecture] ?? info.Architecture,
				operatingSystem: info.OperatingSystem,
				kernelVersion: info.KernelVersion,
				cpus: info.NCPU,
				memory: info.MemTotal,
				root: info.DockerRootDir,
			};
		},
		images: {
			async inspect(reference) {
				const image = await find(`inspect image ${reference}`, 'answerMs', (signal) =>
					dial<Docker.ImageInspectInfo>(`/images/${reference}/json`, signal),
				);
				return image && toImage(image);
			},
			async list() {
				const images = await call('list images', 'answerMs', (abortSignal) => docker.listImages({ abortSignal }));
				return images.map((image) => ({
					id: image.Id,
					tags: image.RepoTags ?? [],
					digests: image.RepoDigests ?? [],
					size: image.Size,
					user: '',
				}));
			},
			async pull(reference, auth, signal) {
				// Without a tag Docker fetches every tag of the repository.
				const name = /@|:[^/]*$/.test(reference) ? reference : `${reference}:latest`;
				await call(
					`pull image ${reference}`,
					'progressMs',
					async (abortSignal, alive) => {
						await finished(await docker.pull(name, { authconfig: auth, abortSignal }), alive);
					},
					signal,
				);
			},
			uri: imageUri,
			async load(reference, archive, config, signal) {
				const colon = reference.lastIndexOf(':');
				const options = {
					repo: reference.slice(0, colon),
					tag: reference.slice(colon + 1),
					changes: instructions(config),
				};
				await call(
					`import image ${reference}`,
					'changeMs',
					async (abortSignal, alive) => {
						const sent = { ...options, abortSignal } as object;
						await finished(await docker.importImage(Buffer.from(archive) as never, sent), alive);
					},
					signal,
				);
			},
			async remove(reference) {
				await find(`remove image ${reference}`, 'changeMs', (abortSignal) =>
					docker.getImage(reference).remove({ abortSignal }),
				);
			},
		},
		networks: {
			async inspect(name) {
				const network = await find(`inspect network ${name}`, 'answerMs', (signal) =>
					dial<Docker.NetworkInspectInfo>(`/networks/${name}`, signal),
				);
				const config = network?.IPAM?.Config?.[0];
				return (
					network && {
						subnet: config?.Subnet ?? '',
						gateway: config?.Gateway ?? '',
						labels: network.Labels ?? {},
						containers: Object.keys(network.Containers ?? {}),
					}
				);
			},
			async create({ name, bridge, subnet, gateway, mtu, labels }) {
				await call(`create network ${name} ${subnet}`, 'changeMs', async (abortSignal) => {
					const { Version } = await dial<Docker.DockerVersion>('/version', abortSignal);
					await docker.createNetwork({
						Name: name,
						Driver: 'bridge',
						CheckDuplicate: true,
						IPAM: { Driver: 'default', Config: [{ Subnet: subnet, Gateway: gateway }] },
						Labels: { ...labels },
						Options: {
							'com.docker.network.bridge.name': bridge,
							'com.docker.network.bridge.enable_ip_masquerade': 'false',
							'com.docker.network.bridge.enable_icc': 'true',
							'com.docker.network.driver.mtu': String(mtu),
							...gatewayMode(Version),
						},
						abortSignal,
					});
				});
			},
			async remove(name) {
				await find(`remove network ${name}`, 'changeMs', (abortSignal) =>
					docker.getNetwork(name).remove({ abortSignal }),
				);
			},
		},
		containers: {
			async list(labels) {
				const label = Object.entries(labels).map(([name, value]) => (value ? `${name}=${value}` : name));
				const all = await call('list containers', 'answerMs', (abortSignal) =>
					docker.listContainers({ all: true, filters: { label }, abortSignal }),
				);
				return all.map(({ Id, State, Labels }) => ({ id: Id, state: stateOf(State), labels: Labels }));
			},
			async inspect(id) {
				const body = await find(`inspect container ${short(id)}`, 'answerMs', (abortSignal) =>
					container(id).inspect({ abortSignal }),
				);
				return body && toContainer(body);
			},
			async create(spec) {
				const body = createBody(spec, spec.group ? await groupDriver() : 'none');
				try {
					const { id } = await call(`create container ${spec.name}`, 'changeMs', (abortSignal) =>
						docker.createContainer({ ...body, abortSignal }),
					);
					return { id, existed: false };
				} catch (error) {
					if (!(error instanceof EngineError) || error.fault !== 'conflict') throw error;
					const existing = await find(`inspect container ${spec.name}`, 'answerMs', (abortSignal) =>
						container(spec.name).inspect({ abortSignal }),
					);
					if (!existing) throw error;
					return { id: existing.Id, existed: true };
				}
			},
			async start(id) {
				await call(`start container ${short(id)}`, 'changeMs', async (abortSignal) => {
					await container(id)
						.start({ abortSignal })
						.catch((error: { statusCode?: number }) => {
							if (error.statusCode !== 304) throw error;
						});
				});
			},
			async kill(id, signal) {
				await find(`send ${signal} to container ${short(id)}`, 'changeMs', (abortSignal) =>
					container(id).kill({ signal, abortSignal }),
				).catch((error: EngineError) => {
					if (error.fault !== 'conflict') throw error;
				});
			},
			async remove(id) {
				await find(`remove container ${short(id)}`, 'changeMs', (abortSignal) =>
					container(id).remove({ force: true, v: true, abortSignal }),
				).catch((error: EngineError) => {
					if (error.fault !== 'conflict') throw error; // "removal ... is already in progress"
				});
			},
			logs: (id, { follow, tail, since, timestamps, tty, signal }) =>
				call(
					`read the log of container ${short(id)}`,
					'changeMs',
					async (signal) => {
						const query = { stdout: true, stderr: true, follow, tail: tail ?? 'all', since: since ?? 0, timestamps };
						return outputOf(await dial<Readable>(`/containers/${id}/logs`, signal, { stream: true, query }), tty);
					},
					signal,
				),
			exec: (id, { command, stdin, tty, signal }) =>
				call(
					`run ${command[0]} in container ${short(id)}`,
					'changeMs',
					async (abortSignal) => {
						const exec = await container(id).exec({
							Cmd: [...command],
							AttachStdin: stdin,
							AttachStdout: true,
							AttachStderr: true,
							Tty: tty,
							abortSignal,
						});
						// Upgraded in every case: only then can the input be closed while output still comes.
						const stream = await exec.start({ hijack: true, stdin: true, Tty: tty, abortSignal });
						return {
							...streamsOf(stream, tty),
							exitCode: () =>
								call(
									'ask for an exit code',
									'answerMs',
									async (abortSignal) => (await exec.inspect({ abortSignal })).ExitCode ?? -1,
								),
							kill: () =>
								call(`end ${command[0]} in container ${short(id)}`, 'answerMs', async (abortSignal) => {
									const { Running, Pid } = await exec.inspect({ abortSignal });
									if (Running) await killCommand(Pid, id);
								}),
							resize: (w: number, h: number) =>
								call('resize a terminal', 'changeMs', async (abortSignal) => {
									await exec.resize({ w, h, abortSignal });
								}),
						};
					},
					signal,
				),
			async attach(id, { stdin, tty, signal }) {
				const doing = `attach to container ${short(id)}`;
				const open = async (abortSignal: AbortSignal) => {
					const options = { stream: true, stdin, stdout: true, stderr: true, hijack: true, abortSignal };
					return (await container(id).attach(options)) as Duplex;
				};
				const live = await call(doing, 'changeMs', open, signal);
				const look = (abortSignal: AbortSignal) => container(id).inspect({ abortSignal });
				const body = await find(doing, 'answerMs', look, signal).catch((error: unknown) => {
					live.destroy();
					throw error;
				});
				if (!body || toContainer(body).state !== 'running') {
					live.destroy();
					return { ...endedStreams(), late: true };
				}
				endWithContainer(live, async (closed) => {
					// It takes as long as it takes.
					const wait = (abortSignal: AbortSignal) => container(id).wait({ condition: 'not-running', abortSignal });
					await find(`wait for the end of container ${short(id)}`, 'never', wait, closed);
				});
				return { ...streamsOf(live, tty), late: false };
			},
			async resize(id, w, h) {
				await call('resize a terminal', 'changeMs', (abortSignal) => container(id).resize({ w, h, abortSignal }));
			},
			async usage(id) {
				const body = await find(`read the statistics of container ${short(id)}`, 'answerMs', (abortSignal) =>
					dial<Docker.ContainerStats>(`/containers/${id}/stats`, abortSignal, {
						query: { stream: false, 'one-shot': true },
					}),
				);
				return body && toUsage(body);
			},
		},
		events: (signal) => followEvents({ requests: connection, address, log, revive }, signal),
		async stop() {
			await stop?.();
		},
		async [Symbol.asyncDispose]() {
			connection[Symbol.dispose]();
		},
	};
}

const architectures: Readonly<Record<string, string>> = {
	x86_64: 'amd64',
	aarch64: 'arm64',
	armv7l: 'arm',
	i686: '386',
};

/** Consumes a progress stream. Throws what it reports as an error. */
async function finished(progress: NodeJS.ReadableStream, alive: () => void): Promise<void> {
	for await (const line of lines(progress)) {
		alive();
		const { error } = JSON.parse(line) as { error?: string };
		if (error) throw new Error(error);
	}
}
