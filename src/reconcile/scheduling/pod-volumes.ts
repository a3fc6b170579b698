/**
 * The claims of a pod, as they decide where it runs: which nodes its volumes let it run on, which volumes its other claims would get there,
 * and which would be made there. Pure. Source: Kubernetes documentation, "Storage Classes", Volume Binding Mode; design proposal
 * "Topology-aware volume scheduling".
 */
import {
	classOf,
	type Key,
	keyOf,
	LOCAL_PROVISIONER,
	type Node,
	type PersistentVolume,
	type PersistentVolumeClaim,
	type Pod,
	type StorageClass,
	VOLUME_NODE,
	VOLUME_ROOT,
} from '../../kinds/index.ts';
import { BIND_COMPLETED, SELECTED_NODE } from '../volumes/annotations.ts';
import { NO_PROVISIONER } from '../volumes/claim-plan.ts';
import { isFor, reserved, smallest } from '../volumes/match.ts';
import { claimsOf, isMadeFor } from '../volumes/pod-claims.ts';
import { allows, isReachableFrom } from '../volumes/topology.ts';

/** What the scheduler knows of volumes. */
export interface VolumeLook {
	claim(key: Key): PersistentVolumeClaim | undefined;
	volume(name: string): PersistentVolume | undefined;
	/** Volumes that name the claim. */
	volumesFor(claim: Key): Iterable<PersistentVolume>;
	/** Volumes of a class that name no claim. */
	freeOf(storageClass: string): Iterable<PersistentVolume>;
	storageClass(name: string): StorageClass | undefined;
	/** Pods that name the claim. */
	podsOf(claim: Key): Iterable<Pod>;
	/** Whether a decision has given the volume to another claim already. */
	isTaken(volume: string, by: Key): boolean;
}

/** Where there are no volumes. */
export const noVolumes: VolumeLook = {
	claim: () => undefined,
	volume: () => undefined,
	volumesFor: () => [],
	freeOf: () => [],
	storageClass: () => undefined,
	podsOf: () => [],
	isTaken: () => false,
};

/** The claims of a pod that fit somewhere. */
export interface PodVolumes {
	/** Volumes that it has. */
	readonly bound: readonly PersistentVolume[];
	/** Claims whose volumes are chosen with the node. */
	readonly late: readonly LateClaim[];
}

interface LateClaim {
	readonly claim: PersistentVolumeClaim;
	readonly storageClass: StorageClass;
}

/** What is to be written before the pod may go to a node. */
export interface VolumePlan {
	readonly bind: readonly { readonly claim: PersistentVolumeClaim; readonly volume: PersistentVolume }[];
	readonly provision: readonly PersistentVolumeClaim[];
}

/** Whether the claim has its volume for good. */
export const isBound = ({ metadata, spec }: PersistentVolumeClaim): boolean =>
	Boolean(spec.volumeName) && metadata.annotations?.[BIND_COMPLETED] !== undefined;

/** The claims of the pod; a text where it fits nowhere because of them, in Kubernetes' words; undefined where it has none. */
export function podVolumes(pod: Pod, look: VolumeLook): PodVolumes | string | undefined {
	const wanted = claimsOf(pod);
	if (wanted.length === 0) return undefined;
	const bound: PersistentVolume[] = [];
	const late: LateClaim[] = [];
	for (const { name, ephemeral } of wanted) {
		const claim = look.claim(claimKey(pod, name));
		if (!claim)
			return ephemeral
				? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`
				: `persistentvolumeclaim "${name}" not found`;
		if (claim.metadata.deletionTimestamp) return `persistentvolumeclaim "${name}" is being deleted`;
		if (ephemeral && !isMadeFor(claim, pod))
			return `PVC ${keyOf(claim)} was not created for pod ${keyOf(pod)} (pod is not owner)`;
		const { volumeName = '' } = claim.spec;
		if (claim.status?.phase === 'Lost')
			return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${volumeName}"`;
		const storageClass = look.storageClass(classOf(claim) ?? '');
		if (isBound(claim)) {
			const volume = look.volume(volumeName);
			if (!volume) return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${volumeName}"`;
			bound.push(volume);
		} else if (storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && !volumeName)
			late.push({ claim, storageClass });
		else return 'pod has unbound immediate PersistentVolumeClaims';
	}
	return { bound, late };
}

const CONFLICT = 'node(s) had volume node affinity conflict';
const NONE = "node(s) didn't find available persistent volumes to bind";

/** What the pod's claims need on the node; the reasons where they can have none of it there. */
export function volumesOn({ bound, late }: PodVolumes, node: Node, look: VolumeLook): VolumePlan | readonly string[] {
	if (bound.some((volume) => !isReachableFrom(volume, node))) return [CONFLICT];
	const bind: { claim: PersistentVolumeClaim; volume: PersistentVolume }[] = [];
	const provision: PersistentVolumeClaim[] = [];
	const taken = new Set<string>();
	for (const { claim, storageClass } of late) {
		const key = keyOf(claim);
		const promised = reserved(look.volumesFor(key), claim);
		const fits = (volume: PersistentVolume) =>
			isReachableFrom(volume, node) && !taken.has(volume.metadata.name) && !look.isTaken(volume.metadata.name, key);
		const volume = promised
			? isReachableFrom(promised, node)
				? promised
				: undefined
			: smallest(look.freeOf(storageClass.metadata.name), claim, fits);
		if (volume) {
			taken.add(volume.metadata.name);
			bind.push({ claim, volume });
		} else if (promised || !canProvision(claim, storageClass, node, look)) return [promised ? CONFLICT : NONE];
		else provision.push(claim);
	}
	return { bind, provision };
}

/** Whether a volume for the claim can be made for pods on the node. */
function canProvision(claim: PersistentVolumeClaim, storageClass: StorageClass, node: Node, look: VolumeLook): boolean {
	const selected = claim.metadata.annotations?.[SELECTED_NODE];
	if (selected !== undefined && selected !== node.metadata.name) return false;
	if (storageClass.provisioner === NO_PROVISIONER || !allows(storageClass, node)) return false;
	if (storageClass.provisioner !== LOCAL_PROVISIONER) return true;
	if (node.metadata.annotations?.[VOLUME_ROOT] === undefined) return false;
	// A copy is made where what it copies is.
	const { kind, name } = claim.spec.dataSourceRef ?? {};
	if (kind !== 'PersistentVolumeClaim' || !name) return true;
	const source = look.claim(keyOf({ metadata: { namespace: claim.metadata.namespace ?? '', name } }));
	const at = look.volume(source?.spec.volumeName ?? '')?.metadata.annotations?.[VOLUME_NODE];
	return at === undefined || at === node.metadata.name;
}

/** What is not done of a plan; undefined where all claims have volumes that the node reaches. Throws where it cannot be done any more. */
export function pending(claims: readonly Key[], node: Node, look: VolumeLook): boolean {
	return claims.some((key) => {
		const claim = look.claim(key);
		if (!claim || claim.metadata.deletionTimestamp) throw new Error(`PVC "${key}" is gone`);
		if (!isBound(claim)) return true;
		const volume = look.volume(claim.spec.volumeName ?? '');
		// It may be late to be seen.
		if (!volume || !isFor(volume, claim)) return true;
		if (!isReachableFrom(volume, node))
			throw new Error(`pv "${volume.metadata.name}" node affinity doesn't match node "${node.metadata.name}"`);
		return false;
	});
}

export const claimKey = (pod: Pod, name: string): Key =>
	keyOf({ metadata: { namespace: pod.metadata.namespace ?? '', name } });
