/**
 * Runs many writes at once without flooding an API that refuses them: one, then two, then four at a time and so on; a
 * batch with a failure is the last. Source: Kubernetes documentation of the ReplicaSet controller ("slow start").
 */

/** How many writes are under way at most. More do not get faster: they share one process or one connection. */
const WIDEST_BATCH = 64;

/** Returns what failed, in order; empty when all was done. `first` is the size of the first batch. */
export async function slowStart(tasks: readonly (() => Promise<void>)[], first = 1): Promise<readonly unknown[]> {
	let size = Math.min(first, WIDEST_BATCH);
	for (let start = 0; start < tasks.length; start += size, size = Math.min(size * 2, WIDEST_BATCH)) {
		const results = await Promise.allSettled(tasks.slice(start, start + size).map((task) => task()));
		const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
		if (failures.length > 0) return failures;
	}
	return [];
}

/** All at once up to the widest batch: for writes that are not expected to be refused. */
export const allAtOnce = (tasks: readonly (() => Promise<void>)[]) => slowStart(tasks, WIDEST_BATCH);
