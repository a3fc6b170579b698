/**
 * Pods that have got a node and wait there for their volumes: the volumes that were chosen are promised to their claims, claims whose
 * volumes are to be made say on which node, and the pod is bound once all of it is done. Until then it counts on its node.
 * Source: Kubernetes documentation, "Storage Classes", Volume Binding Mode; the VolumeBinding plugin of kube-scheduler (bind timeout).
 */
import type { Clock } from '../../client/clock.ts';
import { createDelays } from '../../client/delays.ts';
import type { Cache } from '../../client/informer.ts';
import {
	type Key,
	keyOf,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	StorageClass,
} from '../../kinds/index.ts';
import type { Context } from '../runtime/controller.ts';
import { messageOf } from '../runtime/refusal.ts';
import { SELECTED_NODE } from '../volumes/annotations.ts';
import { promise } from '../volumes/claim-binder.ts';
import { pending, type VolumeLook, type VolumePlan } from './pod-volumes.ts';

/** How long a pod waits for its volumes before another node is looked for. Source: VolumeBindingArgs, bindTimeoutSeconds. */
export const BIND_TIMEOUT_MS = 10 * 60_000;

/** What the wait of a pod has come to. */
export interface Settled {
	readonly pod: Pod;
	readonly node: string;
	/** Why its volumes cannot be had there; absent where it has them all. */
	readonly failure?: string;
}

export interface VolumeBindings extends Disposable {
	readonly look: VolumeLook;
	/** The pod is to run on the node, once the plan is done. Rejects where it cannot be begun; the pod does not wait then. */
	begin(pod: Pod, node: string, plan: VolumePlan): Promise<void>;
	/** Those whose wait is over. */
	take(): readonly Settled[];
}

interface Waiting {
	readonly pod: Pod;
	readonly node: string;
	readonly claims: readonly Key[];
	/** Claims whose volumes are to be made; whether they were seen to say where. */
	readonly provision: Map<Key, boolean>;
	readonly volumes: readonly string[];
	/** Its writes are done. */
	begun: boolean;
}

/** @param wake - called when there is something to take. */
export function createVolumeBindings(
	{ cache, client }: Pick<Context, 'cache' | 'client'>,
	clock: Clock,
	wake: () => void,
): VolumeBindings {
	const waiting = new Map<Key, Waiting>();
	/** Which pods wait for a claim. */
	const byClaim = new Map<Key, Set<Key>>();
	/** Volumes that were chosen, and for whom. */
	const taken = new Map<string, Key>();
	const settled: Settled[] = [];
	const look = lookOf(cache, (volume, by) => (taken.get(volume) ?? by) !== by);
	const delays = createDelays(clock, (key) => end(key, 'timed out waiting for the condition'));

	const remove = (key: Key) => {
		const entry = waiting.get(key);
		if (!entry) return undefined;
		waiting.delete(key);
		delays.delete(key);
		for (const volume of entry.volumes) taken.delete(volume);
		for (const claim of entry.claims) {
			const pods = byClaim.get(claim);
			pods?.delete(key);
			if (pods?.size === 0) byClaim.delete(claim);
		}
		return entry;
	};
	function end(key: Key, failure?: string) {
		const entry = remove(key);
		if (!entry) return;
		settled.push({ pod: entry.pod, node: entry.node, failure });
		wake();
	}
	const check = (key: Key) => {
		const entry = waiting.get(key);
		if (!entry?.begun) return;
		const node = cache.informer(Node).get(entry.node);
		if (!node) return end(key, `node "${entry.node}" not found`);
		try {
			if (!pending(entry.claims, node, look)) return end(key);
		} catch (error) {
			return end(key, messageOf(error));
		}
		for (const [claim, seen] of entry.provision) {
			const selected = look.claim(claim)?.metadata.annotations?.[SELECTED_NODE];
			// Before it was seen to say where, the copy is older than what was written.
			if (selected === entry.node) entry.provision.set(claim, true);
			else if (seen) return end(key, `provisioning failed for PVC "${look.claim(claim)?.metadata.name}"`);
		}
	};
	const onClaim = (key: Key) => {
		for (const pod of [...(byClaim.get(key) ?? [])]) check(pod);
	};

	const subscriptions = new DisposableStack();
	subscriptions.use(delays);
	subscriptions.use(cache.informer(PersistentVolumeClaim).on(({ key }) => onClaim(key)));
	subscriptions.use(
		cache.informer(PersistentVolume).on(({ object }) => {
			const { namespace, name } = object?.spec.claimRef ?? {};
			if (namespace && name) onClaim(keyOf({ metadata: { namespace, name } }));
		}),
	);
	// A pod that is gone, or bound by somebody else, waits no more.
	subscriptions.use(
		cache.informer(Pod).on(({ key, object, old }) => {
			if (old && (!object || object.metadata.uid !== old.metadata.uid || object.spec.nodeName)) remove(key);
		}),
	);

	return {
		look,
		async begin(pod, node, { bind, provision }) {
			const key = keyOf(pod);
			const claims = [...bind.map(({ claim }) => claim), ...provision].map(keyOf);
			const entry: Waiting = {
				pod,
				node,
				claims,
				provision: new Map(provision.map((claim) => [keyOf(claim), false])),
				volumes: bind.map(({ volume }) => volume.metadata.name),
				begun: false,
			};
			remove(key);
			waiting.set(key, entry);
			for (const { claim, volume } of bind) taken.set(volume.metadata.name, keyOf(claim));
			for (const claim of claims) byClaim.set(claim, (byClaim.get(claim) ?? new Set()).add(key));
			delays.set(key, BIND_TIMEOUT_MS);
			try {
				await Promise.all([
					...bind
						.filter(({ volume }) => !volume.spec.claimRef?.uid)
						.map(({ claim, volume }) => client.update(PersistentVolume, promise(volume, claim))),
					...provision
						.filter(({ metadata }) => metadata.annotations?.[SELECTED_NODE] !== node)
						.map(({ metadata }) =>
							client.patch(PersistentVolumeClaim, metadata, {
								type: 'merge',
								body: {
									metadata: {
										uid: metadata.uid,
										resourceVersion: metadata.resourceVersion,
										annotations: { [SELECTED_NODE]: node },
									},
								},
							}),
						),
				]);
			} catch (error) {
				if (waiting.get(key) === entry) remove(key);
				throw error;
			}
			entry.begun = true;
			check(key);
		},
		take: () => settled.splice(0),
		[Symbol.dispose]: () => subscriptions.dispose(),
	};
}

function lookOf(cache: Cache, isTaken: VolumeLook['isTaken']): VolumeLook {
	return {
		claim: (key) => cache.informer(PersistentVolumeClaim).get(key),
		volume: (name) => cache.informer(PersistentVolume).get(name),
		volumesFor: (claim) => cache.informer(PersistentVolume).by('claim', claim),
		freeOf: (storageClass) => cache.informer(PersistentVolume).by('free of class', storageClass),
		storageClass: (name) => cache.informer(StorageClass).get(name),
		podsOf: (claim) => cache.informer(Pod).by('claim', claim),
		isTaken,
	};
}
