/** Claims, volumes and classes for tests: whole, and short to write. */
import type { PersistentVolumeClaimSpec, PersistentVolumeSpec } from 'kubernetes-types/core/v1.js';
import {
	LOCAL_PROVISIONER,
	Node,
	type PersistentVolume,
	type PersistentVolumeClaim,
	type StorageClass,
	VOLUME_ROOT,
} from '../../src/kinds/index.ts';
import type { World } from '../client/world.ts';

interface Shape<Spec, Status> {
	size?: string;
	class?: string;
	labels?: Record<string, string>;
	annotations?: Record<string, string>;
	finalizers?: string[];
	going?: boolean;
	uid?: string;
	spec?: Partial<Spec>;
	status?: Status;
}

export type ClaimShape = Shape<PersistentVolumeClaimSpec, PersistentVolumeClaim['status']>;
export type VolumeShape = Shape<PersistentVolumeSpec, PersistentVolume['status']>;

const metadataOf = (name: string, shape: ClaimShape | VolumeShape) => ({
	name,
	...(shape.labels && { labels: shape.labels }),
	...(shape.annotations && { annotations: shape.annotations }),
	...(shape.finalizers && { finalizers: shape.finalizers }),
	...(shape.uid && { uid: shape.uid }),
	...(shape.going && { deletionTimestamp: '2030-01-01T00:00:00Z' }),
});

export const claim = (name: string, shape: ClaimShape = {}): PersistentVolumeClaim => ({
	apiVersion: 'v1',
	kind: 'PersistentVolumeClaim',
	metadata: { ...metadataOf(name, shape), namespace: 'default' },
	spec: {
		accessModes: ['ReadWriteOnce'],
		resources: { requests: { storage: shape.size ?? '1Gi' } },
		...(shape.class !== undefined && { storageClassName: shape.class }),
		...shape.spec,
	},
	...(shape.status && { status: shape.status }),
});

export const volume = (name: string, shape: VolumeShape = {}): PersistentVolume => ({
	apiVersion: 'v1',
	kind: 'PersistentVolume',
	metadata: metadataOf(name, shape),
	spec: {
		accessModes: ['ReadWriteOnce'],
		capacity: { storage: shape.size ?? '1Gi' },
		persistentVolumeReclaimPolicy: 'Retain',
		...(shape.class !== undefined && { storageClassName: shape.class }),
		hostPath: { path: `/srv/${name}` },
		...shape.spec,
	},
	...(shape.status && { status: shape.status }),
});

/** A volume that is nobody's. */
export const free = (name: string, shape: VolumeShape = {}) =>
	volume(name, { status: { phase: 'Available' }, ...shape });

export const storageClass = (name: string, more: Partial<StorageClass> = {}): StorageClass => ({
	apiVersion: 'storage.k8s.io/v1',
	kind: 'StorageClass',
	metadata: { name },
	provisioner: LOCAL_PROVISIONER,
	reclaimPolicy: 'Delete',
	volumeBindingMode: 'WaitForFirstConsumer',
	...more,
});

/** A node that is ready and has room for pods, and, unless it is told otherwise, for volumes. */
export async function addNode(
	{ client }: Pick<World, 'client'>,
	name: string,
	root: string | undefined = '/data/volumes',
) {
	await client.create(Node, {
		apiVersion: 'v1',
		kind: 'Node',
		metadata: {
			name,
			labels: { 'kubernetes.io/hostname': name },
			...(root && { annotations: { [VOLUME_ROOT]: root } }),
		},
		spec: {},
	});
	const capacity = { cpu: '4', memory: '8Gi', pods: '110' };
	const status = { capacity, allocatable: capacity, conditions: [{ type: 'Ready', status: 'True' }] };
	await client.patch(Node, { name }, { type: 'strategic', body: { status } }, { subresource: 'status' });
}
