/**
 * The scheduler: gives each pod that waits a node, by priority and then by age. It looks again at pods that fit nowhere when a
 * node changes or a pod frees something, never by a timer. Source: Kubernetes documentation, "Kubernetes Scheduler".
 */
import type { Delta } from '../../client/informer.ts';
import { type Key, Node, Pod } from '../../kinds/index.ts';
import { conditionOf, withoutCondition } from '../runtime/conditions.ts';
import { type Context, type Controller, controller, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { isConflict, isNotFound, messageOf } from '../runtime/refusal.ts';
import { isFinished, timeOf, timestamp } from '../workloads/pod-state.ts';
import { type Allocations, allocations } from './node-allocations.ts';
import { type Strategy, schedule } from './schedule.ts';

/** How many bindings are under way at once; decisions are made one after the other. */
const BINDINGS_AT_ONCE = 32;

/** The one key of the queue: all that wait are looked at together, since they compete. */
const WAITING: Key = 'pods';

const DEFAULT_NAME = 'default-scheduler';

export interface SchedulerOptions {
	/** Default `least-allocated`. */
	readonly strategy?: Strategy;
	/** The schedulerName of the pods it takes care of. Default `default-scheduler`. */
	readonly name?: string;
}

export function scheduler({ strategy = 'least-allocated', name = DEFAULT_NAME }: SchedulerOptions = {}): Controller {
	return controller({
		name: 'scheduler',
		component: name,
		// What is to be done on a change depends on what it changed: the session's own handlers tell.
		watches: [watch(Pod, () => []), watch(Node, () => [])],
		workers: 1,
		open(context, queue) {
			const { state, following } = follow(name, strategy, context, () => queue(WAITING));
			return {
				async reconcile() {
					await placeAll(state, context);
					return undefined;
				},
				[Symbol.dispose]: () => following.dispose(),
			};
		},
	});
}

interface Scheduling {
	readonly strategy: Strategy;
	readonly allocations: Allocations;
	/** Pods to be looked at. */
	readonly waiting: Map<Key, Pod>;
	/** Pods that fitted nowhere when they were looked at last. */
	readonly unschedulable: Map<Key, Pod>;
	/** The node that was chosen last. */
	last: string;
}

/** Keeps the state current until `following` is disposed of; `wake` is called when a pod is to be looked at. */
function follow(name: string, strategy: Strategy, { cache }: Context, wake: () => void) {
	const state: Scheduling = {
		strategy,
		allocations: allocations(),
		waiting: new Map(),
		unschedulable: new Map(),
		last: '',
	};
	const { waiting, unschedulable } = state;
	const lookAgain = () => {
		if (unschedulable.size === 0) return;
		for (const [key, pod] of unschedulable) waiting.set(key, pod);
		unschedulable.clear();
		wake();
	};
	const onNode = ({ key, object, old }: Delta<Node>) => {
		if (!object) state.allocations.removeNode(key);
		else if (!old || mattersForPods(old, object)) {
			state.allocations.setNode(object);
			lookAgain();
		}
	};
	const onPod = ({ key, object, old }: Delta<Pod>) => {
		// One name can have passed to another pod.
		const gone = old && old.metadata.uid !== object?.metadata.uid && state.allocations.removePod(uidOf(old));
		const finished = object && state.allocations.setPod(object);
		if (gone || finished) lookAgain();
		if (!object || !waits(object, name) || state.allocations.has(uidOf(object))) {
			waiting.delete(key);
			unschedulable.delete(key);
		} else if (unschedulable.has(key) && old?.metadata.uid === object.metadata.uid && sameJson(old?.spec, object.spec))
			unschedulable.set(key, object);
		else {
			unschedulable.delete(key);
			waiting.set(key, object);
			wake();
		}
	};
	const following = new DisposableStack();
	following.use(cache.informer(Node).on(onNode));
	following.use(cache.informer(Pod).on(onPod));
	return { state, following };
}

/** Places all that wait, also those that come meanwhile. Throws the first write that failed; those pods wait again. */
async function placeAll(state: Scheduling, context: Context): Promise<void> {
	const { allocations, waiting, unschedulable } = state;
	const writes = new Set<Promise<void>>();
	const failed: { key: Key; pod: Pod; error: unknown }[] = [];
	const write = async (key: Key, pod: Pod, task: Promise<void>) => {
		try {
			await task;
		} catch (error) {
			// A pod that is gone, or that somebody else has bound, shows in the cache as it is.
			if (!isNotFound(error)) failed.push({ key, pod, error });
		}
	};
	for (let order = inOrder(waiting); ; ) {
		const next = order.pop();
		if (!next) {
			if (waiting.size === 0) break;
			order = inOrder(waiting);
			continue;
		}
		const [key] = next;
		const pod = waiting.get(key);
		if (!pod) continue;
		waiting.delete(key);
		const placement = schedule(pod, allocations.nodes.values(), state.strategy, state.last);
		let task: Promise<void>;
		if ('node' in placement) {
			state.last = placement.node;
			allocations.assume(pod, placement.node);
			task = bind(pod, placement.node, allocations, context);
		} else {
			unschedulable.set(key, pod);
			task = reportUnschedulable(pod, placement.message, context);
		}
		const writing = write(key, pod, task).finally(() => writes.delete(writing));
		writes.add(writing);
		if (writes.size < BINDINGS_AT_ONCE) continue;
		const before = waiting.size;
		await Promise.race(writes);
		if (waiting.size > before) order = inOrder(waiting);
	}
	await Promise.all(writes);
	for (const { key, pod } of failed) {
		const now = context.cache.informer(Pod).get(key);
		if (now && uidOf(now) === uidOf(pod) && !now.spec.nodeName && !now.metadata.deletionTimestamp) {
			unschedulable.delete(key);
			waiting.set(key, now);
		}
	}
	if (failed[0]) throw failed[0].error;
}

/** The least urgent first: to be taken from the end. */
function inOrder(waiting: ReadonlyMap<Key, Pod>): [Key, Pod][] {
	const age = new Map(Array.from(waiting.values(), (pod) => [pod, timeOf(pod.metadata.creationTimestamp) ?? 0]));
	return [...waiting]
		.reverse()
		.sort(([, a], [, b]) => (a.spec.priority ?? 0) - (b.spec.priority ?? 0) || (age.get(b) ?? 0) - (age.get(a) ?? 0));
}

async function bind(pod: Pod, node: string, allocations: Allocations, { client, events }: Context): Promise<void> {
	try {
		await client.bind(pod.metadata, node);
	} catch (error) {
		allocations.removePod(uidOf(pod));
		if (!isNotFound(error) && !isConflict(error))
			events.event(pod, 'Warning', 'FailedScheduling', `binding rejected: ${messageOf(error)}`);
		throw error;
	}
	const { namespace, name } = pod.metadata;
	events.event(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
}

/** Says at the pod why it has no node, where it does not say so yet. */
async function reportUnschedulable(pod: Pod, message: string, { client, events, now }: Context): Promise<void> {
	const said = conditionOf(pod.status?.conditions, 'PodScheduled');
	if (said?.status === 'False' && said.message === message) return;
	events.event(pod, 'Warning', 'FailedScheduling', message);
	const condition = {
		type: 'PodScheduled',
		status: 'False',
		reason: 'Unschedulable',
		message,
		lastTransitionTime: (said?.status === 'False' && said.lastTransitionTime) || timestamp(now()),
	};
	const conditions = [...withoutCondition(pod.status?.conditions, 'PodScheduled'), condition];
	await client.update(Pod, { ...pod, status: { ...pod.status, conditions } }, { subresource: 'status' });
}

/** Whether the pod is this scheduler's to place. */
function waits(pod: Pod, name: string): boolean {
	const { nodeName, schedulerName, schedulingGates } = pod.spec;
	return (
		!nodeName &&
		(schedulerName ?? DEFAULT_NAME) === name &&
		!schedulingGates?.length &&
		!pod.metadata.deletionTimestamp &&
		!isFinished(pod)
	);
}

/** Whether a node's change can change where pods fit; its heartbeat does not. */
function mattersForPods(old: Node, node: Node): boolean {
	return !(
		sameJson(old.spec, node.spec) &&
		sameJson(old.metadata.labels, node.metadata.labels) &&
		sameJson(old.status?.allocatable, node.status?.allocatable)
	);
}

const uidOf = (pod: Pod) => pod.metadata.uid ?? '';
