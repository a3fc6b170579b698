/** Volumes that are directories of nodes: what is made for a claim, and what may be taken away. Pure. */
import { join } from 'node:path';
import type { NodeSelectorTerm } from 'kubernetes-types/core/v1.js';
import {
	CLONE_OF,
	classOf,
	compareQuantities,
	LOCAL_FINALIZER,
	LOCAL_PROVISIONER,
	type Node,
	type PersistentVolume,
	type PersistentVolumeClaim,
	type StorageClass,
	VOLUME_NODE,
	VOLUME_ROOT,
} from '../../kinds/index.ts';
import { PROVISIONED_BY, SELECTED_NODE, VOLUME_PROTECTION } from './annotations.ts';
import { capacityOf, isFor, requestOf } from './match.ts';
import { allows } from './topology.ts';

const HOSTNAME = 'kubernetes.io/hostname';

export type Provision =
	| { readonly do: 'make'; readonly volume: PersistentVolume }
	/** The claim cannot have its volume there: the scheduler is to choose another node. */
	| { readonly do: 'choose again'; readonly why: string }
	/** It cannot have one at all, or not yet. */
	| { readonly do: 'refuse'; readonly why: string };

/** What a volume is made from. */
export interface Surroundings {
	readonly storageClass: StorageClass;
	/** By name. */
	node(name: string): Node | undefined;
	nodes(): Iterable<Node>;
	/** How many volumes the node has. */
	volumesOn(node: string): number;
	/** A claim of the same namespace. */
	claim(name: string): PersistentVolumeClaim | undefined;
	volume(name: string): PersistentVolume | undefined;
}

/** One that is on a node cannot be on many. */
const MODES: readonly string[] = ['ReadWriteOnce', 'ReadWriteOncePod'];

export function planLocal(claim: PersistentVolumeClaim, around: Surroundings): Provision {
	const refuse = (why: string): Provision => ({ do: 'refuse', why });
	const { accessModes = [], selector, volumeMode = 'Filesystem', dataSourceRef } = claim.spec;
	const modes = accessModes.filter((mode) => !MODES.includes(mode));
	if (modes.length > 0)
		return refuse(`a volume on one node has no access mode ${modes.join(', ')}: use ${MODES.join(' or ')}`);
	if (volumeMode !== 'Filesystem') return refuse('a volume that is a directory has no volumeMode Block');
	if (selector) return refuse('claim Selector is not supported');

	const source = dataSourceRef && sourceOf(claim, around);
	if (typeof source === 'string') return refuse(source);
	const only = source?.metadata.annotations?.[VOLUME_NODE];
	const selected = claim.metadata.annotations?.[SELECTED_NODE];
	const name = selected ?? only ?? leastUsed(around);
	if (name === undefined) return refuse('no node has a place for local volumes');
	const why = unfit(around.node(name), name, around.storageClass, only);
	if (why !== undefined) return selected === undefined ? refuse(why) : { do: 'choose again', why };
	const node = around.node(name);
	return node ? { do: 'make', volume: volumeOf(claim, node, around.storageClass, source) } : refuse(why ?? '');
}

/** Why the node cannot have the volume. */
function unfit(
	node: Node | undefined,
	name: string,
	storageClass: StorageClass,
	only: string | undefined,
): string | undefined {
	if (!node) return `failed to get target node: nodes "${name}" not found`;
	if (!node.metadata.annotations?.[VOLUME_ROOT]) return `node "${name}" has no place for local volumes`;
	if (!allows(storageClass, node)) return `node "${name}" is in none of the topologies that the class allows`;
	if (only !== undefined && only !== name) return `what is to be copied is on node "${only}"`;
	return undefined;
}

/** The volume of which the claim's is to be a copy, or why there can be none. */
function sourceOf(claim: PersistentVolumeClaim, around: Surroundings): PersistentVolume | string {
	const { kind = '', name = '', apiGroup } = claim.spec.dataSourceRef ?? {};
	if (apiGroup || kind !== 'PersistentVolumeClaim') return `a local volume cannot be made of a ${kind}`;
	const source = around.claim(name);
	if (!source) return `error getting PVC ${name} from api server: persistentvolumeclaim "${name}" not found`;
	if (source.metadata.deletionTimestamp) return `the source PVC ${name} is being deleted`;
	const volume = source.spec.volumeName ? around.volume(source.spec.volumeName) : undefined;
	if (!volume || source.status?.phase !== 'Bound' || !isFor(volume, source))
		return `the source PVC ${name} is not bound`;
	if (volume.metadata.annotations?.[PROVISIONED_BY] !== LOCAL_PROVISIONER)
		return `the source PVC ${name} has no local volume`;
	if (classOf(source) !== classOf(claim))
		return `the source PVC and destination PVCs must be in the same storage class for cloning.  Source is in ${classOf(source) ?? ''}, but new PVC is in ${classOf(claim) ?? ''}`;
	if (compareQuantities(requestOf(claim), capacityOf(volume)) < 0)
		return `error, new PVC request must be greater than or equal in size to the specified PVC data source, requested ${requestOf(claim)} but source is ${capacityOf(volume)}`;
	return volume;
}

