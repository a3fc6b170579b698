/** Work on one thing is done one after the other, work on different things at once. */
export interface Turns {
	/** Begins the work once all that was given for the key before has ended, however it ended. */
	take<T>(key: string, work: () => Promise<T>): Promise<T>;
	idle(): Promise<void>;
}

export function createTurns(): Turns {
	const last = new Map<string, Promise<unknown>>();
	return {
		take(key, work) {
			const mine = (last.get(key) ?? Promise.resolve()).then(work, work);
			const settled = mine
				.catch(() => {})
				.then(() => {
					if (last.get(key) === settled) last.delete(key);
				});
			last.set(key, settled);
			return mine;
		},
		async idle() {
			while (last.size > 0) await Promise.all(last.values());
		},
	};
}
