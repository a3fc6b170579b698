/**
 * A map that keeps what was used of late. Two generations: what is used in the young one costs nothing, what is used in the
 * old one moves up; when the young one is full it becomes the old one, and what nobody asked for since then is forgotten.
 */
export interface Recent<V> {
	get(key: string): V | undefined;
	set(key: string, value: V, weight: number): void;
}

/** Holds at most `maxWeight`, and what was used last up to half of it in any case. */
export function createRecent<V>(maxWeight: number): Recent<V> {
	type Entry = { readonly value: V; readonly weight: number };
	let young = new Map<string, Entry>();
	let old = new Map<string, Entry>();
	let weight = 0;
	const keep = (key: string, entry: Entry) => {
		weight += entry.weight - (young.get(key)?.weight ?? 0);
		young.set(key, entry);
		if (weight <= maxWeight / 2) return;
		old = young;
		young = new Map([[key, entry]]);
		weight = entry.weight;
	};
	return {
		get(key) {
			const entry = young.get(key);
			if (entry) return entry.value;
			const earlier = old.get(key);
			if (!earlier) return undefined;
			old.delete(key);
			keep(key, earlier);
			return earlier.value;
		},
		set(key, value, size) {
			old.delete(key);
			keep(key, { value, weight: size });
		},
	};
}
