/** The node agent: puts its parts together and keeps them running until the signal aborts. Its containers run on. */
import { mkdir } from 'node:fs/promises';
import pLimit from 'p-limit';
import { type Cache, type Client, describe, type EventRecorder, faults } from '../client/index.ts';
import { ConfigMap, Node, Pod, Secret, Service, serviceUnavailable } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import type { Engine } from './engine/engine.ts';
import { ensurePauseImage, PAUSE_IMAGE } from './images/pause.ts';
import { capacity, lowestOomScore } from './node/capacity.ts';
import { ensureNetwork } from './node/network.ts';
import { registerNode } from './node/registration.ts';
import type { PodContext } from './pods/context.ts';
import type { Objects } from './pods/environment.ts';
import { createImages } from './pods/images.ts';
import { lastWords } from './pods/last-words.ts';
import { mirrorContainers } from './pods/mirror.ts';
import { labels } from './pods/names.ts';
import { createPods, type Pods } from './pods/pods.ts';
import { createProber } from './probes/prober.ts';
import { servingCertificate } from './server/certificate.ts';
import { startServer } from './server/index.ts';
import { createWheel } from './wheel.ts';

/** Starts that the engine works on at once. See docs/decisions/0006-agent.md for the measurement. */
const PARALLEL_STARTS = 8;
export const NETWORK = { name: 'driftless', bridge: 'drift0', mtu: 1500 } as const;

export interface AgentOptions {
	/** Its writes carry the client's name; `kubelet` is usual. */
	readonly client: Client;
	readonly cache: Cache;
	/** A recorder of the component `kubelet` on this host. */
	readonly events: EventRecorder;
	/** Stays the caller's: it is not disposed. */
	readonly engine: Engine;
	readonly nodeName: string;
	/** For the pods' files, and the agent's certificate. */
	readonly dataDir: string;
	/** The node's InternalIP, at which the API server reaches the agent. */
	readonly address: string;
	/** Default 10250; 0 takes any free one. */
	readonly port?: number;
	/** PEM: signs those who may call the agent's server (members of system:masters). */
	readonly clientCa: string;
	/** Default 10.96.0.10. */
	readonly clusterDns?: string;
	/** Default cluster.local. */
	readonly clusterDomain?: string;
	/** Added to the node's own. */
	readonly labels?: Readonly<Record<string, string>>;
	/** The pods' network in the engine, its bridge and MTU. Default driftless, drift0, 1500. */
	readonly network?: { readonly name: string; readonly bridge: string; readonly mtu: number };
	/** Starts that the engine works on at once. */
	readonly parallelStarts?: number;
	readonly log: Log;
	/** Milliseconds since the epoch. */
	readonly now?: () => number;
	readonly signal: AbortSignal;
}

/** A running agent. Disposing it, or aborting its signal, stops it; containers run on. */
export interface Agent extends AsyncDisposable {
	readonly nodeName: string;
	/** Of its server. */
	readonly port: number;
	/** Settles when the node has its range, its network is there and its containers have been listed: pods are started from now on. */
	readonly ready: Promise<void>;
	/** Settles when the agent has stopped. */
	readonly ended: Promise<void>;
}

/**
 * Registers the node and runs its pods. Resolves once the node is registered and the server listens; `ready` tells when
 * pods are started. Throws when the engine does not answer, the API refuses the node, or the port is taken.
 */
