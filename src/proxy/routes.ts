/** The routes that services and the pods of other nodes are reached by. Plans are pure. */
import { isIPv4 } from 'node:net';
import { describe, type Faults, faults } from '../client/index.ts';
import { formatRange, type Node, parseRange, type Range } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import { setRouteLocalnet } from './host.ts';
import { networksOf } from './networks.ts';
import { ip, ipList } from './programs.ts';

/** The mark of our routes in the kernel ("routing protocol"; a number that no known daemon uses): what has another is somebody else's. */
const PROTOCOL = '96';

export interface Route {
	/** `10.244.1.0/24`. */
	readonly to: string;
	/** The node that knows the way. */
	readonly via?: string;
	/** Or the link that it is on, and the address to come from. */
	readonly dev?: string;
	readonly src?: string;
}

/** A route as `ip -j route show` gives it. */
export interface KernelRoute {
	readonly dst: string;
	readonly gateway?: string;
	readonly dev?: string;
	readonly prefsrc?: string;
	readonly protocol?: string;
}

/** What a node says of the way to its pods: its range by its address; undefined before it has both. */
export function nodeRoute(node: Node): { readonly to: string; readonly via: string } | undefined {
	const to = node.spec?.podCIDR;
	const via = node.status?.addresses?.find(({ type, address }) => type === 'InternalIP' && isIPv4(address))?.address;
	return to && via ? { to, via } : undefined;
}

export interface NodeRoutes {
	readonly routes: readonly Route[];
	/** Nodes whose way is not taken, and why. */
	readonly refused: ReadonlyMap<string, string>;
}

/**
 * The routes to the pods of all other nodes. What a node says is checked before it becomes a route of this machine: a range is a
 * part of the pod network and overlaps neither this node's nor that of an older node, and leads to a machine.
 */
export function nodeRoutes(nodes: Iterable<Node>, self: string, { podNetwork, serviceNetwork }: Networks): NodeRoutes {
	const all = [...nodes].sort((one, other) => (age(one, self) < age(other, self) ? -1 : 1));
	const own = all.find(({ metadata }) => metadata.name === self);
	const here = own && nodeRoute(own)?.via;
	const inside = networksOf(podNetwork, serviceNetwork, '127.0.0.0/8', '0.0.0.0/8', '224.0.0.0/3');
	const taken: { readonly name: string; readonly range: Range }[] = [];
	const routes: Route[] = [];
	const refused = new Map<string, string>();
	for (const node of all) {
		const { name } = node.metadata;
		const { podCIDR } = node.spec ?? {};
		if (!podCIDR) continue;
		const range = nodeRange(podCIDR, podNetwork);
		const rival = range && taken.find((each) => overlap(each.range, range));
		if (!range) refused.set(name, `${podCIDR} is no part of the pod network ${podNetwork}`);
		else if (rival) refused.set(name, `${podCIDR} overlaps the range of the node ${rival.name}`);
		if (!range || rival) continue;
		taken.push({ name, range });
		const route = node === own ? undefined : nodeRoute(node);
		// A node at this one's own address is no way to anywhere.
		if (!route || route.via === here) continue;
		if (inside.check(route.via)) refused.set(name, `its address ${route.via} is not that of a machine`);
		else routes.push(route);
	}
	return { routes, refused };
}

interface Networks {
	readonly podNetwork: string;
	readonly serviceNetwork: string;
}

/** The range of a node's pods; undefined where the text is none that a node can have: a part of the pod network, with room for a pod. */
export function nodeRange(podCidr: string, podNetwork: string): Range | undefined {
	const whole = parseRange(podNetwork);
	const range = parseRange(podCidr);
	if (!whole || !range || formatRange(range) !== podCidr || range.size < SMALLEST_RANGE) return undefined;
	return range.first >= whole.first && range.first + range.size <= whole.first + whole.size ? range : undefined;
}

/** Addresses of a range that has room for the network, its bridge, a pod and the broadcast address. */
const SMALLEST_RANGE = 4;

const overlap = (one: Range, other: Range) =>
	one.first < other.first + other.size && other.first < one.first + one.size;

/** Who comes first: this node, then the older. */
const age = ({ metadata: { name, creationTimestamp = '' } }: Node, self: string) =>
	`${name === self ? 0 : 1} ${creationTimestamp} ${name}`;

/** What to change so that the kernel has the wanted routes and no other of ours. A route that somebody else made to the same place stays. */
export function planRoutes(
	wanted: readonly Route[],
	present: readonly KernelRoute[],
): { set: Route[]; remove: string[] } {
	const byPlace = new Map(present.map((route) => [route.dst, route]));
	const set = wanted.filter((route) => {
		const there = byPlace.get(route.to);
		return !there || (there.protocol === PROTOCOL && !same(route, there));
	});
	const places = new Set(wanted.map(({ to }) => to));
	const remove = present.filter(({ protocol, dst }) => protocol === PROTOCOL && !places.has(dst)).map(({ dst }) => dst);
	return { set, remove };
}

/** Takes all our routes away. A network that never had a route has no table of them yet. */
export async function removeRoutes(): Promise<void> {
	await ip('-4', 'route', 'flush', 'proto', PROTOCOL).catch((error: unknown) => {
		if (!/FIB table does not exist/.test(describe(error))) throw error;
	});
}

/** Brings the kernel's routes in the given networks to what is wanted. What the kernel refuses is logged once and left out. */
export function createRoutes(networks: readonly string[], log: Log): (wanted: readonly Route[]) => Promise<void> {
	const known: Faults = faults(log);
	const list = async () =>
		(await Promise.all(networks.map((network) => ipList<KernelRoute>('route', 'show', 'root', network)))).flat();
	return async (wanted) => {
		const { set, remove } = planRoutes(wanted, await list());
		for (const to of remove) {
			await ip('route', 'delete', to, 'proto', PROTOCOL);
			known.forget(to);
		}
		for (const route of set) await replace(route, known);
		// Connections to a node port on localhost that go to a pod of another node leave by that node's link.
		const links = (await list()).flatMap(({ protocol, gateway, dev }) =>
			protocol === PROTOCOL && gateway && dev ? [dev] : [],
		);
		for (const dev of new Set(links)) await setRouteLocalnet(dev);
	};
}

async function replace({ to, via, dev, src }: Route, known: Faults): Promise<void> {
	const how = [...(via ? ['via', via] : []), ...(dev ? ['dev', dev] : []), ...(src ? ['src', src] : [])];
	try {
		await ip('route', 'replace', to, ...how, 'proto', PROTOCOL);
		known.healed(to, 'the route is in place again', { route: to });
	} catch (error) {
		const hint = via
			? `pods of the node at ${via} cannot be reached: it is not on a link of this node; set a route to ${to} by hand`
			: 'services cannot be reached from this host';
		known.failed(to, error, hint, { route: to });
	}
}

const same = (route: Route, there: KernelRoute) =>
	route.via === there.gateway && (!route.dev || route.dev === there.dev) && route.src === there.prefsrc;
