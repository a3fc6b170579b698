/** All pods of the node: a worker for each that the API has, and for each that only the engine or the disk still has. */
import type { Cache, Informer } from '../../client/index.ts';
import { Pod, timestamp } from '../../kinds/index.ts';
import type { PodIdentity } from '../engine/index.ts';
import type { Eviction } from '../pressure/evictor.ts';
import { type MirrorPods, mirrored } from '../static/index.ts';
import type { PodContext } from './context.ts';
import { podsOnDisk } from './files.ts';
import { uidOf } from './names.ts';
import type { PodReferences } from './references.ts';
import { createPodWorker, type PodWorker } from './worker.ts';

export interface Pods {
	find(namespace: string, name: string): Pod | undefined;
	all(): Iterable<Pod>;
	/** Whether the pod may use devices that it was given: it is not over, or something of it runs. */
	holds(uid: string): boolean;
	/** The pods that the node has taken and that are not over. */
	taken(): Iterable<Pod>;
	evict(uid: string, eviction: Eviction): Promise<void>;
	/** Whether the pod has ended, and what it took is free. */
	isOver(uid: string): boolean;
	/** The static pods are these from now on. */
	setStatic(pods: readonly Pod[]): void;
	/** A static pod has ended as it was asked to. */
	stopped(pod: Pod): Promise<void>;
	poke(uid: string): void;
	pokeAll(): void;
	/** What volumes wait for outside of the API's objects may be there: those that failed are tried at once. */
	retryVolumes(): void;
	/** The engine's containers have been listed: looks at every pod, and at what is left of pods that are gone. */
	reconcile(): Promise<void>;
	/** Settles when no pod's worker does anything any more. */
	idle(): Promise<void>;
}

/** How long a new pod waits until the API has told of the objects that it names. */
const PATIENCE_MS = 5_000;
/** Pause before a static pod is shown again to an API that has not taken it. */
const SHOW_MS = 5_000;

/** The pods of a node, and no others: an agent's copy, and what the API does for it, do not grow with the cluster. */
export const podsOf = (cache: Cache, node: string): Informer<Pod> =>
	cache.informer(Pod, { fieldSelector: `spec.nodeName=${node}` });

