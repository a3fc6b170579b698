/** Runs tasks of one key one after the other, those of different keys at once. Forgets a key when its last task is done. */
export interface KeyedQueue {
	run<R>(key: string, task: () => Promise<R>): Promise<R>;
}

export function createKeyedQueue(): KeyedQueue {
	const tails = new Map<string, Promise<unknown>>();
	return {
		async run(key, task) {
			const before = tails.get(key);
			// A failed task is its own caller's matter; the next one runs all the same.
			const result = before ? before.then(task, task) : task();
			tails.set(key, result);
			try {
				return await result;
			} finally {
				if (tails.get(key) === result) tails.delete(key);
			}
		},
	};
}
