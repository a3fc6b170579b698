/** delete: at once, after a grace period, or after finalizers. */

import { type Kind, storageOf } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import { conflict, notFound } from '../../kinds/status.ts';
import type { Caller, DeleteOptions, Stored, Target } from '../api.ts';
import { copy } from '../json.ts';
import type { StoredObject } from '../storage.ts';
import { type Asked, mayWait, mutate, validate } from './admission.ts';
import type { Beside } from './beside.ts';
import { placeOf, unstored } from './commit.ts';
import { type Context, timestamp } from './context.ts';
import { modify, type Outcome } from './modify.ts';
import { untyped } from './read.ts';
import { served } from './versions.ts';

const orphan = 'orphan';
const foreground = 'foregroundDeletion';

/** What goes with a delete in its commit. */
export interface Along {
	/** What else changes; asked with the state that is deleted. Throws an ApiError to refuse. */
	beside(current: StoredObject): Promise<readonly Beside[]>;
	/** What is written at an object that stays for a while, in place. */
	mark(object: Dynamic): void;
}

export async function remove<T extends KubeObject>(
	context: Context,
	target: Target<T>,
	options: DeleteOptions,
	caller: Caller,
	along?: Along,
): Promise<{ readonly stored: Stored<T>; readonly gone: boolean }> {
	const requested = untyped(target.kind);
	const kind = storageOf(requested);
	// A dry run decides alike and writes nothing: what it would have come to.
	let dry: { readonly stored: StoredObject; readonly gone: boolean } | undefined;
	const apart = mayWait(context, { operation: 'DELETE', kind });
	const result = await modify(context, placeOf(kind, target), { caller, apart }, async (current): Promise<Outcome> => {
		dry = undefined;
		if (!current) throw notFound(kind, target.name);
		checkPreconditions(kind, target.name, current, options);
		const asked: Asked = {
			operation: 'DELETE',
			kind,
			requested,
			namespace: target.namespace,
			name: target.name,
			old: current.object,
			caller,
			dryRun: options.dryRun === true,
		};
		await mutate(context, asked);
		await validate(context, asked);
		const plan = planDeletion(kind, current.object as Dynamic, options, context.now());
		const beside = await along?.beside(current);
		if (plan === 'remove') {
			if (!options.dryRun) return { do: 'remove', beside };
			dry = { stored: current, gone: true };
			return { do: 'keep', stored: current };
		}
		if (plan === 'keep') return { do: 'keep', stored: current };
		along?.mark(plan);
		return options.dryRun ? { do: 'keep', stored: unstored(plan, current) } : { do: 'put', object: plan, beside };
	});
	const { stored, gone } = dry ?? result;
	return { stored: served(target.kind, stored), gone };
}

function checkPreconditions(kind: Kind, name: string, current: StoredObject, { preconditions }: DeleteOptions): void {
	const { uid } = current.object.metadata;
	if (preconditions?.uid && preconditions.uid !== uid)
		throw conflict(
			kind,
			name,
			`Precondition failed: UID in precondition: ${preconditions.uid}, UID in object meta: ${uid}`,
		);
	const wanted = preconditions?.resourceVersion;
	if (wanted && wanted !== String(current.revision))
		throw conflict(
			kind,
			name,
			`Precondition failed: ResourceVersion in precondition: ${wanted}, ResourceVersion in object meta: ${current.revision}`,
		);
}

/** Seconds, about 68 years: its end can still be written as a time. */
const LONGEST_GRACE = 2 ** 31 - 1;

/**
 * What a delete makes of an object: `remove` it now, `keep` it as it is (it is on its way already), or the object marked
 * as being deleted. Pure.
 */
export function planDeletion(
	kind: Kind,
	object: Dynamic,
	options: DeleteOptions,
	now: number,
): 'remove' | 'keep' | Dynamic {
	const { metadata } = object;
	const finalizers = finalizersFor(kind, metadata.finalizers ?? [], options.propagationPolicy);
	const grace = Math.min(kind.gracePeriod(object, options.gracePeriodSeconds), LONGEST_GRACE);
	const held = finalizers.length > 0 || kind.holds(object);
	if (grace === 0 && !held) return 'remove';

	const next = copy(object);
	if (finalizers.length > 0) next.metadata.finalizers = [...finalizers];
	else delete next.metadata.finalizers;
	const sameFinalizers = finalizers.join() === (metadata.finalizers ?? []).join();
	if (metadata.deletionTimestamp) {
		// A second delete may shorten the grace period, never lengthen it.
		const before = metadata.deletionGracePeriodSeconds ?? 0;
		if (grace >= before) return sameFinalizers ? 'keep' : next;
		const requested = Date.parse(metadata.deletionTimestamp) - before * 1000;
		next.metadata.deletionTimestamp = timestamp(Math.max(requested + grace * 1000, 0));
		next.metadata.deletionGracePeriodSeconds = grace;
		return next;
	}
	next.metadata.deletionTimestamp = timestamp(now + grace * 1000);
	next.metadata.deletionGracePeriodSeconds = grace;
	if (next.metadata.generation) next.metadata.generation++;
	kind.onDelete(next);
	return next;
}

/** The finalizers that a propagation policy asks for; without one, those the object has, or what its kind does. */
function finalizersFor(
	kind: Kind,
	finalizers: readonly string[],
	asked: DeleteOptions['propagationPolicy'],
): readonly string[] {
	const decided = finalizers.includes(orphan) || finalizers.includes(foreground);
	const policy = asked ?? (!decided && kind.propagation === 'Orphan' ? 'Orphan' : undefined);
	if (!policy) return finalizers;
	const others = finalizers.filter((each) => each !== orphan && each !== foreground);
	if (policy === 'Orphan') return [...others, orphan];
	if (policy === 'Foreground') return [...others, foreground];
	return others;
}
