/** The Secrets and ConfigMaps that the pods of this node name: followed while a pod names them, and no others. */
import { type Client, followReferences, type Name, type Reference } from '../../client/index.ts';
import { ConfigMap, type Key, keyOf, type Pod, Secret } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import { referencedObjects } from '../volumes/index.ts';
import type { Objects } from './environment.ts';
import { uidOf } from './names.ts';
import { members } from './outlook.ts';

export interface PodReferences extends Pick<Objects, 'configMap' | 'secret'> {
	/**
	 * Follows what a pod names, as its spec is now. Undefined where that is what it named before; else it settles when it is known
	 * what of it is there, and does not reject.
	 */
	use(pod: Pod): Promise<void> | undefined;
	/** The pod needs nothing any more. */
	release(uid: string): void;
	/** Calls back with the uid of each pod that names an object that has changed, once all that it names is known. */
	onChange(changed: (uid: string) => void): void;
}

const kinds = ['configmap', 'secret'] as const;
type Referenced = (typeof kinds)[number];

/** What one pod names, and holds. */
interface Use {
	readonly generation: number | undefined;
	readonly holds: ReadonlyMap<string, Reference>;
	known: boolean;
}

export function followPodReferences(client: Client, options: { readonly log: Log; readonly signal: AbortSignal }) {
	const uses = new Map<string, Use>();
	const users = new Map<string, Set<string>>();
	const listeners: ((uid: string) => void)[] = [];
	const changed = (kind: Referenced) => (key: Key) => {
		for (const uid of users.get(`${kind} ${key}`) ?? [])
			if (uses.get(uid)?.known) for (const listener of listeners) listener(uid);
	};
	const configMaps = followReferences(client, ConfigMap, { ...options, changed: changed('configmap') });
	const secrets = followReferences(client, Secret, { ...options, changed: changed('secret') });

	const drop = (uid: string, name: string, hold: Reference) => {
		hold[Symbol.dispose]();
		const known = users.get(name);
		known?.delete(uid);
		if (known?.size === 0) users.delete(name);
	};
	/** In the kubelet's words where it is not known yet: an object must not be taken for missing because the API is slow. */
	const read = <T>(kind: Referenced, { known, object }: { readonly known: boolean; readonly object?: T }) => {
		if (!known) throw new Error(`failed to sync ${kind} cache: timed out waiting for the condition`);
		return object;
	};

	const references: PodReferences = {
		configMap: (namespace, name) => read('configmap', configMaps.get({ namespace, name })),
		secret: (namespace, name) => read('secret', secrets.get({ namespace, name })),
		use(pod) {
			const uid = uidOf(pod);
			const { generation } = pod.metadata;
			const before = uses.get(uid);
			if (before && before.generation === generation) return undefined;
			const holds = new Map<string, Reference>();
			for (const [kind, at] of named(pod)) {
				const name = `${kind} ${keyOf({ metadata: at })}`;
				if (holds.has(name)) continue;
				holds.set(name, before?.holds.get(name) ?? (kind === 'secret' ? secrets : configMaps).hold(at));
				users.set(name, (users.get(name) ?? new Set()).add(uid));
			}
			for (const [name, hold] of before?.holds ?? []) if (!holds.has(name)) drop(uid, name, hold);
			const use = { generation, holds, known: false };
			uses.set(uid, use);
			return Promise.allSettled([...holds.values()].map(({ synced }) => synced)).then(() => {
				use.known = true;
			});
		},
		release(uid) {
			for (const [name, hold] of uses.get(uid)?.holds ?? []) drop(uid, name, hold);
			uses.delete(uid);
		},
		onChange: (listener) => void listeners.push(listener),
	};
	return references;
}

/** Every ConfigMap and Secret that a pod names: its volumes, its containers, and its image pull secrets. */
function* named(pod: Pod): Generator<readonly [Referenced, Name]> {
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
	for (const { name } of pod.spec.imagePullSecrets ?? []) if (name) secrets.add(name);
	for (const name of configMaps) yield ['configmap', { namespace, name }];
	for (const name of secrets) yield ['secret', { namespace, name }];
}