/** Of the nodes that can have it that with the fewest volumes; of equal ones the first by name. */
function leastUsed({ nodes, volumesOn, storageClass }: Surroundings): string | undefined {
	let best: { readonly name: string; readonly volumes: number } | undefined;
	for (const node of nodes()) {
		const { name } = node.metadata;
		const ready = node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
		if (!ready || node.spec.unschedulable || unfit(node, name, storageClass, undefined) !== undefined) continue;
		const volumes = volumesOn(name);
		if (!best || volumes < best.volumes || (volumes === best.volumes && name < best.name)) best = { name, volumes };
	}
	return best?.name;
}

/** The name follows from the claim: made a second time it is there already. */
export const volumeNameOf = ({ metadata }: PersistentVolumeClaim): string => `pvc-${metadata.uid}`;

function volumeOf(
	claim: PersistentVolumeClaim,
	node: Node,
	storageClass: StorageClass,
	source: PersistentVolume | undefined,
): PersistentVolume {
	const name = volumeNameOf(claim);
	const { namespace, name: claimName, uid, resourceVersion } = claim.metadata;
	const root = node.metadata.annotations?.[VOLUME_ROOT] ?? '';
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolume',
		metadata: {
			name,
			annotations: {
				[PROVISIONED_BY]: LOCAL_PROVISIONER,
				[VOLUME_NODE]: node.metadata.name,
				...(source && { [CLONE_OF]: source.metadata.name }),
			},
			finalizers: [VOLUME_PROTECTION, LOCAL_FINALIZER],
		},
		spec: {
			accessModes: claim.spec.accessModes,
			capacity: { storage: requestOf(claim) },
			claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: claimName, uid, resourceVersion },
			local: { path: join(root, name) },
			nodeAffinity: { required: { nodeSelectorTerms: [onlyOn(node)] } },
			persistentVolumeReclaimPolicy: storageClass.reclaimPolicy,
			storageClassName: storageClass.metadata.name,
			volumeMode: 'Filesystem',
		},
	};
}

/** By its host name, as other provisioners do; by its own name where it says none. */
function onlyOn({ metadata: { name, labels } }: Node): NodeSelectorTerm {
	const host = labels?.[HOSTNAME];
	return host === undefined
		? { matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }
		: { matchExpressions: [{ key: HOSTNAME, operator: 'In', values: [host] }] };
}

export type Removal =
	| { readonly do: 'nothing' }
	/** The volume is to be deleted: nobody has it, and its policy says so. */
	| { readonly do: 'delete' }
	/** The agent of its node is to remove the directory. */
	| { readonly do: 'remove data' }
	/** The volume goes; what its directory holds stays where it is, or is gone with its node. */
	| { readonly do: 'let go' };

/** Who may still need a volume. */
export interface Users {
	/** The claim that the volume names is there and has it. */
	readonly claimed: boolean;
	readonly attached: boolean;
	/** Copies that are not made yet. */
	readonly copied: boolean;
	readonly nodeExists: boolean;
}

/** What becomes of a local volume that nobody needs. */
export function planRemoval({ metadata, spec, status }: PersistentVolume, users: Users): Removal {
	const { deletionTimestamp, finalizers = [] } = metadata;
	const mayGo = !users.claimed && !users.attached && !users.copied;
	const deletes = spec.persistentVolumeReclaimPolicy === 'Delete';
	if (!deletionTimestamp)
		return deletes && mayGo && status?.phase === 'Released' ? { do: 'delete' } : { do: 'nothing' };
	if (!finalizers.includes(LOCAL_FINALIZER) || finalizers.includes(VOLUME_PROTECTION) || !mayGo)
		return { do: 'nothing' };
	return deletes && users.nodeExists ? { do: 'remove data' } : { do: 'let go' };
}
