/**
 * What becomes of pods whose node fails: those of a silent node are taken out of service, and those that do not tolerate a
 * taint are evicted when their time has come. By pod: an event about one pod of a dead node is no cause to look at the others.
 * Source: Kubernetes documentation, "Taints and Tolerations", and KEP-3902 (taint eviction as a controller of its own).
 */
import { type Key, keyOf, Node, Pod, timestamp } from '../../kinds/index.ts';
import { type Context, type Controller, controller, index, watch } from '../runtime/controller.ts';
import { unlessGone } from '../runtime/refusal.ts';
import { isFinished, isReady } from '../workloads/pod-state.ts';
import { type Eviction, evictionOf } from './eviction.ts';
import { isSilent } from './node-health.ts';
import { patchCondition } from './pod-condition.ts';

/** The index of pods by the node they are bound to. */
const BY_NODE = 'node';

const evicting = (node: Node) => node.spec.taints?.filter(({ effect }) => effect === 'NoExecute') ?? [];
const concerns = (node: Node) => isSilent(node) || evicting(node).length > 0;

export const taintEviction: Controller = controller({
	name: 'taint-eviction',
	workers: 8,
	watches: [
		watch(Pod, (pod, cache): Key[] => {
			const node = pod.spec.nodeName ? cache.informer(Node).get(pod.spec.nodeName) : undefined;
			return node && concerns(node) ? [keyOf(pod)] : [];
		}),
		watch(
			Node,
			(node, cache) => (concerns(node) ? Array.from(cache.informer(Pod).by(BY_NODE, node.metadata.name), keyOf) : []),
			{ part: (node) => [isSilent(node), evicting(node)] },
		),
	],
	indexes: [index(Pod, BY_NODE, ({ spec }) => (spec.nodeName ? [spec.nodeName] : []))],
	async reconcile(key, context) {
		const { cache, client, now } = context;
		const pod = cache.informer(Pod).get(key);
		const node = pod?.spec.nodeName ? cache.informer(Node).get(pod.spec.nodeName) : undefined;
		if (!pod || !node || pod.metadata.deletionTimestamp) return;
		// Nobody knows whether the pods of a silent node serve: services shall not send anyone there.
		if (isSilent(node) && isReady(pod)) {
			const lastTransitionTime = timestamp(now());
			await patchCondition(client, pod, { type: 'Ready', status: 'False', reason: 'NodeNotReady', lastTransitionTime });
		}
		const eviction = isFinished(pod) ? undefined : evictionOf(pod, evicting(node));
		if (!eviction) return;
		const left = eviction.at - now();
		if (left > 0) return { after: left };
		await evict(pod, eviction, context);
		return;
	},
});

async function evict(pod: Pod, { taint }: Eviction, { client, events, log, now }: Context): Promise<void> {
	const { name, namespace, uid } = pod.metadata;
	const message = `Taint manager: deleting due to NoExecute taint ${taint.key}`;
	log.info({ pod: `${namespace}/${name}`, node: pod.spec.nodeName, taint: taint.key }, 'evicting a pod');
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
