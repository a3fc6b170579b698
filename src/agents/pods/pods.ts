/** All pods of the node: a worker for each that the API has, and for each that only the engine or the disk still has. */
import type { Cache } from '../../client/index.ts';
import { ConfigMap, type KubeObject, Pod, Secret } from '../../kinds/index.ts';
import { referencedObjects } from '../volumes/index.ts';
import type { PodContext } from './context.ts';
import { podsOnDisk } from './files.ts';
import { labels, uidOf } from './names.ts';
import { members } from './outlook.ts';
import { createPodWorker, type PodWorker } from './worker.ts';

export interface Pods {
	find(namespace: string, name: string): Pod | undefined;
	all(): Iterable<Pod>;
	poke(uid: string): void;
	pokeAll(): void;
	/** The engine's containers have been listed: looks at every pod, and at what is left of pods that are gone. */
	reconcile(): Promise<void>;
	/** Settles when no pod's worker does anything any more. */
	idle(): Promise<void>;
}

/** Follows the API's pods of the node from now on. Its informers must have been asked for before, so that `synced` covers them. */
export function createPods(cache: Cache, context: PodContext): Pods {
	const { node, mirror, signal } = context;
	const workers = new Map<string, PodWorker>();
	const informer = cache.informer(Pod);
	/** Worker uids by the config maps and secrets they refer to: `ConfigMap/NAMESPACE/NAME`. */
	const users = new Map<string, Set<string>>();
	let synced = false;

	const work = (pod: Pod): PodWorker => {
		const uid = uidOf(pod);
		const worker = createPodWorker(pod, context, () => {
			workers.delete(uid);
			for (const name of references(pod)) {
				const known = users.get(name);
				known?.delete(uid);
				if (known?.size === 0) users.delete(name);
			}
		});
		workers.set(uid, worker);
		for (const name of references(pod)) users.set(name, (users.get(name) ?? new Set()).add(uid));
		return worker;
	};
	const seen = (pod: Pod) => {
		const worker = workers.get(uidOf(pod));
		if (worker) worker.update(pod);
		else work(pod).poke();
	};
	informer.on(({ object, old }) => {
		if (signal.aborted) return;
		if (old?.metadata.uid && old.metadata.uid !== object?.metadata.uid) workers.get(old.metadata.uid)?.gone();
		if (object?.spec.nodeName === node) seen(object);
	});
	const changed = (kind: string) => (delta: { readonly object?: KubeObject; readonly old?: KubeObject }) => {
		const about = delta.object ?? delta.old;
		if (!about) return;
		const name = `${kind}/${about.metadata.namespace}/${about.metadata.name}`;
		for (const uid of users.get(name) ?? []) workers.get(uid)?.refreshVolumes();
	};
	cache.informer(ConfigMap).on(changed('ConfigMap'));
	cache.informer(Secret).on(changed('Secret'));

	return {
		find(namespace, name) {
			const pod = informer.get(`${namespace}/${name}`);
			return pod?.spec.nodeName === node ? (workers.get(uidOf(pod))?.pod ?? pod) : undefined;
		},
		*all() {
			for (const worker of workers.values()) yield worker.pod;
		},
		poke: (uid) => workers.get(uid)?.poke(),
		pokeAll() {
			for (const worker of workers.values()) worker.poke();
		},
		async reconcile() {
			if (!synced) {
				await Promise.all([informer.synced, cache.informer(ConfigMap).synced, cache.informer(Secret).synced]);
				synced = true;
			}
			for (const uid of mirror.uids()) {
				const container = workers.has(uid) ? undefined : mirror.of(uid)[Symbol.iterator]().next().value;
				if (container) work(orphan(uid, container.labels)).gone();
			}
			for (const uid of await podsOnDisk(context.dataDir)) if (!workers.has(uid)) work(orphan(uid, {})).gone();
			for (const worker of workers.values()) worker.poke();
		},
		async idle() {
			await Promise.all([...workers.values()].map((worker) => worker.idle()));
		},
	};
}

/** What stands for a pod of which only containers or files are left. */
function orphan(uid: string, of: Readonly<Record<string, string>>): Pod {
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { uid, name: of[labels.podName] ?? uid, namespace: of[labels.podNamespace] ?? '' },
		spec: { containers: [] },
	};
}

/** The config maps and secrets whose change a pod must hear of. */
function references(pod: Pod): Set<string> {
	const { namespace } = pod.metadata;
	const volumes = referencedObjects(pod.spec.volumes ?? []);
	const configMaps = new Set(volumes.configMaps);
	const secrets = new Set(volumes.secrets);
	for (const { container } of members(pod)) {
		for (const { configMapRef, secretRef } of container.envFrom ?? []) {
			if (configMapRef?.name) configMaps.add(configMapRef.name);
			if (secretRef?.name) secrets.add(secretRef.name);
		}
		for (const { valueFrom } of container.env ?? []) {
			if (valueFrom?.configMapKeyRef?.name) configMaps.add(valueFrom.configMapKeyRef.name);
			if (valueFrom?.secretKeyRef?.name) secrets.add(valueFrom.secretKeyRef.name);
		}
	}
	return new Set([
		...[...configMaps].map((name) => `ConfigMap/${namespace}/${name}`),
		...[...secrets].map((name) => `Secret/${namespace}/${name}`),
	]);
}
