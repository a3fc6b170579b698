/** Why a claim waits, for those who ask: the same decision as the controllers', without the writes. */

import type { Cache } from '../../client/informer.ts';
import { classOf, keyOf, LOCAL_PROVISIONER, PersistentVolumeClaim, StorageClass } from '../../kinds/index.ts';
import { viewOf } from './claim-binder.ts';
import { planClaim } from './claim-plan.ts';
import { freeVolumes, podsByClaim, volumesByClaim } from './indexes.ts';
import { planLocal } from './local-plan.ts';
import { surroundingsOf, volumesByNode } from './local-provisioner.ts';

/** What who asks must have indexed. */
export const troubleIndexes = [volumesByClaim, freeVolumes, podsByClaim, volumesByNode];

/** In one line; undefined where the claim has its volume, or gets it. */
export function claimTrouble(claim: PersistentVolumeClaim, cache: Cache): string | undefined {
	const step = planClaim(claim, viewOf(cache));
	if (step.do === 'bind' || step.do === 'name class') return undefined;
	if (step.do !== 'make') return step.say?.message;
	const storageClass = cache.informer(StorageClass).get(classOf(claim) ?? '');
	if (!storageClass || step.provisioner !== LOCAL_PROVISIONER) return undefined;
	const made = planLocal(claim, surroundingsOf(claim, storageClass, cache));
	return made.do === 'make' ? undefined : made.why;
}

/** The claim as the cache has it now. */
export const claimTroubleOf = (
	object: { metadata: { name: string; namespace?: string } },
	cache: Cache,
): string | undefined => {
	const claim = cache.informer(PersistentVolumeClaim).get(keyOf(object));
	return claim && claimTrouble(claim, cache);
};
