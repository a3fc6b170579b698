/** All pods of the node: a worker for each that the API has, and for each that only the engine or the disk still has. */
import type { Cache, Informer } from '../../client/index.ts';
import { Pod } from '../../kinds/index.ts';
import type { PodIdentity } from '../engine/index.ts';
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
	poke(uid: string): void;
	pokeAll(): void;
	/** The engine's containers have been listed: looks at every pod, and at what is left of pods that are gone. */
	reconcile(): Promise<void>;
	/** Settles when no pod's worker does anything any more. */
	idle(): Promise<void>;
}

/** How long a new pod waits until the API has told of the objects that it names. */
const PATIENCE_MS = 5_000;

/** The pods of a node, and no others: an agent's copy, and what the API does for it, do not grow with the cluster. */
export const podsOf = (cache: Cache, node: string): Informer<Pod> =>
	cache.informer(Pod, { fieldSelector: `spec.nodeName=${node}` });

/** Follows the API's pods of the node from now on. Its informer must have been asked for before, so that `synced` covers it. */
export function createPods(cache: Cache, context: PodContext, references: PodReferences): Pods {
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
		});
		workers.set(uid, worker);
		return worker;
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
		if (object?.spec.nodeName === node) seen(object);
	});
	references.onChange((uid) => workers.get(uid)?.refreshVolumes());

	return {
		find(namespace, name) {
			const pod = informer.get(`${namespace}/${name}`);
			return pod?.spec.nodeName === node ? (workers.get(uidOf(pod))?.pod ?? pod) : undefined;
		},
		*all() {
			for (const worker of workers.values()) yield worker.pod;
		},
		holds: (uid) => workers.get(uid)?.holds ?? !mirror.of(uid)[Symbol.iterator]().next().done,
		poke,
		pokeAll() {
			for (const uid of workers.keys()) poke(uid);
		},
		async reconcile() {
			await informer.synced;
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
