/**
 * Notices nodes that fall silent: marks them Unknown and taints them, so that no pod comes and, no faster than disruption.ts
 * allows, pods go (taint-eviction.ts). All of it is undone when the node reports again.
 */
import { Lease, Node } from '../../kinds/index.ts';
import { type Again, type Context, type Controller, controller, index, watch } from '../runtime/controller.ts';
import { censusOf, censusValues, createPace, evictionRate, type Pace, zoneOf } from './disruption.ts';
import { isOfNodeState } from './eviction.ts';
import { GRACE_MS, planTaints, readyOf, type Sign, signOf, unknownConditions } from './node-health.ts';

/** Where agents keep their Leases, one a node, of its name. */
const LEASES = 'kube-node-lease';
/** The index of nodes for the census. */
const CENSUS = 'census';
/** How often a node that is not ready is looked at: what becomes of it depends on the others. */
const LOOK_AGAIN_MS = 10_000;

export const nodeLifecycle: Controller = controller({
	name: 'node-lifecycle',
	for: Node,
	watches: [watch(Lease, ({ metadata }) => (metadata.namespace === LEASES ? [metadata.name] : []))],
	indexes: [index(Node, CENSUS, censusValues)],
	// A term of leadership begins with a whole grace period for every node.
	open(context) {
		const signs = new Map<string, Sign>();
		const pace = createPace();
		return { reconcile: (key) => look(key, signs, pace, context), [Symbol.dispose]: () => signs.clear() };
	},
});

async function look(key: string, signs: Map<string, Sign>, pace: Pace, context: Context): Promise<Again | undefined> {
	const { cache, clock } = context;
	const node = cache.informer(Node).get(key);
	if (!node) {
		signs.delete(key);
		return undefined;
	}
	const sign = signOf(node, cache.informer(Lease).get(`${LEASES}/${key}`), signs.get(key), clock.now());
	signs.set(key, sign);
	const left = sign.since + GRACE_MS - clock.now();
	// What it is now counts in the census that decides on its taints.
	if (left <= 0 && (await markSilent(node, context))) return { after: 0 };
	const wait = await taint(node, pace, context);
	if (readyOf(node)?.status === 'True') return { after: left };
	return { after: Math.min(wait, left > 0 ? left : GRACE_MS) };
}

/** Makes what only the agent can know Unknown. Returns whether there was something to do. */
async function markSilent(node: Node, { client, events, log, now }: Context): Promise<boolean> {
	const conditions = unknownConditions(node, now());
	if (conditions.length === 0) return false;
	const { name, resourceVersion } = node.metadata;
	log.warn({ node: name }, 'the node has stopped reporting');
	const body = { metadata: { resourceVersion }, status: { conditions } };
	await client.patch(Node, { name }, { type: 'strategic', body }, { subresource: 'status' });
	events.event(node, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
	return true;
}

/** Gives the node the taints that it must have. Returns in how many ms to look whether it may have the one that evicts. */
async function taint(node: Node, pace: Pace, { cache, client, clock, now }: Context): Promise<number> {
	const zone = zoneOf(node);
	const count = (value: string) => cache.informer(Node).count(CENSUS, value);
	const rate = evictionRate(censusOf(count, zone), censusOf(count));
	const begun = node.spec.taints?.some((each) => each.effect === 'NoExecute' && isOfNodeState(each)) === true;
	const asks = !begun && rate > 0 && failed(node);
	const wait = asks ? pace.take(zone, rate, clock.now()) : 0;
	const taints = planTaints(node, now(), rate > 0 && wait === 0);
	if (taints) {
		const { name, resourceVersion } = node.metadata;
		const body = { metadata: { resourceVersion }, spec: { taints } };
		try {
			await client.patch(Node, { name }, { type: 'merge', body });
		} catch (error) {
			if (asks && wait === 0) pace.giveBack(zone);
			throw error;
		}
	}
	return wait || LOOK_AGAIN_MS;
}

/** Not ready, or silent. A node that has yet to report has no pods that would have to go. */
const failed = (node: Node) => {
	const ready = readyOf(node);
	return ready !== undefined && ready.status !== 'True';
};
