/**
 * The client of one term of leadership: the one place where it is decided whether a controller may still write. A reconcile
 * under way when the term ends comes to its next write and no further.
 */
import type { Client } from '../../client/index.ts';

export interface Term {
	/** Aborts when the term is over. */
	readonly signal: AbortSignal;
	/**
	 * Whether the term is on at this very moment. A process that was stopped and goes on may write before anything has aborted
	 * the signal; its clock knows better. Default: always.
	 */
	readonly holds?: () => boolean;
}

/** Reads go on; every write rejects, with the signal's reason, once the term is over. */
export function whileTerm(term: Term, inner: Client): Client {
	const check = () => {
		term.signal.throwIfAborted();
		if (term.holds?.() === false) throw new Error('leadership was not renewed in time: nothing is written any more');
	};
	return {
		...inner,
		as: (name) => whileTerm(term, inner.as(name)),
		async create(...call) {
			check();
			return inner.create(...call);
		},
		async update(...call) {
			check();
			return inner.update(...call);
		},
		async patch(...call) {
			check();
			return inner.patch(...call);
		},
		async delete(...call) {
			check();
			return inner.delete(...call);
		},
		async deleteCollection(...call) {
			check();
			return inner.deleteCollection(...call);
		},
		async bind(...call) {
			check();
			return inner.bind(...call);
		},
	};
}