/** Follows the API's pods of the node from now on. Its informer must have been asked for before, so that `synced` covers it. */
export function createPods(
	cache: Cache,
	context: PodContext,
	references: PodReferences,
	mirrors: MirrorPods,
	apiUids: Map<string, string>,
): Pods {
	const { node, mirror, signal, wheel } = context;
	const workers = new Map<string, PodWorker>();
	const informer = podsOf(cache, node);
	/** Pods of which it is not known yet what is there of what they name: they are not looked at, so that nothing is taken for missing. */
	const unknown = new Set<string>();
	const poke = (uid: string) => {
		if (!unknown.has(uid)) workers.get(uid)?.poke();
	};

	const work = (pod: Pod): PodWorker => {
		const uid = uidOf(pod);
		const others = () => [...workers.values()].filter((one) => one !== worker && one.counts).map((one) => one.pod);
		const worker = createPodWorker(pod, context, others, () => {
			workers.delete(uid);
			references.release(uid);
			const own = statics.get(named(pod));
			if (own?.running === uid) {
				own.running = undefined;
				settleStatic(named(pod));
			}
		});
		workers.set(uid, worker);
		return worker;
	};
	/** By name: the static pod that its file says, and the uid of the one that runs, which may be an older one that ends. */
	const statics = new Map<string, { wanted: Pod | undefined; running: string | undefined }>();
	const named = ({ metadata: { namespace, name } }: Pod) => `${namespace}/${name}`;
	const shown = (pod: Pod) =>
		context.background(
			mirrors.show(pod).then((found) => {
				if (found) return showsStatic(found);
				wheel.after(SHOW_MS, () => {
					const worker = workers.get(uidOf(pod));
					if (worker && !worker.pod.metadata.deletionTimestamp) shown(worker.pod);
				});
			}),
		);
	/** What the API has of a static pod: its status, and the version of that. */
	const showsStatic = (found: Pod) => {
		const uid = mirrored(found);
		const worker = uid === undefined ? undefined : workers.get(uid);
		if (uid === undefined || !worker) return;
		apiUids.set(uid, found.metadata.uid ?? '');
		const { resourceVersion } = found.metadata;
		const { deletionTimestamp, deletionGracePeriodSeconds, ...metadata } = worker.pod.metadata;
		const own = statics.get(named(worker.pod));
		const ends =
			own?.wanted?.metadata.uid !== uid && deletionTimestamp ? { deletionTimestamp, deletionGracePeriodSeconds } : {};
		worker.update({ ...worker.pod, metadata: { ...metadata, ...ends, resourceVersion }, status: found.status });
	};
	const beginStatic = (pod: Pod) => {
		work(pod);
		shown(pod);
		poke(uidOf(pod));
	};
	const stopStatic = (uid: string) => {
		const worker = workers.get(uid);
		if (!worker || worker.pod.metadata.deletionTimestamp) return;
		const deletionGracePeriodSeconds = worker.pod.spec.terminationGracePeriodSeconds ?? 30;
		const metadata = {
			...worker.pod.metadata,
			deletionTimestamp: timestamp(context.now()),
			deletionGracePeriodSeconds,
		};
		worker.update({ ...worker.pod, metadata });
	};
	/** Brings what runs of a static pod to what its file says: an older one ends before the next one begins. */
	const settleStatic = (name: string) => {
		const own = statics.get(name);
		if (!own) return;
		const { wanted, running } = own;
		if (running !== undefined && running === wanted?.metadata.uid) return;
		if (running !== undefined) return stopStatic(running);
		if (!wanted) return void statics.delete(name);
		own.running = uidOf(wanted);
		beginStatic(wanted);
	};
	const seen = (pod: Pod) => {
		const worker = workers.get(uidOf(pod));
		const known = references.use(pod);
		if (worker) worker.update(pod);
		else begin(pod);
		void known?.then(() => look(uidOf(pod)));
	};
	const begin = (pod: Pod) => {
		const uid = uidOf(pod);
		work(pod);
		unknown.add(uid);
		// Where the API does not tell, the pod says so.
		wheel.after(PATIENCE_MS, () => unknown.has(uid) && look(uid));
	};
	const look = (uid: string) => {
		unknown.delete(uid);
		poke(uid);
	};
	informer.on(({ object, old }) => {
		if (signal.aborted) return;
		if (old?.metadata.uid && old.metadata.uid !== object?.metadata.uid) workers.get(old.metadata.uid)?.gone();
		const gone = old && mirrored(old) !== undefined && old.metadata.uid !== object?.metadata.uid ? old : undefined;
		// Deleting what stands for a static pod does nothing to it: it is shown anew.
		for (const one of [gone, object?.metadata.deletionTimestamp ? object : undefined]) {
			const uid = one && mirrored(one);
			const worker = uid === undefined ? undefined : workers.get(uid);
			if (worker && !worker.pod.metadata.deletionTimestamp) shown(worker.pod);
		}
		if (object && mirrored(object) !== undefined) showsStatic(object);
		else if (object?.spec.nodeName === node) seen(object);
	});
	references.onChange((uid) => workers.get(uid)?.refreshVolumes());

	return {
		find(namespace, name) {
			const pod = informer.get(`${namespace}/${name}`);
			return pod?.spec.nodeName === node ? (workers.get(mirrored(pod) ?? uidOf(pod))?.pod ?? pod) : undefined;
		},
		*all() {
			for (const worker of workers.values()) yield worker.pod;
		},
		holds: (uid) => workers.get(uid)?.holds ?? !mirror.of(uid)[Symbol.iterator]().next().done,
		*taken() {
			for (const worker of workers.values()) if (worker.counts) yield worker.pod;
		},
		evict: async (uid, eviction) => workers.get(uid)?.evict(eviction),
		isOver: (uid) => workers.get(uid)?.over ?? true,
		poke,
		pokeAll() {
			for (const uid of workers.keys()) poke(uid);
		},
		setStatic(pods) {
			const wanted = new Map(pods.map((pod) => [named(pod), pod]));
			for (const [name, pod] of wanted) {
				const own = statics.get(name) ?? { wanted: undefined, running: undefined };
				statics.set(name, { ...own, wanted: pod });
			}
			for (const [name, own] of statics) if (!wanted.has(name)) own.wanted = undefined;
			for (const name of [...statics.keys()]) settleStatic(name);
		},
		async stopped(pod) {
			const uid = uidOf(pod);
			await mirrors.remove(pod);
			apiUids.delete(uid);
			workers.get(uid)?.gone();
		},
		retryVolumes() {
			for (const worker of workers.values()) worker.retryVolumes();
		},
		async reconcile() {
			await informer.synced;
			// What stands for a static pod that no file says any more.
			for (const pod of informer.list())
				if (mirrored(pod) !== undefined && !workers.has(mirrored(pod) ?? ''))
					await mirrors.remove({ ...pod, metadata: { ...pod.metadata, uid: mirrored(pod) } });
			for (const uid of mirror.uids()) {
				const part = workers.has(uid) ? undefined : mirror.of(uid)[Symbol.iterator]().next().value;
				if (part) work(orphan(part.pod)).gone();
			}
			for (const uid of await podsOnDisk(context.dataDir))
				if (!workers.has(uid)) work(orphan({ uid, name: uid, namespace: '' })).gone();
			for (const uid of workers.keys()) poke(uid);
		},
		async idle() {
			await Promise.all([...workers.values()].map((worker) => worker.idle()));
		},
	};
}

/** What stands for a pod of which only containers or files are left. */
function orphan({ uid, name, namespace }: Omit<PodIdentity, 'node'>): Pod {
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { uid, name, namespace },
		spec: { containers: [] },
	};
}
