/** The node agent: puts its parts together and keeps them running until the signal aborts. Its containers run on. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type * as core from 'kubernetes-types/core/v1.js';
import pLimit from 'p-limit';
import { type Cache, type Client, describe, type EventRecorder, faults } from '../client/index.ts';
import { Node, type Pod, Service, serviceUnavailable } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import type { Family } from '../metrics.ts';
import { type Csi, createCsi } from './csi/index.ts';
import { createDevices } from './devices/index.ts';
import type { Engine } from './engine/index.ts';
import { createDiskMeter, createFigures } from './figures/index.ts';
import { collectImages, type ImageGarbageOptions } from './garbage/images.ts';
import { podGroups } from './groups/groups.ts';
import { measure } from './node/capacity.ts';
import { advertised } from './node/extended.ts';
import { claimDataDir } from './node/identity.ts';
import { NETWORK, prepareEngine } from './node/network.ts';
import { type Registration, registerNode } from './node/registration.ts';
import type { PodContext } from './pods/context.ts';
import type { Objects } from './pods/environment.ts';
import { createImages, usedImages, usesImage } from './pods/images.ts';
import { lastWords } from './pods/last-words.ts';
import { mirrorContainers } from './pods/mirror.ts';
import { uidOf } from './pods/names.ts';
import { createPods, type Pods, podsOf } from './pods/pods.ts';
import { followPodReferences } from './pods/references.ts';
import { createEvictor } from './pressure/evictor.ts';
import type { Observations } from './pressure/judge.ts';
import { observeNode } from './pressure/signals.ts';
import { type EvictionOptions, TRANSITION_MS, thresholdsOf } from './pressure/thresholds.ts';
import { diskUseOf, useOf } from './pressure/uses.ts';
import { countProbes } from './probes/counts.ts';
import { createProber } from './probes/prober.ts';
import { createReadiness } from './readiness.ts';
import { servingCertificate } from './server/certificate.ts';
import { startServer } from './server/index.ts';
import { renewServing } from './server/renewal.ts';
import { followStaticFiles, isStatic, mirrorPods } from './static/index.ts';
import { createLocalVolumes, volumeRoot } from './volumes/index.ts';
import { createWheel } from './wheel.ts';

/** Starts that the engine works on at once. See docs/decisions/0006-agent.md for the measurement. */
const PARALLEL_STARTS = 8;
/** Processes of one container: far more than programs need, far fewer than a machine has, so that a fork bomb takes no node. */
export const MAX_PIDS = 4_096;

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
	/**
	 * Where plugins have their sockets and volumes, and look for the node's: absolute. Default `kubelet` in the data directory.
	 * Source: Kubernetes documentation, "Local Files And Paths Used By The Kubelet".
	 */
	readonly kubeletDir?: string;
	/** Where the driver of NVIDIA's GPUs lists them. Default /proc/driver/nvidia/gpus. */
	readonly gpuFolder?: string;
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
	/** Of the Node when it is made. Default none. */
	readonly taints?: readonly core.Taint[];
	/** The pods' network in the engine, its bridge and MTU. Default driftless, drift0, 1500. */
	readonly network?: { readonly name: string; readonly bridge: string; readonly mtu: number };
	/** What pods never get of the node, as quantities: cpu, memory, ephemeral-storage. Default nothing. */
	readonly systemReserved?: Readonly<Record<string, string>>;
	/** Unsafe sysctls that pods may set: names, and beginnings of names before a `*`. Default none. */
	readonly unsafeSysctls?: readonly string[];
	/** Processes that each container may have. */
	readonly maxPids?: number;
	/** Processes that each pod may have. Default as many as its containers may. */
	readonly podMaxPids?: number;
	/** A folder of files, or one, each of which says a pod of this node. */
	readonly manifestPath?: string;
	/** When the node evicts pods. */
	readonly eviction?: EvictionOptions;
	/** What the node has left. Default what the machine says. */
	readonly observe?: () => Observations;
	/** When images go that nobody needs. */
	readonly imageGarbage?: ImageGarbageOptions;
	/** Figures of what else runs on the node: they are served with the agent's own. */
	readonly metrics?: () => Iterable<Family>;
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
	await claimDataDir(dataDir, nodeName);
	const { systemReserved = {}, unsafeSysctls = [], maxPids = MAX_PIDS } = options;
	const { allocatable } = await measure({ info, dataDir }, systemReserved);
	// Asked for before anything waits for them.
	for (const kind of [Node, Service]) cache.informer(kind as typeof Node);
	const ownPods = podsOf(cache, nodeName);
	cache.informer(Service).addIndex('namespace', (service) => [service.metadata.namespace ?? '']);

	const wheel = createWheel();
	const background = new Set<Promise<unknown>>();
	let pods: Pods | undefined;
	let registration: Registration | undefined;
	const devices = await createDevices({
		folder: join(options.kubeletDir ?? join(dataDir, 'kubelet'), 'device-plugins'),
		file: join(dataDir, 'device-allocations.json'),
		engine: info,
		gpuFolder: options.gpuFolder,
		holds: (uid) => pods?.holds(uid) ?? true,
		changed: () => registration?.refresh(),
		wheel,
		log,
		signal,
	});
	const preparation = prepareEngine({ engine, cache, ...(options.network ?? NETWORK), node: nodeName, signal });
	const poke = (uid: string) => pods?.poke(uid);

	const references = followPodReferences(client, { log, signal });
	const objects: Objects = {
		configMap: references.configMap,
		secret: references.secret,
		services: (namespace) => cache.informer(Service).by('namespace', namespace),
	};
	const root = volumeRoot(resolve(dataDir));
	const localVolumes = createLocalVolumes({
		...{ client, cache, events, node: nodeName, root, wheel, log, signal },
		pods: join(dataDir, 'pods'),
	});
	const loadCertificate = () => servingCertificate(dataDir, nodeName, address, now());
	let certificate = await loadCertificate();
	const fetched = (id: string) => garbage.fetched(id);
	const images = createImages({ engine, objects, events, wheel, now, signal, fetched, changed: poke });
	const probes = countProbes();
	const prober = createProber({ engine, wheel, events, counts: probes, now, signal, changed: poke });
	const figures = createFigures(engine, now);
	const disk = createDiskMeter(now, signal);

	let csi: Csi | undefined;
	const server = await startServer({
		certificate,
		clientCa: options.clientCa,
		port: options.port ?? 10_250,
		metrics: () => [...(options.metrics?.() ?? []), ...devices.families(), ...evictor.families()],
		engine,
		sources: { engine, info, figures, disk, node: nodeName, dataDir, now },
		drivers: {
			get: (name) => csi?.drivers.get(name),
			expand: async (...volume) => {
				if (!csi) throw serviceUnavailable('the agent has not begun yet');
				return csi.volumes.expand(...volume);
			},
		},
		probes: probes.families,
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
	const aboutNode = (reason: string, message: string) =>
		events.event(
			{ apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, uid: nodeName }, spec: {} } as Node,
			'Warning',
			reason,
			message,
		);
	const { eviction = {}, imageGarbage = {} } = options;
	const reading = () => ({ figures, disk, mirror, dataDir });
	const evictor = createEvictor({
		thresholds: thresholdsOf(eviction),
		transitionMs: eviction.transitionMs ?? TRANSITION_MS,
		maxPodGrace: eviction.maxPodGrace,
		observe: options.observe ?? (() => observeNode(engine, info, dataDir, now())),
		pods: () => pods?.taken() ?? [],
		useOf: (pod) => useOf(reading(), pod),
		diskUseOf: (pod) => diskUseOf(reading(), pod),
		evict: async (pod, why) => pods?.evict(uidOf(pod), why),
		isOver: (pod) => pods?.isOver(uidOf(pod)) ?? true,
		reclaim: () => garbage.removeUnused(),
		tell: aboutNode,
		changed: () => registration?.refresh(),
		wheel,
		log,
		signal,
	});
	const garbage = collectImages({
		...imageGarbage,
		engine,
		root: info.root,
		dataDir,
		used: () => usedImages(mirror, images, pods?.all() ?? []),
		tell: aboutNode,
		faults: faults(log),
		now,
		wheel,
		log,
		signal,
	});
	const readiness = createReadiness({ wheel, log, signal, prepare, changed: () => registration?.refresh() });
	await evictor.start();
	await garbage.start();
	registration = await registerNode({
		client,
		cache,
		engine,
		info,
		name: nodeName,
		address,
		port: server.port,
		fingerprint: () => certificate.fingerprint,
		labels: options.labels ?? {},
		taints: options.taints ?? [],
		dataDir,
		volumeRoot: root,
		volumesInUse: () => csi?.volumes.inUse(),
		reserved: systemReserved,
		wheel,
		now,
		log,
		signal,
		fault: () => readiness.fault,
		devices,
		pressure: () => evictor.pressure,
	}).catch(async (error: unknown) => {
		stop.abort();
		wheel[Symbol.dispose]();
		await server[Symbol.asyncDispose]();
		throw error;
	});

	const drivers = createCsi({
		...{ client, cache, events, node: nodeName, wheel, log, signal },
		dataDir: resolve(dataDir),
		kubeletDir: options.kubeletDir ?? join(resolve(dataDir), 'kubelet'),
		changed: registration.refresh,
		retry: () => pods?.retryVolumes(),
	});
	csi = drivers;
	drivers.begin();

	const mirror = mirrorContainers({
		engine,
		node: nodeName,
		log,
		signal,
		wheel,
		changed: poke,
		listed: readiness.listed,
		lost: readiness.lost,
		imageChanged(event) {
			const changed = images.changed(event);
			for (const pod of pods?.all() ?? []) if (usesImage(pod, changed)) poke(uidOf(pod));
			registration?.imagesChanged();
		},
		lastWords: (container) =>
			lastWords(engine, dataDir, container, pods?.find(container.pod.namespace, container.pod.name)),
	});

	void renewServing(certificate, {
		load: loadCertificate,
		publish: registration.publish,
		show(next) {
			certificate = next;
			server.show(next);
		},
		log,
		signal,
	});

	function track(work: Promise<unknown>): void {
		const settled = work
			.catch((error: unknown) => {
				if (!signal.aborted) log.error({ cause: describe(error) }, 'something went wrong in the background');
			})
			.finally(() => background.delete(settled));
		background.add(settled);
	}
	const groups = await podGroups({
		driver: info.groups,
		maxTasks: options.podMaxPids,
		pods: () => pods?.all() ?? [],
		faults: faults(log),
	});
	/** By the uid of a static pod: that of what stands for it in the API. */
	const apiUids = new Map<string, string>();
	const mirrors = mirrorPods({ client, cache, node: nodeName, faults: faults(log) });
	let staticPods: readonly Pod[] = [];
	const files =
		options.manifestPath === undefined
			? undefined
			: followStaticFiles({
					path: options.manifestPath,
					node: nodeName,
					now,
					wheel,
					log,
					signal,
					tell: aboutNode,
					changed(found) {
						staticPods = found;
						pods?.setStatic(found);
					},
				});
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
		machineMemory: info.memory,
		allocatable,
		advertised: () => advertised(cache.informer(Node).get(nodeName)?.status, devices.amounts()),
		devices,
		unsafeSysctls,
		maxPids,
		objects,
		localVolumes,
		csi: drivers.volumes,
		images,
		prober,
		groups,
		pressure: () => evictor.pressure,
		apiUid: (pod) => (isStatic(pod) ? apiUids.get(uidOf(pod)) : pod.metadata.uid),
		staticStopped: async (pod) => pods?.stopped(pod),
		mirror,
		reports: faults(log),
		limit: pLimit(options.parallelStarts ?? PARALLEL_STARTS),
		prepared: preparation.ready,
		unprepared: preparation.lost,
		background: track,
	};

	async function prepare(): Promise<void> {
		preparation.lost();
		images.doubtAll();
		registration?.imagesChanged();
		await preparation.ready();
		await Promise.all([ownPods.synced, cache.informer(Service).synced]);
		if (signal.aborted) return;
		devices.recall(
			[...mirror.uids()].flatMap((uid) => [...mirror.of(uid)].filter((part) => part.kind === 'container')),
		);
		await files?.read;
		pods ??= createPods(cache, context, references, mirrors, apiUids);
		pods.setStatic(staticPods);
		await pods.reconcile();
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
		await readiness.idle();
		await Promise.allSettled(background);
		await pods?.idle();
		await localVolumes.idle();
		await drivers.idle();
		await registration?.idle();
		await devices.idle();
		await files?.idle();
		await evictor.idle();
		await garbage.idle();
		await disk.idle();
	};
	if (signal.aborted) void disposeOnce();
	else signal.addEventListener('abort', () => void disposeOnce(), { once: true });
	return {
		nodeName,
		port: server.port,
		ready: readiness.reached,
		ended: ended.promise,
		[Symbol.asyncDispose]: disposeOnce,
	};
}
