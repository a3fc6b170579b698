/**
 * Notices nodes that fall silent: marks them Unknown, taints them, takes their pods out of service, and evicts the pods
 * when their toleration ends. All of it is undone, or not done any more, when the node reports again.
 */
import type { Client } from '../../client/index.ts';
import { Lease, Node, Pod } from '../../kinds/index.ts';
import { type Context, type Controller, controller, index, watch } from '../runtime/controller.ts';
import { isNotFound } from '../runtime/refusal.ts';
import { isFinished, isReady, timestamp } from '../workloads/pod-state.ts';
import { evictionOf, isOfNodeState } from './eviction.ts';
import { GRACE_MS, isSilent, planTaints, readyOf, type Sign, signOf, unknownConditions } from './node-health.ts';

/** Where agents keep their Leases, one a node, of its name. */
const LEASES = 'kube-node-lease';
/** The index of pods by the node they are bound to. */
const BY_NODE = 'node';
/** While no node at all is ready nobody is evicted; how soon to look whether one is. */
const LOOK_AGAIN_MS = 10_000;

export function nodeLifecycle(): Controller {
	const signs = new Map<string, Sign>();
	return controller({
		name: 'node-lifecycle',
		for: Node,
		watches: [
			watch(Lease, ({ metadata }) => (metadata.namespace === LEASES ? [metadata.name] : [])),
			// Pods matter where there is something to do about them.
			watch(Pod, ({ spec, metadata }, cache) => {
				const node = spec.nodeName ? cache.informer(Node).get(spec.nodeName) : undefined;
				if (!node || metadata.deletionTimestamp) return [];
				return isSilent(node) || hasNoExecute(node) ? [node.metadata.name] : [];
			}),
		],
		indexes: [index(Pod, BY_NODE, ({ spec }) => (spec.nodeName ? [spec.nodeName] : []))],
		// A term of leadership begins with a whole grace period for every node.
		triggers: () => signs.clear(),
		async reconcile(key, context) {
			const { cache, now } = context;
			const node = cache.informer(Node).get(key);
			if (!node) {
				signs.delete(key);
				return;
			}
			const sign = signOf(node, cache.informer(Lease).get(`${LEASES}/${key}`), signs.get(key), now());
			signs.set(key, sign);
			const left = sign.since + GRACE_MS - now();
			const marked = left > 0 ? node : await markSilent(node, context);
			const tainted = await taint(marked, context);
			if (isSilent(tainted)) await takeOutOfService(key, context);
			const eviction = await evict(tainted, context);
			return { after: Math.max(0, Math.min(left > 0 ? left : GRACE_MS, eviction)) };
		},
	});
}

const hasNoExecute = (node: Node) => Boolean(node.spec.taints?.some(({ effect }) => effect === 'NoExecute'));

/** Makes what only the agent can know Unknown. */
async function markSilent(node: Node, { client, events, log, now }: Context): Promise<Node> {
	const conditions = unknownConditions(node, now());
	if (conditions.length === 0) return node;
	const { name, resourceVersion } = node.metadata;
	log.warn({ node: name }, 'the node has stopped reporting');
	const body = { metadata: { resourceVersion }, status: { conditions } };
	const marked = await client.patch(Node, { name }, { type: 'strategic', body }, { subresource: 'status' });
	events.event(node, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
	return marked;
}

async function taint(node: Node, { client, now }: Context): Promise<Node> {
	const taints = planTaints(node, now());
	if (!taints) return node;
	const { name, resourceVersion } = node.metadata;
	return client.patch(Node, { name }, { type: 'merge', body: { metadata: { resourceVersion }, spec: { taints } } });
}

/** Nobody knows whether the pods of a silent node serve: services shall not send anyone there. */
async function takeOutOfService(node: string, { client, cache, now }: Context): Promise<void> {
	for (const pod of [...cache.informer(Pod).by(BY_NODE, node)]) {
		if (!isReady(pod)) continue;
		await patchCondition(client, pod, {
			type: 'Ready',
			status: 'False',
			reason: 'NodeNotReady',
			lastTransitionTime: timestamp(now()),
		});
	}
}

/** Evicts the pods whose time has come. Returns in how many milliseconds the next one's does. */
async function evict(node: Node, { client, cache, events, log, now }: Context): Promise<number> {
	const taints = node.spec.taints ?? [];
	let next = Number.POSITIVE_INFINITY;
	if (!hasNoExecute(node)) return next;
	for (const pod of [...cache.informer(Pod).by(BY_NODE, node.metadata.name)]) {
		if (pod.metadata.deletionTimestamp || isFinished(pod)) continue;
		const eviction = evictionOf(pod, taints);
		if (!eviction) continue;
		const left = eviction.at - now();
		if (left > 0) {
			next = Math.min(next, left);
			continue;
		}
		// With every node silent it is rather us who are cut off, and there is nowhere to go.
		if (isOfNodeState(eviction.taint) && !someReady(cache.informer(Node).list())) {
			next = Math.min(next, LOOK_AGAIN_MS);
			continue;
		}
		const { name, namespace, uid } = pod.metadata;
		const message = `Taint manager: deleting due to NoExecute taint ${eviction.taint.key}`;
		log.info({ pod: `${namespace}/${name}`, node: node.metadata.name, taint: eviction.taint.key }, 'evicting a pod');
		await patchCondition(client, pod, {
			type: 'DisruptionTarget',
			status: 'True',
			reason: 'DeletionByTaintManager',
			message,
			lastTransitionTime: timestamp(now()),
		});
		events.event(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${namespace}/${name}`);
		await unlessGone(client.delete(Pod, { name, namespace }, { preconditions: { uid } }));
	}
	return next;
}

function someReady(nodes: Iterable<Node>): boolean {
	for (const node of nodes) if (readyOf(node)?.status === 'True') return true;
	return false;
}

/** Sets a condition of a pod. A pod that has gone needs none. */
export async function patchCondition(client: Client, pod: Pod, condition: object, phase?: string): Promise<void> {
	const { name, namespace, uid } = pod.metadata;
	const body = { metadata: { uid }, status: { phase, conditions: [condition] } };
	await unlessGone(client.patch(Pod, { name, namespace }, { type: 'strategic', body }, { subresource: 'status' }));
}

export async function unlessGone(call: Promise<unknown>): Promise<void> {
	try {
		await call;
	} catch (error) {
		if (!isNotFound(error)) throw error;
	}
}
