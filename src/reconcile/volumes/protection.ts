/**
 * Keeps claims that pods use, and volumes that claims have: a delete of either is done once that is over. Data is at stake: that no pod
 * uses a claim is asked of the API itself. Source: Kubernetes documentation, "Persistent Volumes", Storage Object in Use Protection.
 */
import { type Kind, type KubeObject, keyOf, PersistentVolume, PersistentVolumeClaim, Pod } from '../../kinds/index.ts';
import { type Context, controller, watch } from '../runtime/controller.ts';
import { unlessGone } from '../runtime/refusal.ts';
import { CLAIM_PROTECTION, VOLUME_PROTECTION } from './annotations.ts';
import { podsByClaim } from './indexes.ts';
import { claimKeysOf, claimsOf, isMadeFor } from './pod-claims.ts';

/** Whether the pod uses the claim: once it has a node, since the agent starts none with a claim that is being deleted. */
export function uses(pod: Pod, claim: PersistentVolumeClaim): boolean {
	if (!pod.spec.nodeName || pod.metadata.namespace !== claim.metadata.namespace) return false;
	return claimsOf(pod).some(
		({ name, ephemeral }) =>
			name === claim.metadata.name && (!ephemeral || (isMadeFor(claim, pod) && !isShutDown(pod))),
	);
}

/** Whether none of its containers runs any more, nor will. */
function isShutDown({ metadata, status }: Pod): boolean {
	const phase = status?.phase;
	if (phase === 'Succeeded' || phase === 'Failed') return true;
	return metadata.deletionTimestamp !== undefined && metadata.deletionGracePeriodSeconds === 0;
}

export const claimProtection = controller<PersistentVolumeClaim>({
	name: 'persistentvolumeclaim-protection',
	for: PersistentVolumeClaim,
	watches: [
		watch(Pod, (pod) => claimKeysOf(pod), {
			part: (pod) => [pod.spec.nodeName, isShutDown(pod)],
		}),
	],
	indexes: [podsByClaim],
	async reconcile(key, context) {
		const claim = context.cache.informer(PersistentVolumeClaim).get(key);
		if (!claim) return undefined;
		await protect(PersistentVolumeClaim, claim, CLAIM_PROTECTION, () => isUsed(claim, context), context);
		return undefined;
	},
});

async function isUsed(claim: PersistentVolumeClaim, { cache, client }: Context): Promise<boolean> {
	for (const pod of cache.informer(Pod).by('claim', keyOf(claim))) if (uses(pod, claim)) return true;
	const { items } = await client.list(Pod, { namespace: claim.metadata.namespace });
	return items.some((pod) => uses(pod, claim));
}

export const volumeProtection = controller<PersistentVolume>({
	name: 'persistentvolume-protection',
	for: PersistentVolume,
	async reconcile(key, context) {
		const volume = context.cache.informer(PersistentVolume).get(key);
		if (!volume) return undefined;
		await protect(PersistentVolume, volume, VOLUME_PROTECTION, () => volume.status?.phase === 'Bound', context);
		return undefined;
	},
});

/** Puts the finalizer on, or takes it off what is being deleted and not used. */
async function protect<T extends KubeObject>(
	kind: Kind<T>,
	object: T,
	finalizer: string,
	inUse: () => boolean | Promise<boolean>,
	{ client }: Context,
): Promise<void> {
	const { finalizers = [], deletionTimestamp } = object.metadata;
	const held = finalizers.includes(finalizer);
	if (deletionTimestamp ? !held || (await inUse()) : held) return;
	const wanted = deletionTimestamp ? finalizers.filter((each) => each !== finalizer) : [...finalizers, finalizer];
	await unlessGone(client.update(kind, { ...object, metadata: { ...object.metadata, finalizers: wanted } }));
}
