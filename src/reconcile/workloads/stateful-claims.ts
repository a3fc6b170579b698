/**
 * The claims of a StatefulSet's pods, which outlive the pods, and the set too unless their policy says otherwise.
 * Source: Kubernetes documentation, "StatefulSets", section "PersistentVolumeClaim retention".
 */
import { type OwnerReference, PersistentVolumeClaim, Pod, StatefulSet } from '../../kinds/index.ts';
import { controllerOf, controllerReference } from '../runtime/claim.ts';
import { claimName, podName } from './stateful-pods.ts';

/** The claims of an ordinal, as they are made. */
export function claimsOf(set: StatefulSet, ordinal: number): PersistentVolumeClaim[] {
	return (set.spec.volumeClaimTemplates ?? []).map(({ metadata, spec }) => ({
		apiVersion: 'v1',
		kind: PersistentVolumeClaim.kind,
		metadata: {
			name: claimName(set, metadata?.name ?? '', ordinal),
			namespace: set.metadata.namespace,
			labels: { ...metadata?.labels, ...set.spec.selector.matchLabels },
			annotations: metadata?.annotations,
		},
		spec: spec ?? {},
	}));
}

/**
 * The owners that a claim is to have, as the policy says: the set where it goes with the set, the pod where it goes with a pod that is
 * scaled away. Undefined where they are so already, or somebody else controls the claim.
 */
export function ownersOf(
	set: StatefulSet,
	claim: PersistentVolumeClaim,
	ordinal: number,
	pod: Pod | undefined,
	surplus: boolean,
): readonly OwnerReference[] | undefined {
	const { whenDeleted, whenScaled } = set.spec.persistentVolumeClaimRetentionPolicy ?? {};
	const owners = claim.metadata.ownerReferences ?? [];
	const isOwn = ({ kind, name, uid }: OwnerReference) =>
		(kind === StatefulSet.kind && uid === set.metadata.uid) || (kind === Pod.kind && name === podName(set, ordinal));
	const controller = controllerOf(claim);
	if (controller && !isOwn(controller)) return undefined;
	const wanted =
		surplus && whenScaled === 'Delete'
			? pod && controllerReference(Pod, pod)
			: whenDeleted === 'Delete' && !(surplus && whenScaled === 'Delete')
				? controllerReference(StatefulSet, set)
				: undefined;
	const own = owners.filter(isOwn);
	const same = wanted ? own.length === 1 && own[0]?.uid === wanted.uid && own[0].controller : own.length === 0;
	return same ? undefined : [...owners.filter((owner) => !isOwn(owner)), ...(wanted ? [wanted] : [])];
}

/** Whether the claim goes with a pod that was scaled away: its ordinal waits until it has gone. */
export function isLeaving(
	set: StatefulSet,
	claim: PersistentVolumeClaim,
	ordinal: number,
	pod: Pod | undefined,
): boolean {
	return (
		claim.metadata.ownerReferences?.some(
			({ kind, name, uid }) => kind === Pod.kind && name === podName(set, ordinal) && uid !== pod?.metadata.uid,
		) ?? false
	);
}
