/**
 * The read-change-write of one object. It begins with the state that this server knows, which on a shared store may be
 * old: whatever goes wrong with it, or comes to no change, is decided once more on the state of the store, and so is every
 * lost race. What the store could not answer is never tried again: a commit of unknown outcome may have been made, and a
 * second one would meet the first as if it were another's. (etcd3's GuaranteedUpdate of Kubernetes does the same.)
 */

import type { KubeObject } from '../../kinds/object.ts';
import { conflict } from '../../kinds/status.ts';
import { Conflict, Unavailable } from '../../store/store.ts';
import type { Caller } from '../api.ts';
import { limits } from '../limits.ts';
import type { StoredObject } from '../storage.ts';
import type { Beside } from './beside.ts';
import { latest, type Place, put, readStored, remove } from './commit.ts';
import type { Context } from './context.ts';
import { checkTerm, fenced } from './fence.ts';

/** What is to become of the object. */
export type Outcome =
	/** Nothing is written, and this is the answer. */
	| { readonly do: 'keep'; readonly stored: StoredObject }
	| ({ readonly do: 'put'; readonly object: KubeObject } & With)
	| ({ readonly do: 'remove' } & With);

/** What the commit changes beside the object. */
interface With {
	readonly beside?: readonly Beside[];
}

export interface Modified {
	readonly stored: StoredObject;
	readonly gone: boolean;
}

/** How a change is made. */
export interface Manner {
	readonly caller: Caller;
	/** `decide` may wait for somebody outside: other writers of the object do not wait for it, and may come first. */
	readonly apart: boolean;
}

/**
 * `decide` says what becomes of the present state (undefined: there is none); it is called again after a lost race, and
 * must not keep anything from the call before. Its errors are the caller's.
 */
export function modify(
	context: Context,
	place: Place,
	{ caller, apart }: Manner,
	decide: (current: StoredObject | undefined) => Promise<Outcome>,
): Promise<Modified> {
	const inTurn = <R>(task: () => Promise<R>) => context.queue.run(place.storeKey, task);
	const write = async (current: StoredObject | undefined, outcome: Exclude<Outcome, { do: 'keep' }>) => {
		if (outcome.do === 'put')
			return {
				stored: await put(context, place, current, outcome.object, fenced(caller), outcome.beside),
				gone: false,
			};
		if (!current) throw new Error(`a removal of ${place.storeKey} was decided, which does not exist`);
		return { stored: await remove(context, place, current, fenced(caller), outcome.beside), gone: true };
	};
	const work = async () => {
		let current = latest(context, place);
		// Where nobody else writes to the store, what this server knows last is what there is.
		let verified = context.alone;
		if (!current) {
			current = await readStored(context, place);
			verified = true;
		}
		for (let attempt = 0; ; attempt++) {
			try {
				const outcome = await decide(current);
				if (outcome.do === 'keep') {
					const stored = verified ? current : await readStored(context, place);
					if (stored?.revision === current?.revision) return { stored: outcome.stored, gone: false };
					current = stored;
					verified = true;
					continue;
				}
				const decided = current;
				return await (apart ? inTurn(() => write(decided, outcome)) : write(decided, outcome));
			} catch (cause) {
				const lost = cause instanceof Conflict;
				if (lost) checkTerm(caller, cause);
				if ((!lost && verified) || cause instanceof Unavailable) throw cause;
				if (lost && attempt >= limits.conflicts)
					throw conflict(place.kind, place.key, 'other writers came first too often; try again');
				// An expectation about another key (a namespace, an address) is looked up in the cache by `decide`.
				if (lost && cause.key !== place.storeKey) await context.cache.fresh();
				const stored = await readStored(context, place);
				if (!lost && stored?.revision === current?.revision) throw cause;
				current = stored;
				verified = true;
			}
		}
	};
	return apart ? work() : inTurn(work);
}
