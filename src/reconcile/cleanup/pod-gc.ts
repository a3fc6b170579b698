/**
 * Removes pods that nobody else will: those of nodes that are gone, those that are deleted and were never on a node or are on
 * one that a person has put out of service, and the oldest finished ones when there are too many.
 * Source: kube-controller-manager's pod garbage collector, and Kubernetes documentation, "Non-graceful node shutdown handling".
 */
import { Node, Pod, timestamp } from '../../kinds/index.ts';
import { readyOf } from '../nodes/node-health.ts';
import { patchCondition } from '../nodes/pod-condition.ts';
import { type Again, type Context, type Controller, controller, index, watch } from '../runtime/controller.ts';
import { unlessGone } from '../runtime/refusal.ts';
import { isFinished, timeOf } from '../workloads/pod-state.ts';

/** How many finished pods are kept for people to look at. */
export const MOST_FINISHED = 12_500;
/** A node that is gone for less may be coming back: it was deleted and registers anew. */
const QUARANTINE_MS = 40_000;
/** Pods by their node; by whether they are finished. */
const BY_NODE = 'node';
const BY_END = 'finished';
const FINISHED = 'true';
const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';
/** The key that stands for all finished pods together. No object's key has a space. */
const ALL_FINISHED = 'finished pods';

export interface PodGcOptions {
	readonly mostFinished?: number;
}

export function podGc({ mostFinished = MOST_FINISHED }: PodGcOptions = {}): Controller {
	return controller({
		name: 'pod-gc',
		indexes: [
			index(Pod, BY_NODE, ({ spec }) => (spec.nodeName ? [spec.nodeName] : [])),
			index(Pod, BY_END, (pod) => (isFinished(pod) ? [FINISHED] : [])),
		],
		watches: [
			watch(Pod, (pod, cache) => {
				const { spec, metadata } = pod;
				const keys: string[] = [];
				if (isFinished(pod) && cache.informer(Pod).count(BY_END, FINISHED) > mostFinished) keys.push(ALL_FINISHED);
				const node = spec.nodeName ? cache.informer(Node).get(spec.nodeName) : undefined;
				const lost = spec.nodeName && !node;
				const left = metadata.deletionTimestamp && (!node || isOutOfService(node));
				if (lost || left) keys.push(`${metadata.namespace}/${metadata.name}`);
				return keys;
			}),
			watch(Node, ({ metadata: { name } }, cache) => {
				const node = cache.informer(Node).get(name);
				if (node && !isOutOfService(node)) return [];
				return [...cache.informer(Pod).by(BY_NODE, name)].map(
					({ metadata }) => `${metadata.namespace}/${metadata.name}`,
				);
			}),
		],
		open(context) {
			/** When a node was first missed. */
			const missed = new Map<string, number>();
			const nodes = context.cache.informer(Node).on(({ key, object }) => void (object && missed.delete(key)));
			return {
				reconcile: (key) => (key === ALL_FINISHED ? trim(mostFinished, context) : look(key, missed, context)),
				[Symbol.dispose]: () => nodes[Symbol.dispose](),
			};
		},
	});
}

async function look(key: string, missed: Map<string, number>, context: Context): Promise<Again | undefined> {
	const { cache, clock } = context;
	const pod = cache.informer(Pod).get(key);
	if (!pod) return undefined;
	const node = pod.spec.nodeName;
	if (!node) {
		if (!pod.metadata.deletionTimestamp) return undefined;
		// Whoever holds it by a finalizer waits for its end, which no agent will tell.
		if (!isFinished(pod)) await end(pod, context);
		await remove(pod, context);
		return undefined;
	}
	const there = cache.informer(Node).get(node);
	if (there) {
		if (!pod.metadata.deletionTimestamp || !isOutOfService(there)) return undefined;
		if (!isFinished(pod)) await fail(pod, 'PodGC: node is out of service', context);
		await remove(pod, context);
		return undefined;
	}
	const since = missed.get(node) ?? clock.now();
	missed.set(node, since);
	const left = since + QUARANTINE_MS - clock.now();
	if (left > 0) return { after: left };
	if (await exists(node, context)) return { after: QUARANTINE_MS };
	if (!isFinished(pod)) await fail(pod, 'PodGC: node no longer exists', context);
	await remove(pod, context);
	return undefined;
}

/** A person says by the taint that the node is shut down, so that its agent will not end anything any more. */
const isOutOfService = (node: Node) =>
	readyOf(node)?.status !== 'True' && node.spec.taints?.some(({ key }) => key === OUT_OF_SERVICE) === true;

/** Deletes the oldest finished pods beyond the limit. */
async function trim(most: number, context: Context): Promise<undefined> {
	const finished = [...context.cache.informer(Pod).by(BY_END, FINISHED)];
	const age = ({ metadata }: Pod) => timeOf(metadata.creationTimestamp) ?? 0;
	finished.sort((one, other) => age(one) - age(other));
	for (const pod of finished.slice(0, Math.max(0, finished.length - most))) await remove(pod, context);
}

/** Asks the API itself: what is done to the pods of a node that is gone cannot be undone. */
async function exists(name: string, { client }: Context): Promise<boolean> {
	return (await unlessGone(client.get(Node, { name }))) !== undefined;
}

/** Its end is told before it goes, so that whoever made the pod counts it as failed. */
async function fail(pod: Pod, message: string, { client, now }: Context): Promise<void> {
	const condition = {
		type: 'DisruptionTarget',
		status: 'True',
		reason: 'DeletionByPodGC',
		message,
		lastTransitionTime: timestamp(now()),
	};
	await patchCondition(client, pod, condition, 'Failed');
}

async function end({ metadata: { name, namespace, uid } }: Pod, { client }: Context): Promise<void> {
	const body = { metadata: { uid }, status: { phase: 'Failed' } };
	await unlessGone(client.patch(Pod, { name, namespace }, { type: 'merge', body }, { subresource: 'status' }));
}

async function remove({ metadata: { name, namespace, uid } }: Pod, { client, log }: Context): Promise<void> {
	log.info({ pod: `${namespace}/${name}` }, 'removing a pod that nobody else will');
	await unlessGone(client.delete(Pod, { name, namespace }, { gracePeriodSeconds: 0, preconditions: { uid } }));
}
