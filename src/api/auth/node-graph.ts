/** Which objects the pods of a node need: what the authorizer of nodes looks at. Kept from the changes of pods. */
import type { Container, PodSpec } from 'kubernetes-types/core/v1.js';
import { VOLUME_NODE } from '../../kinds/core/local-volume.ts';
import { MIRROR_ANNOTATION } from '../../kinds/core/mirror-pod.ts';
import type { PersistentVolume } from '../../kinds/core/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../kinds/core/persistent-volume-claim.ts';
import type { Pod } from '../../kinds/core/pod.ts';
import type { VolumeAttachment } from '../../kinds/storage/volume-attachment.ts';
import type { WatchCache } from '../cache/cache.ts';

/** How the claims begin among what a pod needs. */
const CLAIMS = 'persistentvolumeclaims/';

export interface NodeGraph {
	/** Whether a pod of the node names the object. `resource` is secrets, configmaps, serviceaccounts or persistentvolumeclaims. */
	needs(node: string, resource: string, namespace: string, name: string): boolean;
	/** Whether the volume is that of a claim which a pod of the node names. */
	needsVolume(node: string, name: string): boolean;
	/** Whether a volume of such a claim names the secret. */
	needsForVolume(node: string, secret: string): boolean;
	/** Whether the attachment is one to the node. */
	isAttachment(node: string, name: string): boolean;
	/** Whether the volume is a directory of the node. */
	lies(node: string, name: string): boolean;
	/** Whose the pod is, as far as is known; `absent`: it is not there (any more). */
	ownerOf(node: string, namespace: string | undefined, name: string | undefined): 'itself' | 'another' | 'absent';
	/** Settles when the graph has every write acknowledged before the call. */
	fresh(): Promise<void>;
}

export function createNodeGraph(cache: WatchCache): NodeGraph {
	const pods = cache.of({ group: '', plural: 'pods' });
	const volumes = cache.of({ group: '', plural: 'persistentvolumes' });
	const claims = cache.of({ group: '', plural: 'persistentvolumeclaims' });
	const attachments = cache.of({ group: 'storage.k8s.io', plural: 'volumeattachments' });
	const volumeOf = (name: string) => volumes.get(name)?.object as PersistentVolume | undefined;
	/** By node, then by `secrets/namespace/name`: how many of its pods need it. */
	const needed = new Map<string, Map<string, number>>();
	/** How far the ring of the pods has been counted in; -1: nothing yet. */
	let counted = -1;

	const count = (pod: Pod | undefined, by: 1 | -1) => {
		const node = pod?.spec?.nodeName;
		// What only shows a static pod gives its node no rights: the node has made it itself.
		if (!node || pod.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined) return;
		const here = needed.get(node) ?? new Map<string, number>();
		for (const key of referencesOf(pod)) {
			const now = (here.get(key) ?? 0) + by;
			if (now > 0) here.set(key, now);
			else here.delete(key);
		}
		if (here.size > 0) needed.set(node, here);
		else needed.delete(node);
	};
	const catchUp = () => {
		const { ring } = pods;
		if (counted < ring.start) {
			needed.clear();
			for (const { object } of pods.list(undefined)) count(object as Pod, 1);
			counted = ring.end;
			return;
		}
		for (; counted < ring.end; counted++) {
			const change = ring.at(counted);
			count(change?.old?.object as Pod | undefined, -1);
			count(change?.stored?.object as Pod | undefined, 1);
		}
	};
	const needs: NodeGraph['needs'] = (node, resource, namespace, name) => {
		catchUp();
		return needed.get(node)?.has(`${resource}/${namespace}/${name}`) ?? false;
	};
	return {
		needs,
		needsVolume(node, name) {
			const { namespace, name: claim } = volumeOf(name)?.spec.claimRef ?? {};
			return namespace !== undefined && claim !== undefined && needs(node, 'persistentvolumeclaims', namespace, claim);
		},
		needsForVolume(node, secret) {
			catchUp();
			for (const reference of needed.get(node)?.keys() ?? []) {
				if (!reference.startsWith(CLAIMS)) continue;
				const claim = claims.get(reference.slice(CLAIMS.length))?.object as PersistentVolumeClaim | undefined;
				const csi = volumeOf(claim?.spec.volumeName ?? '')?.spec.csi;
				const names = [csi?.nodeStageSecretRef, csi?.nodePublishSecretRef, csi?.nodeExpandSecretRef];
				if (names.some((one) => one && `${one.namespace}/${one.name}` === secret)) return true;
			}
			return false;
		},
		isAttachment: (node, name) =>
			(attachments.get(name)?.object as VolumeAttachment | undefined)?.spec.nodeName === node,
		lies: (node, name) => volumeOf(name)?.metadata.annotations?.[VOLUME_NODE] === node,
		ownerOf(node, namespace, name) {
			const pod = pods.get(`${namespace}/${name}`)?.object as Pod | undefined;
			if (!pod) return 'absent';
			return pod.spec.nodeName === node ? 'itself' : 'another';
		},
		fresh: () => cache.fresh(),
	};
}

/** What a pod needs of its namespace to run: `secrets/default/login`. */
function referencesOf({ metadata, spec }: Pod): ReadonlySet<string> {
	const found = new Set<string>();
	const add = (resource: string, name: string | undefined) => {
		if (name) found.add(`${resource}/${metadata.namespace}/${name}`);
	};
	add('serviceaccounts', spec.serviceAccountName);
	for (const { name } of spec.imagePullSecrets ?? []) add('secrets', name);
	for (const volume of spec.volumes ?? []) {
		add('secrets', volume.secret?.secretName);
		add('secrets', volume.csi?.nodePublishSecretRef?.name);
		add('configmaps', volume.configMap?.name);
		add('persistentvolumeclaims', volume.persistentVolumeClaim?.claimName);
		// The claim that is made for a volume of the pod's own.
		if (volume.ephemeral) add('persistentvolumeclaims', `${metadata.name}-${volume.name}`);
		for (const source of volume.projected?.sources ?? []) {
			add('secrets', source.secret?.name);
			add('configmaps', source.configMap?.name);
		}
	}
	for (const { env = [], envFrom = [] } of containersOf(spec)) {
		for (const { valueFrom } of env) {
			add('secrets', valueFrom?.secretKeyRef?.name);
			add('configmaps', valueFrom?.configMapKeyRef?.name);
		}
		for (const { secretRef, configMapRef } of envFrom) {
			add('secrets', secretRef?.name);
			add('configmaps', configMapRef?.name);
		}
	}
	return found;
}

const containersOf = (spec: PodSpec): readonly Pick<Container, 'env' | 'envFrom'>[] => [
	...(spec.initContainers ?? []),
	...spec.containers,
	...(spec.ephemeralContainers ?? []),
];
