/**
 * The phase of each volume, and what becomes of one whose claim is gone. Data is at stake: that a claim is gone is asked of the API
 * itself, and what may be lost by it is done by whoever has made the volume, once it is released.
 * Source: Kubernetes documentation, "Persistent Volumes", Reclaiming.
 */
import { PersistentVolume, PersistentVolumeClaim, splitKey, timestamp } from '../../kinds/index.ts';
import { type Context, controller, watch } from '../runtime/controller.ts';
import { unlessGone } from '../runtime/refusal.ts';
import { PROVISIONED_BY } from './annotations.ts';
import { COMPONENT } from './claim-binder.ts';
import { claimsByVolume, volumesByClaim } from './indexes.ts';
import { claimKeyOf } from './match.ts';
import { parted, planVolume, reclaimOf } from './volume-plan.ts';

export const volumeBinder = controller<PersistentVolume>({
	name: 'persistentvolume-binder',
	component: COMPONENT,
	for: PersistentVolume,
	watches: [
		watch(PersistentVolumeClaim, function* (claim, cache) {
			if (claim.spec.volumeName) yield claim.spec.volumeName;
			const key = `${claim.metadata.namespace}/${claim.metadata.name}`;
			for (const { metadata } of cache.informer(PersistentVolume).by('claim', key)) yield metadata.name;
		}),
	],
	indexes: [volumesByClaim, claimsByVolume],
	async reconcile(key, context) {
		const { cache, client } = context;
		const volume = cache.informer(PersistentVolume).get(key);
		if (!volume) return undefined;
		const claimKey = claimKeyOf(volume);
		const claim = claimKey === undefined ? undefined : cache.informer(PersistentVolumeClaim).get(claimKey);
		let step = planVolume(volume, claim);
		// The copy of the claims may be older than that of the volumes.
		if (step.do === 'release' && claimKey !== undefined)
			step = planVolume(volume, await unlessGone(client.get(PersistentVolumeClaim, splitKey(claimKey))));
		switch (step.do) {
			case 'phase':
				await withPhase(volume, step.phase, context);
				break;
			case 'part':
				await client.update(PersistentVolume, parted(volume));
				break;
			case 'release':
				await release(volume, context);
		}
		return undefined;
	},
});

async function release(volume: PersistentVolume, context: Context): Promise<void> {
	const { phase } = volume.status ?? {};
	const released = phase === 'Released' || phase === 'Failed' ? volume : await withPhase(volume, 'Released', context);
	const made = volume.metadata.annotations?.[PROVISIONED_BY] !== undefined;
	// What was made for a claim is taken away by its maker; what becomes of the others depends on what they are.
	if (phase === 'Failed' || volume.metadata.deletionTimestamp || made) return;
	if (reclaimOf(volume) !== 'delete') return;
	const message = `error getting deleter volume plugin for volume "${volume.metadata.name}": no deletable volume plugin matched`;
	context.events.event(volume, 'Warning', 'VolumeFailedDelete', message);
	await withPhase(released, 'Failed', context, message);
}

/** Writes the phase where it is another. */
export async function withPhase(
	volume: PersistentVolume,
	phase: string,
	{ client, now }: Pick<Context, 'client' | 'now'>,
	message?: string,
): Promise<PersistentVolume> {
	if (volume.status?.phase === phase && volume.status.message === message) return volume;
	const lastPhaseTransitionTime = timestamp(now());
	const status = { phase, lastPhaseTransitionTime, ...(message && { message }) };
	return client.update(PersistentVolume, { ...volume, status }, { subresource: 'status' });
}
