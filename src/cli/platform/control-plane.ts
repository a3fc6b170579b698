/** The control plane: store, API, certificates, and, on the server that leads, the controllers. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
	type Answers,
	type Api,
	type Caller,
	driverCalls,
	type Fence,
	measuring,
	nodeOfRequest,
	openApi,
	openPki,
	type Pki,
	type ServeOptions,
	serveApi,
	signNodeRequest,
	writeKubeconfig,
} from '../../api/index.ts';
import {
	type Cache,
	type Client,
	createCache,
	inProcess,
	pause,
	runWhileLeader,
	systemClock,
} from '../../client/index.ts';
import { ApiError, addressIn, type Lease, loadRegistry, type SchedulingStrategy } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import { type Family, labelled } from '../../metrics.ts';
import { autoscalerMetrics, connectPrometheus, stateText } from '../../monitoring/index.ts';
import {
	type Controller,
	clusterControllers,
	controllerFamilies,
	createSchedulerMetrics,
	fingerprint,
	type Metrics,
	runControllers,
} from '../../reconcile/index.ts';
import { type EtcdAccess, openStore } from '../../store/index.ts';
import type { Component } from '../options.ts';
import { type Certificates, keepCertificates } from './certificates.ts';
import { serverIdentity } from './identity.ts';
import { announceServer } from './presence.ts';
import { starting } from './starting.ts';

/** The Lease in kube-system whose holder runs the controllers. */
export const LEASE = 'driftless';
/** How soon the store is asked again for what stands for a term, in ms. */
const FENCE_RETRY_MS = 500;

export interface ControlPlaneOptions {
	readonly dataDir: string;
	/** `sqlite`, `etcd://HOST:PORT,...`, or `etcds://...`. */
	readonly store: string;
	readonly etcd?: EtcdAccess;
	readonly apiAddress: string;
	readonly apiPort: number;
	/** An address under which other machines and pods reach the API. */
	readonly advertise: string;
	/** `10.244.0.0/16`: every node gets a part of it. */
	readonly podNetwork: string;
	/** The length of the prefix of a node's part. */
	readonly nodeCidrMaskSize: number;
	/** `10.96.0.0/12`. */
	readonly serviceNetwork: string;
	readonly strategy: SchedulingStrategy;
	/** The URL of a Prometheus, for what autoscalers scale by. */
	readonly prometheus?: string;
	/** The share of requests with which a connection of HTTP/2 is ended. */
	readonly goawayChance?: number;
	/** Parts that somebody else does. */
	readonly disable?: readonly Component[];
	readonly log: Log;
	readonly signal: AbortSignal;
	/** Answers what only those controllers know. */
	readonly answers?: Answers;
	/** Answers git below /git/ of the API, for other servers and administrators. */
	readonly git?: ServeOptions['git'];
	/** Controllers beside the built-in ones. */
	readonly more: readonly Controller[];
}

export interface ControlPlane extends AsyncDisposable {
	readonly api: Api;
	readonly client: Client;
	readonly cache: Cache;
	readonly port: number;
	readonly pki: Pki;
	readonly certificates: Certificates;
	readonly kubeconfig: string;
	/**
	 * Runs the controllers on this server whenever it leads, until the signal aborts. Dispose of the rest when it has settled.
	 * Rejects when the store has gone back: nothing of what is served is true then.
	 */
	run(): Promise<void>;
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
	const { dataDir, log, signal, advertise, serviceNetwork } = options;
	await using stack = new AsyncDisposableStack();
	const store = stack.use(await starting(() => openStore(options.store, dataDir, { log, etcd: options.etcd })));
	const alone = options.store === 'sqlite';
	const services = { cidr: serviceNetwork };
	const pki = await openPki({
		dataDir,
		store: alone ? undefined : store,
		names: [hostname(), advertise],
		serviceAddress: addressIn(serviceNetwork, 1),
	});
	const computed = measuring({ client: () => pki.kubelet, log, signal });
	const api = stack.use(await openApi({ store, registry: loadRegistry(), log, alone, services, computed }));
	const tokens = join(dataDir, 'tokens');
	const counted: Metrics = new Map();
	let leads = false;
	const scheduling = createSchedulerMetrics();
	const metrics = () => [...controllerFamilies(counted, systemClock.now), ...scheduling.families(), leadership(leads)];
	const system: Caller = { name: 'system:driftless', groups: ['system:masters'], userAgent: 'driftless' };
	const client = inProcess(api, system);
	const texts = new Map([['state', () => stateText(client)]]);
	const server = await starting(() => {
		const { apiAddress: address, apiPort: port, answers, git, goawayChance } = options;
		return serveApi({ api, pki, address, port, tokens, log, signal, metrics, texts, answers, git, goawayChance });
	}, '--api-port or --api-address');
	stack.defer(() => server.close());
	const kubeconfig = join(dataDir, 'kubeconfig');
	const certificates = keepCertificates(pki, { log, signal });
	await certificates.follow(async () => {
		server.renew();
		await writeKubeconfig({
			path: kubeconfig,
			server: `https://127.0.0.1:${server.port}`,
			authority: pki.authority.cert,
			client: pki.admin,
		});
	});