export async function runAgent(options: AgentOptions): Promise<Agent> {
	const { client, cache, events, engine, nodeName, dataDir, address, log, now = Date.now } = options;
	const stop = new AbortController();
	const signal = AbortSignal.any([options.signal, stop.signal]);
	const info = await engine.info();
	await mkdir(dataDir, { recursive: true, mode: 0o711 });
	// Asked for before anything waits for them.
	for (const kind of [Node, Pod, ConfigMap, Secret, Service]) cache.informer(kind as typeof Node);
	cache.informer(Service).addIndex('namespace', (service) => [service.metadata.namespace ?? '']);

	const wheel = createWheel(now);
	const background = new Set<Promise<unknown>>();
	const readiness = Promise.withResolvers<void>();
	// Nobody has to wait for it.
	readiness.promise.catch(() => undefined);
	let pods: Pods | undefined;
	let fault: string | undefined = 'container runtime network not ready: the node has no podCIDR yet';
	let network: Promise<string> | undefined;
	const poke = (uid: string) => pods?.poke(uid);

	const objects: Objects = {
		configMap: (namespace, name) => cache.informer(ConfigMap).get(`${namespace}/${name}`),
		secret: (namespace, name) => cache.informer(Secret).get(`${namespace}/${name}`),
		services: (namespace) => cache.informer(Service).by('namespace', namespace),
	};
	const certificate = await servingCertificate(dataDir, nodeName, address, now());
	const images = createImages({ engine, objects, events, wheel, now, signal, changed: poke });
	const prober = createProber({ engine, wheel, events, now, signal, changed: poke });

	const server = await startServer({
		certificate,
		clientCa: options.clientCa,
		port: options.port ?? 10_250,
		node: nodeName,
		engine,
		pods: { find: (namespace, name) => pods?.find(namespace, name), all: () => pods?.all() ?? [] },
		mirror() {
			if (!pods) throw serviceUnavailable('the agent has not listed its containers yet');
			return mirror;
		},
		now,
		log,
		signal,
	}).catch((error: unknown) => {
		stop.abort();
		wheel[Symbol.dispose]();
		throw error;
	});
	const registration = await registerNode({
		client,
		cache,
		engine,
		info,
		name: nodeName,
		address,
		port: server.port,
		fingerprint: certificate.fingerprint,
		labels: options.labels ?? {},
		dataDir,
		wheel,
		now,
		log,
		signal,
		fault: () => fault,
	}).catch(async (error: unknown) => {
		stop.abort();
		wheel[Symbol.dispose]();
		await server[Symbol.asyncDispose]();
		throw error;
	});

	const mirror = mirrorContainers({
		engine,
		node: nodeName,
		log,
		signal,
		changed: poke,
		listed: () => void track(listed()),
		lost(cause) {
			fault = `container runtime is down: ${cause}`;
			registration.refresh();
		},
		imagesChanged() {
			images.invalidate();
			pods?.pokeAll();
		},
		lastWords: (container) =>
			lastWords(
				engine,
				dataDir,
				container,
				pods?.find(container.labels[labels.podNamespace] ?? '', container.labels[labels.podName] ?? ''),
			),
	});

	function track(work: Promise<unknown>): void {
		const settled = work
			.catch((error: unknown) => {
				if (!signal.aborted) log.error({ cause: describe(error) }, 'something went wrong in the background');
			})
			.finally(() => background.delete(settled));
		background.add(settled);
	}
	const makeNetwork = async (): Promise<string> => {
		const cidr = await podCidr(cache, nodeName, signal);
		const wish = options.network ?? NETWORK;
		await ensureNetwork({ engine, ...wish, cidr, node: nodeName, log });
		return wish.name;
	};
	const context: PodContext = {
		engine,
		client,
		events,
		log,
		now,
		signal,
		wheel,
		dataDir,
		node: nodeName,
		address,
		dns: { server: options.clusterDns ?? '10.96.0.10', domain: options.clusterDomain ?? 'cluster.local' },
		machine: { memory: info.memory, lowestOomScore: await lowestOomScore() },
		allocatable: await capacity(info, dataDir),
		objects,
		images,
		prober,
		mirror,
		reports: faults(log),
		limit: pLimit(options.parallelStarts ?? PARALLEL_STARTS),
		network() {
			network ??= makeNetwork().catch((error: unknown) => {
				network = undefined;
				throw error;
			});
			return network;
		},
		networkLost() {
			network = undefined;
		},
		background: track,
	};

	/** The engine answers (again), and its containers are known: the node can run pods once its network is there. */
	async function listed(): Promise<void> {
		try {
			network = undefined;
			images.invalidate();
			await context.network();
			await ensurePauseImage(engine, signal);
			await images.prepare(pauseHolder);
			await Promise.all([cache.informer(Pod).synced, cache.informer(Service).synced]);
			if (signal.aborted) return;
			pods ??= createPods(cache, context);
			await pods.reconcile();
			fault = undefined;
			readiness.resolve();
		} catch (error) {
			if (signal.aborted) return;
			fault = `container runtime network not ready: ${(error as Error).message}`;
			log.warn({ cause: fault }, 'the node cannot run pods yet; trying on');
			wheel.at(now() + 2_000, () => mirror.connected && track(listed()));
		}
		registration.refresh();
	}

	const ended = Promise.withResolvers<void>();
	let disposed: Promise<void> | undefined;
	const disposeOnce = () => {
		disposed ??= dispose().then(ended.resolve, ended.reject);
		return disposed;
	};
	const dispose = async () => {
		stop.abort();
		wheel[Symbol.dispose]();
		await server[Symbol.asyncDispose]();
		await mirror.ended;
		await Promise.allSettled(background);
		await pods?.idle();
		await registration.idle();
	};
	if (signal.aborted) void disposeOnce();
	else signal.addEventListener('abort', () => void disposeOnce(), { once: true });
	return {
		nodeName,
		port: server.port,
		ready: readiness.promise,
		ended: ended.promise,
		[Symbol.asyncDispose]: disposeOnce,
	};
}

/** Waits until a controller, or whoever gives ranges, has given the node one. */
async function podCidr(cache: Cache, name: string, signal: AbortSignal): Promise<string> {
	const { promise, resolve, reject } = Promise.withResolvers<string>();
	const given = () => cache.informer(Node).get(name)?.spec.podCIDR;
	using _watching = cache.informer(Node).on(() => {
		const cidr = given();
		if (cidr) resolve(cidr);
	});
	const abort = () => reject(signal.reason);
	signal.addEventListener('abort', abort, { once: true });
	try {
		signal.throwIfAborted();
		return await promise;
	} finally {
		signal.removeEventListener('abort', abort);
	}
}

/** Stands for the pause image among the images that are looked up. */
const pauseHolder: Pod = {
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name: 'pause', uid: 'pause' },
	spec: { containers: [{ name: 'pause', image: PAUSE_IMAGE }] },
};
