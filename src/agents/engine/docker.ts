/** The engine by Docker's API, through dockerode. The only file that knows Docker's words. Source: Docker Engine API v1.41. */
import { Agent } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { inspect } from 'node:util';
import Docker from 'dockerode';
import type { Log } from '../../log.ts';
import { createBody, gatewayMode, toContainer, toImage, toUsage } from './body.ts';
import { type Engine, EngineError, type EngineEvent } from './engine.ts';
import { lines } from './lines.ts';

/** Pauses between attempts to reach an engine that does not answer. */
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MAX_MS = 5_000;

export interface DockerOptions {
	/** `unix:///path`, `tcp://host:port` or `http(s)://host:port`. */
	readonly address: string;
	readonly log: Log;
	/** Called before each attempt to reconnect: a supervisor sees to it that the engine runs. */
	revive?(): Promise<void>;
	stop?(): Promise<void>;
}

/**
 * Kept connections. docker-modem renders every request's options for its debug output, whether that is on or not, with all
 * that hangs on them: through the sockets of an agent that is the whole process, some 20 ms a request.
 */
class Connections extends Agent {
	[inspect.custom](): string {
		return 'Connections';
	}
}

/** An engine at an address. Does not connect yet: the first call does. */
export function dockerEngine({ address, log, revive, stop }: DockerOptions): Engine {
	const agent = new Connections({ keepAlive: true });
	// dockerode hands the agent on to its requests, though its types do not know it.
	const docker = new Docker({ ...endpoint(address), agent } as Docker.DockerOptions);
	const call = <T>(doing: string, run: () => Promise<T>): Promise<T> =>
		run().catch((error: unknown) => {
			throw fault(doing, address, error);
		});
	/** The same, where a 404 is an answer. */
	const find = <T>(doing: string, run: () => Promise<T>): Promise<T | undefined> =>
		call(doing, run).catch((error: unknown) => {
			if (error instanceof EngineError && error.fault === 'not-found') return undefined;
			throw error;
		});
	/** A raw request whose answer is a stream (dockerode buffers some of them). */
	const stream = (path: string, method: 'GET' | 'POST', options: object, signal?: AbortSignal): Promise<Readable> =>
		new Promise((resolve, reject) => {
			docker.modem.dial(
				{ path, method, options, isStream: true, abortSignal: signal, statusCodes: { 200: true } },
				(error: unknown, data: unknown) => (error ? reject(error) : resolve(data as Readable)),
			);
		});
	const short = (id: string) => id.slice(0, 12);

	return {
		address,
		async info() {
			const info = await call('ask the engine what it is', () => docker.info());
			return {
				version: String(info.ServerVersion),
				architecture: architectures[info.Architecture] ?? String(info.Architecture),
				operatingSystem: String(info.OperatingSystem),
				kernelVersion: String(info.KernelVersion),
				cpus: Number(info.NCPU),
				memory: Number(info.MemTotal),
				root: String(info.DockerRootDir),
			};
		},
		images: {
			async inspect(reference) {
				const image = await find(`inspect image ${reference}`, () => docker.getImage(reference).inspect());
				return image && toImage(image);
			},
			async list() {
				const images = await call('list images', () => docker.listImages());
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
				await call(`pull image ${reference}`, async () => {
					await finished(await docker.pull(name, { authconfig: auth, abortSignal: signal }));
				});
			},
			async load(reference, archive, changes, signal) {
				const colon = reference.lastIndexOf(':');
				const options = {
					repo: reference.slice(0, colon),
					tag: reference.slice(colon + 1),
					changes,
					abortSignal: signal,
				};
				await call(`import image ${reference}`, async () => {
					await finished(await docker.importImage(Buffer.from(archive) as never, options as object));
				});
			},
			async remove(reference) {
				await find(`remove image ${reference}`, () => docker.getImage(reference).remove());
			},
		},
		networks: {
			async inspect(name) {
				const network = await find(`inspect network ${name}`, () => docker.getNetwork(name).inspect());
				const config = network?.IPAM?.Config?.[0];
				return (
					network && {
						subnet: config?.Subnet ?? '',
						gateway: config?.Gateway ?? '',
						containers: Object.keys(network.Containers ?? {}),
					}
				);
			},
			async create({ name, bridge, subnet, gateway, mtu, labels }) {
				await call(`create network ${name} ${subnet}`, async () => {
					const { Version } = await docker.version();
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
					});
				});
			},
			async remove(name) {
				await find(`remove network ${name}`, () => docker.getNetwork(name).remove());
			},
		},
		containers: {
			async list(labels) {
				const label = Object.entries(labels).map(([name, value]) => (value ? `${name}=${value}` : name));
				const all = await call('list containers', () => docker.listContainers({ all: true, filters: { label } }));
				return all.map((container) => container.Id);
			},
			async inspect(id) {
				const body = await find(`inspect container ${short(id)}`, () => docker.getContainer(id).inspect());
				return body && toContainer(body);
			},
			async create(spec) {
				try {
					const container = await call(`create container ${spec.name}`, () => docker.createContainer(createBody(spec)));
					return { id: container.id, existed: false };
				} catch (error) {
					if (!(error instanceof EngineError) || error.fault !== 'conflict') throw error;
					const existing = await find(`inspect container ${spec.name}`, () => docker.getContainer(spec.name).inspect());
					if (!existing) throw error;
					return { id: existing.Id, existed: true };
				}
			},
			async start(id) {
				await call(`start container ${short(id)}`, async () => {
					await docker
						.getContainer(id)
						.start()
						.catch((error: { statusCode?: number }) => {
							if (error.statusCode !== 304) throw error;
						});
				});
			},
			async kill(id, signal) {
				await find(`send ${signal} to container ${short(id)}`, () => docker.getContainer(id).kill({ signal })).catch(
					(error: EngineError) => {
						if (error.fault !== 'conflict') throw error;
					},
				);
			},
			async remove(id) {
				await find(`remove container ${short(id)}`, () =>
					docker.getContainer(id).remove({ force: true, v: true }),
				).catch((error: EngineError) => {
					if (error.fault !== 'conflict') throw error; // "removal ... is already in progress"
				});
			},
			logs: (id, { follow, tail, since, timestamps, signal }) =>
				call(`read the log of container ${short(id)}`, () =>
					stream(
						`/containers/${id}/logs?`,
						'GET',
						{ stdout: true, stderr: true, follow, tail: tail ?? 'all', since: since ?? 0, timestamps },
						signal,
					),
				),
			exec: (id, { command, stdin, tty, signal }) =>
				call(`run ${command[0]} in container ${short(id)}`, async () => {
					const exec = await docker.getContainer(id).exec({
						Cmd: [...command],
						AttachStdin: stdin,
						AttachStdout: true,
						AttachStderr: true,
						Tty: tty,
						abortSignal: signal,
					});
					// Upgraded in every case: only then can the input be closed while output still comes.
					const duplex = await exec.start({ hijack: true, stdin: true, Tty: tty, abortSignal: signal });
					return {
						stream: duplex,
						exitCode: () => call('ask for an exit code', async () => (await exec.inspect()).ExitCode ?? -1),
						resize: (w: number, h: number) =>
							call('resize a terminal', async () => {
								await exec.resize({ w, h });
							}),
					};
				}),
			attach: (id, { stdin, tty: _tty, signal }) =>
				call(`attach to container ${short(id)}`, async () => {
					const duplex = await docker
						.getContainer(id)
						.attach({ stream: true, stdin, stdout: true, stderr: true, hijack: true, abortSignal: signal });
					return duplex as Duplex;
				}),
			async ended(id, signal) {
				await find(`wait for the end of container ${short(id)}`, () =>
					docker.getContainer(id).wait({ condition: 'not-running', abortSignal: signal }),
				);
			},
			async resize(id, w, h) {
				await call('resize a terminal', () => docker.getContainer(id).resize({ w, h }));
			},
			async usage(id) {
				const body = await find(`read the statistics of container ${short(id)}`, () =>
					docker.getContainer(id).stats({ stream: false, 'one-shot': true }),
				);
				return body && toUsage(body);
			},
		},
		events: (signal) => events(docker, address, log, signal, revive),
		async stop() {
			await stop?.();
		},
		async [Symbol.asyncDispose]() {
			agent.destroy();
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
async function finished(progress: NodeJS.ReadableStream): Promise<void> {
	for await (const line of lines(progress)) {
		const { error } = JSON.parse(line) as { error?: string };
		if (error) throw new Error(error);
	}
}

async function* events(
	docker: Docker,
	address: string,
	log: Log,
	signal: AbortSignal,
	revive: (() => Promise<void>) | undefined,
): AsyncGenerator<EngineEvent> {
	let pause = RECONNECT_FIRST_MS;
	let down = false;
	while (!signal.aborted) {
		let cause: string;
		try {
			await revive?.();
			const filters = { type: ['container', 'image'] };
			const stream = await docker.getEvents({ filters, abortSignal: signal } as object);
			if (down) log.info({ engine: address }, 'the container engine answers again');
			down = false;
			pause = RECONNECT_FIRST_MS;
			yield { type: 'connected' };
			for await (const line of lines(stream)) yield* toEvent(line);
			cause = 'it closed the connection';
		} catch (error) {
			if (signal.aborted) return;
			cause = fault('follow events', address, error).detail;
		}
		if (signal.aborted) return;
		if (!down) log.warn({ engine: address, cause }, 'the container engine does not answer; trying on until it does');
		down = true;
		yield { type: 'disconnected', cause };
		await sleep(pause, signal);
		pause = Math.min(pause * 2, RECONNECT_MAX_MS);
	}
}

function* toEvent(line: string): Generator<EngineEvent> {
	const event = JSON.parse(line) as {
		Type: string;
		Action: string;
		Actor: { ID: string; Attributes?: Record<string, string> };
	};
	if (event.Type === 'container') {
		// exec_create and the like carry their command after a colon.
		const action = event.Action.split(':')[0] ?? '';
		yield { type: 'container', action, id: event.Actor.ID, labels: event.Actor.Attributes ?? {} };
	} else if (event.Type === 'image') {
		yield { type: 'image', action: event.Action, id: event.Actor.ID };
	}
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
	const { promise, resolve } = Promise.withResolvers<void>();
	const timer = setTimeout(resolve, ms);
	const stop = () => resolve();
	signal.addEventListener('abort', stop, { once: true });
	return promise.finally(() => {
		clearTimeout(timer);
		signal.removeEventListener('abort', stop);
	});
}

/** How dockerode is told an address. */
function endpoint(address: string): Docker.DockerOptions {
	if (address.startsWith('unix://')) return { socketPath: address.slice('unix://'.length) };
	const { protocol, hostname, port } = new URL(address);
	// TLS material and its switch come from DOCKER_CERT_PATH and DOCKER_TLS_VERIFY, which the modem reads itself.
	const secure = protocol === 'https:' || process.env.DOCKER_TLS_VERIFY === '1';
	return { host: hostname, port: port || (secure ? 2376 : 2375), protocol: secure ? 'https' : 'http' };
}

const faults: Readonly<Record<number, 'not-found' | 'conflict'>> = { 404: 'not-found', 409: 'conflict' };

/** Docker's error as ours: an error without an HTTP status is one of the connection. */
function fault(doing: string, address: string, error: unknown): EngineError {
	if (error instanceof EngineError) return error;
	const { statusCode, json, code, message, name } = error as {
		statusCode?: number;
		json?: { message?: string };
		code?: string;
		message?: string;
		name?: string;
	};
	if (statusCode !== undefined) {
		// Of an answer that is a stream dockerode has only its own message.
		const said = json?.message ?? message?.replace(/^\(HTTP code \d+\) .*? - /s, '') ?? 'failed';
		return new EngineError(faults[statusCode] ?? 'failed', doing, said.trim());
	}
	if (name === 'AbortError') return new EngineError('failed', doing, 'given up');
	if (code || message === 'socket hang up' || message === 'aborted') {
		return new EngineError('down', doing, `the engine at ${address} does not answer (${code ?? message})`);
	}
	return new EngineError('failed', doing, message ?? String(error));
}
