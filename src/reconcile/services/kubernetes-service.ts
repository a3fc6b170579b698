/**
 * The service `kubernetes` in the namespace default, by which pods reach the API, and its endpoints: the API servers.
 * Source: Kubernetes documentation, "Accessing the Kubernetes API from a Pod".
 */
import {
	EndpointSlice,
	Endpoints,
	type Key,
	type KubeObject,
	keyOf,
	Lease,
	Namespace,
	reachableAddress,
	SERVICE_NAME,
	Service,
} from '../../kinds/index.ts';
import { type Again, type Context, type Controller, controller, watch } from '../runtime/controller.ts';
import { keep } from '../runtime/kept-object.ts';
import { unlessGone } from '../runtime/refusal.ts';
import { type ApiServer, createSigns, isServerLease, SERVERS_NAMESPACE, type Signs, serverOf } from './api-servers.ts';
import { serviceOf } from './endpointslice.ts';
import { SKIP_MIRROR } from './mirrored-slices.ts';

export interface KubernetesService {
	/** The service's address, the first of the service network. */
	readonly clusterIP: string;
	/** This server; the others tell of themselves by Leases (api-servers.ts). */
	readonly self: ApiServer;
}

const SERVICE_PORT = 443;
const name = { namespace: 'default', name: 'kubernetes' };
const key = keyOf({ metadata: name });

export function kubernetesService(options: KubernetesService): Controller {
	const own = (object: KubeObject) => (keyOf(object) === key ? [key] : []);
	return controller({
		name: 'kubernetes-service',
		workers: 1,
		watches: [
			watch(Service, own),
			watch(Endpoints, own),
			watch(EndpointSlice, serviceOf),
			watch(Namespace, ({ metadata }) => (metadata.name === name.namespace ? [key] : [])),
			watch(Lease, (lease): Key[] => (isServerLease(lease) ? [key] : [])),
		],
		open(context) {
			const signs = createSigns();
			const told = new Set<string>();
			return {
				reconcile: async (asked) => (asked === key ? reconcile(options, signs, told, context) : undefined),
				[Symbol.dispose]: () => told.clear(),
			};
		},
	});
}

async function reconcile(
	options: KubernetesService,
	signs: Signs,
	told: Set<string>,
	context: Context,
): Promise<Again | undefined> {
	const namespace = context.cache.informer(Namespace).get(name.namespace);
	// The namespace's coming brings us here again.
	if (!namespace || namespace.metadata.deletionTimestamp) return undefined;
	const { servers, next } = await serversOf(options.self, signs, told, context);
	/** One port has one slice: that of this server's own port has the name of the service. */
	const byPort = Map.groupBy(servers, ({ port }) => port);
	await keep(Service, name, context, (old) => service(options, old));
	for (const [port, group] of byPort) {
		const sliceName = port === options.self.port ? name.name : `${name.name}-${port}`;
		await keep(EndpointSlice, { ...name, name: sliceName }, context, (old) => slice(sliceName, port, group, old));
	}
	for (const { metadata } of [...context.cache.informer(EndpointSlice).by('namespace', name.namespace)]) {
		const [, port] = /^kubernetes-(\d+)$/.exec(metadata.name) ?? [];
		const ours = metadata.labels?.[SERVICE_NAME] === name.name && !metadata.ownerReferences?.length;
		const needed = port !== undefined && byPort.has(Number(port)) && Number(port) !== options.self.port;
		if (port && ours && !needed) await unlessGone(context.client.delete(EndpointSlice, metadata));
	}
	await keep(Endpoints, name, context, (old) => endpoints(byPort, old));
	return next === Number.POSITIVE_INFINITY ? undefined : { after: next };
}

/** This server and those others that give signs of life; the Leases of the rest are removed. `next`: in how many ms to look again. */
async function serversOf(self: ApiServer, signs: Signs, told: Set<string>, { cache, client, clock, log }: Context) {
	const servers = new Map([[`${self.address}:${self.port}`, self]]);
	const leases = [...cache.informer(Lease).by('namespace', SERVERS_NAMESPACE)].filter(isServerLease);
	signs.keep(new Set(leases.map(({ metadata }) => metadata.name)));
	let next = Number.POSITIVE_INFINITY;
	for (const lease of leases) {
		const left = signs.left(lease, clock.now());
		const { metadata, spec } = lease;
		if (left <= 0) {
			const { uid, resourceVersion } = metadata;
			await unlessGone(client.delete(Lease, metadata, { preconditions: { uid, resourceVersion } }));
			continue;
		}
		next = Math.min(next, left);
		const server = serverOf(lease);
		if (!server) continue;
		if (server.authority === self.authority) servers.set(`${server.address}:${server.port}`, server);
		else if (!told.has(metadata.name)) {
			told.add(metadata.name);
			log.warn(
				{ server: spec.holderIdentity },
				'a server has a certificate authority of its own, and pods are not sent to it: start it anew without its DATA/pki, and it takes that of the others',
			);
		}
	}
	return { servers: [...servers.values()].sort((a, b) => (a.address < b.address ? -1 : 1)), next };
}

function service({ clusterIP, self }: KubernetesService, old: Service | undefined): Service {
	const labels = { component: 'apiserver', provider: 'kubernetes' };
	return {
		...(old ?? { apiVersion: 'v1', kind: 'Service' }),
		metadata: { ...(old?.metadata ?? name), labels: { ...old?.metadata.labels, ...labels } },
		spec: {
			...(old?.spec ?? { type: 'ClusterIP', clusterIP, sessionAffinity: 'None' }),
			ports: [{ name: 'https', port: SERVICE_PORT, protocol: 'TCP', targetPort: self.port }],
		},
	};
}

const portOf = (port: number) => ({ name: 'https', port, protocol: 'TCP' });

function slice(
	sliceName: string,
	port: number,
	servers: readonly ApiServer[],
	old: EndpointSlice | undefined,
): EndpointSlice {
	return {
		...(old ?? { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }),
		metadata: {
			...(old?.metadata ?? { ...name, name: sliceName }),
			labels: { ...old?.metadata.labels, [SERVICE_NAME]: name.name },
		},
		addressType: 'IPv4',
		ports: [portOf(port)],
		endpoints: reachable(servers).map((address) => ({ addresses: [address], conditions: { ready: true } })),
	};
}

function endpoints(byPort: ReadonlyMap<number, readonly ApiServer[]>, old: Endpoints | undefined): Endpoints {
	const subsets = [...byPort]
		.sort(([a], [b]) => a - b)
		.map(([port, servers]) => ({ addresses: reachable(servers).map((ip) => ({ ip })), ports: [portOf(port)] }))
		.filter(({ addresses }) => addresses.length > 0);
	return {
		...(old ?? { apiVersion: 'v1', kind: 'Endpoints' }),
		// Its slices are made here.
		metadata: { ...(old?.metadata ?? name), labels: { ...old?.metadata.labels, [SKIP_MIRROR]: 'true' } },
		subsets: subsets.length > 0 ? subsets : undefined,
	};
}

/** An address of this machine alone leads nobody to it. */
const reachable = (servers: readonly ApiServer[]) =>
	servers.map(({ address }) => address).filter((address) => reachableAddress(address).length === 0);
