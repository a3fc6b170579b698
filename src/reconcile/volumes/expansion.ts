/** Makes volumes larger whose claims ask for it, and tells the claims how far that has come. */
import type { PersistentVolumeClaimCondition } from 'kubernetes-types/core/v1.js';
import { keyOf, PersistentVolume, PersistentVolumeClaim, timestamp } from '../../kinds/index.ts';
import { conditionOf, withCondition, withoutCondition } from '../runtime/conditions.ts';
import { type Context, controller, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { planExpansion } from './expansion-plan.ts';
import { claimKeyOf } from './match.ts';

const WAITS = 'Waiting for user to (re-)start a pod to finish file system resize of volume on node.';
const RESIZING = 'Resizing';
const PENDING = 'FileSystemResizePending';

export const volumeExpansion = controller<PersistentVolumeClaim>({
	name: 'volume-expansion',
	component: 'volume_expand',
	for: PersistentVolumeClaim,
	watches: [
		watch(PersistentVolume, (volume) => [claimKeyOf(volume) ?? []].flat(), {
			part: ({ metadata, spec }) => [metadata.annotations, spec.capacity],
		}),
	],
	async reconcile(key, context) {
		const { cache, client, events } = context;
		const claim = cache.informer(PersistentVolumeClaim).get(key);
		if (!claim?.spec.volumeName) return undefined;
		const volume = cache.informer(PersistentVolume).get(claim.spec.volumeName);
		const step = planExpansion(claim, volume);
		switch (step.do) {
			case 'leave':
				events.event(claim, 'Normal', 'ExternalExpanding', 'waiting for an external controller to expand this PVC');
				break;
			case 'enlarge':
				if (!volume) break;
				await withConditions(claim, RESIZING, undefined, context);
				events.event(claim, 'Normal', 'Resizing', `resizing volume ${volume.metadata.name}`);
				await client.update(PersistentVolume, {
					...volume,
					spec: { ...volume.spec, capacity: { ...volume.spec.capacity, storage: step.to } },
				});
				break;
			case 'wait':
				await withConditions(claim, PENDING, WAITS, context);
				break;
			case 'finish': {
				const { conditions, ...before } = claim.status ?? {};
				const left = withoutCondition(withoutCondition(conditions, RESIZING), PENDING);
				const status = {
					...before,
					...(left.length > 0 && { conditions: [...left] }),
					capacity: { ...before.capacity, storage: step.capacity },
				};
				await client.update(PersistentVolumeClaim, { ...claim, status }, { subresource: 'status' });
				events.event(
					claim,
					'Normal',
					'FileSystemResizeSuccessful',
					`volume ${volume?.metadata.name} of ${keyOf(claim)} has ${step.capacity}`,
				);
			}
		}
		return undefined;
	},
});

/** The claim says how far it is: one of both conditions, and not the other. */
async function withConditions(
	claim: PersistentVolumeClaim,
	type: typeof RESIZING | typeof PENDING,
	message: string | undefined,
	{ client, now }: Context,
): Promise<void> {
	const { conditions } = claim.status ?? {};
	const other = type === RESIZING ? PENDING : RESIZING;
	const next: PersistentVolumeClaimCondition = {
		type,
		status: 'True',
		lastTransitionTime: timestamp(now()),
		...(message && { message }),
	};
	const wanted = withCondition(withoutCondition(conditions, other), next);
	if (conditionOf(conditions, type)?.status === 'True' && sameJson(wanted, conditions)) return;
	await client.update(
		PersistentVolumeClaim,
		{ ...claim, status: { ...claim.status, conditions: [...wanted] } },
		{ subresource: 'status' },
	);
}
