/** How a claim gets more than it had: a pure decision. Source: Kubernetes documentation, "Persistent Volumes", Expanding Persistent Volumes Claims. */
import {
	compareQuantities,
	LOCAL_PROVISIONER,
	type PersistentVolume,
	type PersistentVolumeClaim,
	quantity,
	SIZE_LIMIT,
} from '../../kinds/index.ts';
import { PROVISIONED_BY } from './annotations.ts';
import { capacityOf, isFor, requestOf } from './match.ts';

export type Expansion =
	| { readonly do: 'nothing' }
	/** Somebody else makes such volumes larger. */
	| { readonly do: 'leave' }
	/** The volume is to be so large. */
	| { readonly do: 'enlarge'; readonly to: string }
	/** Its node holds it to another size still. */
	| { readonly do: 'wait' }
	/** The claim has so much. */
	| { readonly do: 'finish'; readonly capacity: string };

export function planExpansion(claim: PersistentVolumeClaim, volume: PersistentVolume | undefined): Expansion {
	const has = claim.status?.capacity?.storage;
	if (claim.status?.phase !== 'Bound' || has === undefined || !volume || !isFor(volume, claim))
		return { do: 'nothing' };
	const wanted = requestOf(claim);
	const capacity = capacityOf(volume);
	const isLarger = compareQuantities(capacity, has) > 0;
	if (compareQuantities(wanted, has) <= 0 && !isLarger) return { do: 'nothing' };
	if (volume.metadata.annotations?.[PROVISIONED_BY] !== LOCAL_PROVISIONER) return { do: 'leave' };
	if (compareQuantities(capacity, wanted) < 0) return { do: 'enlarge', to: wanted };
	return isHeldTo(volume, capacity) ? { do: 'finish', capacity } : { do: 'wait' };
}

/** Whether the directory has the size, or none at all, or is not made yet and will have it. */
function isHeldTo({ metadata }: PersistentVolume, capacity: string): boolean {
	const limit = metadata.annotations?.[SIZE_LIMIT];
	return limit === undefined || limit.startsWith('none') || limit === String(Math.floor(quantity(capacity)));
}
