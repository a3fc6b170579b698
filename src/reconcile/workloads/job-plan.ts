/** Which pods a Job makes and takes back. Source: Kubernetes documentation, "Jobs", and the behaviour of its job controller. */
import { hasIndex, type Indexes, type Pod, withIndexes } from '../../kinds/index.ts';
import { deletionOrder } from './deletion-order.ts';
import { backoffOf, indexBackoffOf } from './job-backoff.ts';
import type { Look } from './job-look.ts';
import { awaitsEnd, hasIndexLimit, indexOf, isIndexed, isSuspended } from './job-pods.ts';

/** Never more than this many pods are created or deleted in one pass, so that other Jobs get their turn. */
export const MOST_PODS_AT_ONCE = 500;

/** A pod that is to be made. */
export interface Slot {
	readonly index?: number;
	/** The failed pod of the index that it takes the place of. */
	readonly replaces?: Pod;
}

export interface JobPlan {
	readonly create: readonly Slot[];
	/** Pods that do not count any more, neither as failed nor as succeeded. */
	readonly remove: readonly Pod[];
	/** When pods are to be made that have to wait now, in ms from now. */
	readonly after?: number;
}

/** Of a Job without a verdict that is not being deleted. `now` in milliseconds since the epoch. */
export function planJob(look: Look, now: number): JobPlan {
	const { job, active, astray } = look;
	if (isSuspended(job)) return { create: [], remove: [...astray, ...active] };
	const wanted = wantedPods(look);
	const remove = [...astray, ...surplus(look, wanted, now)].slice(0, MOST_PODS_AT_ONCE);
	// Pods are taken back or made, never both in one look.
	if (remove.length > 0) return { create: [], remove };
	const terminating = awaitsEnd(job) ? look.terminating.length : 0;
	const missing = Math.min(wanted - active.length - terminating, MOST_PODS_AT_ONCE);
	if (missing <= 0) return { create: [], remove: [] };
	if (hasIndexLimit(job)) return planIndexes(look, missing, now);
	const wait = backoffOf(job, look.pods, now);
	if (wait > 0) return { create: [], remove: [], after: wait };
	const create: Slot[] = isIndexed(job)
		? pendingIndexes(look, missing).map((index) => ({ index }))
		: Array.from({ length: missing }, () => ({}));
	return { create, remove: [] };
}

/** How many pods shall run. */
function wantedPods({ job: { spec }, succeeded, active }: Look): number {
	const { completions, parallelism = 1 } = spec;
	// A queue of work: once one has succeeded, no more are made, and those that run may end.
	if (completions === undefined) return succeeded > 0 ? active.length : parallelism;
	return Math.min(Math.max(completions - succeeded, 0), parallelism);
}

/** Each index has a backoff of its own. */
function planIndexes(look: Look, missing: number, now: number): JobPlan {
	const create: Slot[] = [];
	let after: number | undefined;
	for (const index of pendingIndexes(look, missing)) {
		const replaces = look.awaited.get(index);
		const wait = indexBackoffOf(replaces, now);
		if (wait === 0) create.push({ index, replaces });
		else after = Math.min(after ?? Infinity, wait);
	}
	return { create, remove: [], after };
}

/** The first indexes that nothing is done for, at most so many. */
function pendingIndexes(
	{ job, active, terminating, completedIndexes, failedIndexes = [] }: Look,
	most: number,
): number[] {
	const busy = [...active, ...(awaitsEnd(job) ? terminating : [])].map((pod) => indexOf(pod, job) ?? -1);
	const taken: Indexes = withIndexes(
		completedIndexes,
		busy.filter((index) => index >= 0),
	);
	const pending: number[] = [];
	const { completions = 0 } = job.spec;
	let index = 0;
	for (const [first, last] of [...taken, [completions, completions] as const]) {
		for (; index < Math.min(first, completions) && pending.length < most; index++)
			if (!hasIndex(failedIndexes, index)) pending.push(index);
		index = Math.max(index, last + 1);
	}
	return pending;
}

/** The pods that are too many: of indexes that are none, second ones of an index, and what is beyond the number wanted. */
function surplus({ job, active }: Look, wanted: number, now: number): readonly Pod[] {
	const ordered = () => deletionOrder(active, now);
	if (!isIndexed(job)) return active.length > wanted ? ordered().slice(0, active.length - wanted) : [];
	const byIndex = new Map<number, Pod[]>();
	const remove: Pod[] = [];
	// The last in the order of deletion is the one to keep.
	for (const pod of active.length > 1 ? ordered() : active) {
		const index = indexOf(pod, job);
		if (index === undefined) remove.push(pod);
		else byIndex.set(index, [...(byIndex.get(index) ?? []), pod]);
	}
	for (const pods of byIndex.values()) remove.push(...pods.slice(0, -1));
	const going = new Set(remove);
	const excess = active.length - remove.length - wanted;
	if (excess <= 0) return remove;
	return [
		...remove,
		...ordered()
			.filter((pod) => !going.has(pod))
			.slice(0, excess),
	];
}
