/** Gives each node its part of the pod network; the part of a deleted node is given again. */
import { formatRange, Node, parseRange } from '../../kinds/index.ts';
import { type Controller, controller } from '../runtime/controller.ts';
import { freeRange } from './pod-ranges.ts';

export interface PodNetwork {
	/** Default 10.244.0.0/16. */
	readonly network?: string;
	/** The length of a node's prefix. Default 24. */
	readonly nodeBits?: number;
}

/** How often a node waits for a range when none is free: one comes back when a node is deleted, which does not queue this one. */
const LOOK_AGAIN_MS = 30_000;

export function nodeCidr({ network = '10.244.0.0/16', nodeBits = 24 }: PodNetwork = {}): Controller {
	const whole = parseRange(network);
	if (!whole || 2 ** (32 - nodeBits) > whole.size) {
		throw new Error(`the pod network ${network} is not an IPv4 range that has room for a /${nodeBits} of a node`);
	}
	return controller({
		name: 'node-cidr',
		for: Node,
		// One after the other: each must see what the one before has given.
		workers: 1,
		async reconcile(key, { client, cache, events }) {
			const nodes = cache.informer(Node);
			const node = nodes.get(key);
			if (!node || node.spec.podCIDR || node.metadata.deletionTimestamp) return;
			const used = [...nodes.list()].flatMap(({ spec }) => (spec.podCIDR && parseRange(spec.podCIDR)) || []);
			const free = freeRange(whole, nodeBits, used);
			if (!free) {
				events.event(node, 'Warning', 'CIDRNotAvailable', `No /${nodeBits} of ${network} is left for the node`);
				return { after: LOOK_AGAIN_MS };
			}
			const podCIDR = formatRange(free);
			const { resourceVersion } = node.metadata;
			const body = { metadata: { resourceVersion }, spec: { podCIDR, podCIDRs: [podCIDR] } };
			await client.patch(Node, { name: key }, { type: 'merge', body });
			return;
		},
	});
}
