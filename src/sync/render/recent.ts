/** A map that holds what was used last, up to a weight. */
export interface Recent<V> {
	get(key: string): V | undefined;
	set(key: string, value: V, weight: number): void;
}

export function createRecent<V>(maxWeight: number): Recent<V> {
	const entries = new Map<string, { value: V; weight: number }>();
	let total = 0;
	const drop = (key: string) => {
		total -= entries.get(key)?.weight ?? 0;
		entries.delete(key);
	};
	return {
		get(key) {
			const entry = entries.get(key);
			if (!entry) return undefined;
			// A Map keeps the order of insertion: its first key is the one used longest ago.
			entries.delete(key);
			entries.set(key, entry);
			return entry.value;
		},
		set(key, value, weight) {
			drop(key);
			entries.set(key, { value, weight });
			total += weight;
			for (const oldest of entries.keys()) {
				if (total <= maxWeight || oldest === key) break;
				drop(oldest);
			}
		},
	};
}
