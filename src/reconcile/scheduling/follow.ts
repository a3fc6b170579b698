/** What the scheduler makes of changes in the cluster: the snapshot follows them, and pods that they may help are looked at again. */
import type { Cache, Delta } from '../../client/informer.ts';
import {
	keyOf,
	Namespace,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	SchedulerConfig,
	StorageClass,
} from '../../kinds/index.ts';
import { sameJson } from '../runtime/equality.ts';
import { isFinished } from '../workloads/pod-state.ts';
import { DEFAULT_NAME, type Profiles } from './profiles.ts';
import type { Changes, What } from './rules/rule.ts';
import type { Snapshot } from './snapshot.ts';
import type { WaitingPods } from './waiting.ts';

export interface Following {
	readonly snapshot: Snapshot;
	readonly waiting: WaitingPods;
	/** Something has changed that may help pods. */
	changed<W extends What>(what: W, change: Changes[W]): void;
	/** The schedulerNames of the pods to be placed. */
	readonly profiles: Profiles;
	/** What says which they are has changed. */
	reconfigure(): void;
}

/** Follows the cache until disposed. */
export function follow(cache: Cache, following: Following): Disposable {
	const subscriptions = new DisposableStack();
	// Pods come last: they are held against nodes and namespaces.
	subscriptions.use(cache.informer(SchedulerConfig).on(() => onConfig(cache, following)));
	subscriptions.use(cache.informer(Namespace).on((delta) => onNamespace(following, delta)));
	subscriptions.use(cache.informer(Node).on((delta) => onNode(following, delta)));
	subscriptions.use(cache.informer(Pod).on((delta) => onPod(following, delta)));
	const { changed } = following;
	subscriptions.use(cache.informer(PersistentVolumeClaim).on(({ key }) => changed('claim', { key })));
	subscriptions.use(
		cache.informer(PersistentVolume).on(({ object, old }) => {
			// One that is gone helps nobody.
			if (object && !(old && sameJson([old.spec, old.status?.phase], [object.spec, object.status?.phase])))
				changed('volume', { volume: object });
		}),
	);
	subscriptions.use(cache.informer(StorageClass).on(({ key }) => changed('storage class', { name: key })));
	return subscriptions;
}

/** Pods of other names are to be placed now, or not any more. */
function onConfig(cache: Cache, following: Following): void {
	const before = following.profiles;
	following.reconfigure();
	const { profiles, snapshot, waiting } = following;
	if (profiles.size === before.size && profiles.keys().every((name) => before.has(name))) return;
	for (const pod of cache.informer(Pod).list()) {
		const key = keyOf(pod);
		if (!waits(pod, profiles)) waiting.delete(key);
		else if (!waiting.has(key) && snapshot.nodeOf(uidOf(pod)) === undefined) waiting.add(pod);
	}
}

function onNamespace({ snapshot, changed }: Following, { key, object, old }: Delta<Namespace>): void {
	if (object && old && sameJson(object.metadata.labels, old.metadata.labels)) return;
	snapshot.setNamespace(key, object && (object.metadata.labels ?? {}));
	changed('namespace labels', { namespace: key });
}

function onNode({ snapshot, changed }: Following, { key, object, old }: Delta<Node>): void {
	if (!object) {
		const before = snapshot.removeNode(key);
		changed('node removed', { before });
		return;
	}
	if (!old) {
		changed('node added', { now: snapshot.setNode(object).now });
		return;
	}
	const relabelled = !sameJson(old.metadata.labels, object.metadata.labels);
	const tainted = !sameJson(
		[old.spec.taints, old.spec.unschedulable ?? false],
		[object.spec.taints, object.spec.unschedulable ?? false],
	);
	const fetched = old.status?.images !== object.status?.images && !sameJson(old.status?.images, object.status?.images);
	const resized = !sameJson(
		old.status?.allocatable ?? old.status?.capacity,
		object.status?.allocatable ?? object.status?.capacity,
	);
	// Heartbeats change nothing of these.
	if (!relabelled && !tainted && !resized && !fetched) return;
	const change = snapshot.setNode(object);
	if (relabelled) changed('node labels', change);
	if (tainted) changed('node taints', change);
	if (resized) changed('node allocatable', change);
}

function onPod(following: Following, { key, object, old }: Delta<Pod>): void {
	const { snapshot, waiting, profiles } = following;
	// One name can have passed to another pod.
	const same = old?.metadata.uid === object?.metadata.uid ? old : undefined;
	if (old && !same) leave(following, old);
	if (!object) {
		waiting.delete(key);
		return;
	}
	place(following, object, same);
	if (!waits(object, profiles)) waiting.delete(key);
	// It is being bound, and comes back where that fails.
	else if (snapshot.nodeOf(uidOf(object)) !== undefined) waiting.update(object);
	else if (
		waiting.has(key) &&
		same &&
		sameJson(same.spec, object.spec) &&
		sameJson(same.metadata.labels, object.metadata.labels)
	)
		waiting.update(object);
	else waiting.add(object);
}

/** The pod is gone. */
function leave({ snapshot, changed }: Following, pod: Pod): void {
	const node = snapshot.nodeOf(uidOf(pod)) ?? pod.status?.nominatedNodeName;
	snapshot.removePod(uidOf(pod));
	if (node) changed('pod gone', { pod, node });
}

/** The pod is as it is now: `old` is what it was before. */
function place({ snapshot, changed }: Following, pod: Pod, old: Pod | undefined): void {
	const before = snapshot.nodeOf(uidOf(pod));
	snapshot.setPod(pod);
	const now = snapshot.nodeOf(uidOf(pod));
	const nominated = old?.spec.nodeName ? undefined : old?.status?.nominatedNodeName;
	for (const left of [before, nominated])
		if (left && left !== now && left !== pod.status?.nominatedNodeName)
			changed('pod gone', { pod: old ?? pod, node: left });
	if (now === undefined || !pod.spec.nodeName) return;
	if (!old?.spec.nodeName) changed('pod came', { pod, node: now });
	else if (
		old.metadata.deletionTimestamp !== pod.metadata.deletionTimestamp ||
		!sameJson(old.metadata.labels, pod.metadata.labels)
	)
		changed('pod labels', { pod, old, node: now });
}

/** Whether the pod is this scheduler's to place. */
function waits(pod: Pod, profiles: Profiles): boolean {
	const { nodeName, schedulerName, schedulingGates } = pod.spec;
	return (
		!nodeName &&
		profiles.has(schedulerName ?? DEFAULT_NAME) &&
		!schedulingGates?.length &&
		!pod.metadata.deletionTimestamp &&
		!isFinished(pod)
	);
}

const uidOf = (pod: Pod) => pod.metadata.uid ?? '';
