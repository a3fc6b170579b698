/** How much of the server a request takes while it is in work. Source: Kubernetes documentation, "API Priority and Fairness", "Seats Occupied by a Request". */
import { limits } from '../../limits.ts';
import type { Asked } from '../attributes.ts';

/** Seats: more for what goes through many objects; `count` tells how many those are. */
export function widthOf(asked: Asked, count: (asked: Asked) => number): number {
	const { verb, query, attributes } = asked;
	const goesThrough = verb === 'list' || verb === 'deletecollection' || (verb === 'watch' && isFromState(query));
	if (!goesThrough || attributes.type !== 'resource' || attributes.name) return 1;
	const limit = Number(query.get('limit')) || Number.POSITIVE_INFINITY;
	// A page of what is selected may go through all.
	const selects = query.has('labelSelector') || query.has('fieldSelector');
	const objects = selects ? count(asked) : Math.min(limit, count(asked));
	return Math.min(limits.widest, Math.max(1, Math.ceil(objects / limits.seatObjects)));
}

/** Whether a watch begins with the present state, which is a list in another form. */
const isFromState = (query: URLSearchParams) =>
	query.get('sendInitialEvents') === 'true' || ['', '0'].includes(query.get('resourceVersion') ?? '');