	const cache = stack.use(createCache(client, { signal, log }));
	const self = { address: advertise, port: server.port, authority: fingerprint(pki.authority.cert) };
	const builtIn = await starting(async () =>
		clusterControllers({
			ca: pki.authority.cert,
			podNetwork: { network: options.podNetwork, nodeBits: options.nodeCidrMaskSize },
			scheduler: { strategy: options.strategy, metrics: scheduling },
			nodeSigner: { nodeOf: nodeOfRequest, sign: (spec, now) => signNodeRequest(pki.authority, spec, now) },
			kubernetesService: { clusterIP: addressIn(serviceNetwork, 1), self },
			autoscaler: {
				metrics: options.prometheus
					? autoscalerMetrics(client, connectPrometheus(options.prometheus, signal))
					: undefined,
			},
			loadBalancer: {
				enabled: !options.disable?.includes('servicelb'),
				apiPort: server.port,
				networks: [options.podNetwork, serviceNetwork],
			},
			clusterDns: addressIn(serviceNetwork, 10),
			driverCalls: driverCalls(() => pki.kubelet),
		}),
	);
	const controllers = [...builtIn, ...options.more];
	const identity = await serverIdentity(dataDir);
	stack.use(announceServer(client, { identity, server: self, now: Date.now, log }));
	const life = stack.move();
	return {
		api,
		client,
		cache,
		port: server.port,
		pki,
		certificates,
		kubeconfig,
		run: async () => {
			const lost = new AbortController();
			void api.lost.then((why) => lost.abort(why));
			const until = AbortSignal.any([signal, lost.signal]);
			const candidacy = { name: LEASE, identity, now: Date.now, signal: until, log };
			await runWhileLeader(client, candidacy, async (leading, holds, lease) => {
				leads = true;
				try {
					const { now } = Date;
					// What controllers write is written only while this term lasts, to the commit.
					const fence = await fenceOf(api, lease, leading);
					if (!fence) return;
					const leader = inProcess(api, { ...system, fence });
					await runControllers({
						client: leader,
						cache,
						controllers,
						log,
						now,
						signal: leading,
						holds,
						metrics: counted,
					});
				} finally {
					leads = false;
				}
			});
			if (!signal.aborted) lost.signal.throwIfAborted();
		},
		[Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
	};
}

/** Asked again while the store cannot tell; undefined where the term has ended before. */
async function fenceOf(api: Api, lease: Lease, leading: AbortSignal): Promise<Fence | undefined> {
	while (!leading.aborted) {
		try {
			return await api.fence(lease);
		} catch (error) {
			if (!(error instanceof ApiError)) throw error;
			// Where another holds it by now, the election finds out as well.
			await pause(FENCE_RETRY_MS, leading);
		}
	}
	return undefined;
}

/** As client-go's leader election counts it. */
const leadership = (leads: boolean): Family => ({
	name: 'leader_election_master_status',
	help: 'Whether this server leads: 1, or 0.',
	type: 'gauge',
	samples: [[labelled({ name: LEASE }), leads ? 1 : 0]],
});
