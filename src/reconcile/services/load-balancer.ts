/**
 * The service load balancer: gives each Service of type LoadBalancer that names no class the addresses of the nodes, on which the
 * proxy carries its ports. Source: Kubernetes documentation, "Service", section "type: LoadBalancer", and "Create an External Load
 * Balancer", section "Garbage collecting load balancers"; k3s documentation, "Service Load Balancer".
 */
import type { BlockList } from 'node:net';
import { EndpointSlice, type Key, keyOf, Node, Service } from '../../kinds/index.ts';
import { type Context, type Controller, controller, index, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { isNotFound } from '../runtime/refusal.ts';
import {
	addressesFor,
	insideAddresses,
	isBalanced,
	nodePortsOf,
	partOfNode,
	portsOf,
	takenPort,
} from './balanced-addresses.ts';
import { serviceOf } from './endpointslice.ts';

const NAME = 'service-lb';
/** Keeps a Service until what a load balancer has for it is taken back. */
export const CLEANUP = 'service.kubernetes.io/load-balancer-cleanup';

const SERVICE = 'service';
const BALANCED = 'balanced';
const BALANCED_PORT = 'balanced-port';
const NODE_PORT = 'node-port';

export interface LoadBalancerOptions {
	/** Where somebody else gives the addresses it takes back what it gave before, and does nothing more. Default true. */
	readonly enabled?: boolean;
	/** The port of the API server, which no Service takes. */
	readonly apiPort?: number;
	/** The networks of pods and services, `10.244.0.0/16`: no node has an address of them. */
	readonly networks?: readonly string[];
}

export function loadBalancer({ enabled = true, apiPort, networks = [] }: LoadBalancerOptions = {}): Controller {
	const platform: Platform = { apiPort, inside: insideAddresses(networks) };
	return controller<Service>({
		name: NAME,
		for: Service,
		watches: [
			watch(
				Service,
				// Who comes after it at a port of the nodes.
				(service, cache) =>
					[...portsOf(service), ...nodePortsOf(service)].flatMap((port) =>
						Array.from(cache.informer(Service).by(BALANCED_PORT, port), keyOf),
					),
				{ part: (service) => [isBalanced(service), portsOf(service), nodePortsOf(service)] },
			),
			watch(Node, (_, cache) => Array.from(cache.informer(Service).by(BALANCED, ''), keyOf), { part: partOfNode }),
			watch(EndpointSlice, (slice, cache) =>
				serviceOf(slice).filter((key) => cache.informer(Service).get(key)?.spec.externalTrafficPolicy === 'Local'),
			),
		],
		indexes: [
			index(Service, BALANCED, (service) => (isBalanced(service) ? [''] : [])),
			index(Service, BALANCED_PORT, (service) => (isBalanced(service) ? portsOf(service) : [])),
			index(Service, NODE_PORT, nodePortsOf),
			index(EndpointSlice, SERVICE, serviceOf),
		],
		open(context) {
			const told = new Map<Key, string>();
			return {
				async reconcile(key) {
					const service = context.cache.informer(Service).get(key);
					try {
						if (service && enabled && isBalanced(service)) await balance(service, platform, told, context);
						else {
							told.delete(key);
							if (service) await release(service, enabled, context);
						}
					} catch (error) {
						if (!isNotFound(error)) throw error;
					}
					return undefined;
				},
				[Symbol.dispose]: () => told.clear(),
			};
		},
	});
}

interface Platform {
	readonly apiPort: number | undefined;
	readonly inside: BlockList;
}

async function balance(
	service: Service,
	{ apiPort, inside }: Platform,
	told: Map<Key, string>,
	context: Context,
): Promise<void> {
	const { cache, client, events } = context;
	const { finalizers = [] } = service.metadata;
	if (!finalizers.includes(CLEANUP)) {
		const metadata = { ...service.metadata, finalizers: [...finalizers, CLEANUP] };
		// Its own change brings us here again.
		await client.update(Service, { ...service, metadata });
		return;
	}
	const key = keyOf(service);
	const services = cache.informer(Service);
	const nodes = [...cache.informer(Node).list()];
	const taken = takenPort(service, {
		platform: (port) => platformPort(port, apiPort, nodes),
		balanced: (port) => services.by(BALANCED_PORT, port),
		nodePort: (port) => services.by(NODE_PORT, port),
	});
	const addresses = taken ? [] : addressesFor(service, nodes, cache.informer(EndpointSlice).by(SERVICE, key), inside);
	await setAddresses(service, addresses, context);
	// Each thing once: it is looked at again for many reasons.
	const said = taken ?? addresses.join(', ');
	if (told.get(key) === said) return;
	told.set(key, said);
	if (taken) events.event(service, 'Warning', 'SyncLoadBalancerFailed', `No address: ${taken}`);
	else if (addresses.length === 0)
		events.event(service, 'Warning', 'UnAvailableLoadBalancer', 'There are no available nodes for LoadBalancer');
	else events.event(service, 'Normal', 'EnsuredLoadBalancer', `Addresses of nodes: ${said}`);
}

/** What would be cut off from other machines if a Service had its port. */
function platformPort(port: string, apiPort: number | undefined, nodes: readonly Node[]): string | undefined {
	if (port === `${apiPort}/TCP`) return 'the API server';
	const agents = nodes.some(({ status }) => `${status?.daemonEndpoints?.kubeletEndpoint?.Port}/TCP` === port);
	return agents ? 'a node agent' : undefined;
}

/** Takes back what the Service was given, of whoever it is now. */
async function release(service: Service, enabled: boolean, context: Context): Promise<void> {
	const { metadata, spec } = service;
	if (!metadata.finalizers?.includes(CLEANUP)) return;
	if (!isOurs(service) && (!enabled || spec.loadBalancerClass)) return;
	const { metadata: now } = await setAddresses(service, [], context);
	const { finalizers = [], ...metadataNow } = now;
	const left = finalizers.filter((each) => each !== CLEANUP);
	await context.client.update(Service, {
		...service,
		metadata: { ...metadataNow, ...(left.length > 0 && { finalizers: left }) },
	});
}

/** Whether the finalizer is this controller's: another load balancer puts the same one. */
const isOurs = ({ metadata }: Service) =>
	metadata.managedFields?.some(
		({ manager, fieldsV1 }) => manager === NAME && JSON.stringify(fieldsV1 ?? {}).includes(`v:\\"${CLEANUP}\\"`),
	) === true;

/** The Service as it is then. */
async function setAddresses(service: Service, addresses: readonly string[], { client }: Context): Promise<Service> {
	const ingress = addresses.map((ip) => ({ ip, ipMode: 'VIP' }));
	if (sameJson(service.status?.loadBalancer?.ingress ?? [], ingress)) return service;
	const loadBalancer = ingress.length > 0 ? { ingress } : {};
	return client.update(Service, { ...service, status: { ...service.status, loadBalancer } }, { subresource: 'status' });
}
