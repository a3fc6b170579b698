/** The word that was probably meant. */

/** The one of `words` that differs least from what was written, if it is near enough to be a slip: by at most `limit` letters. */
export function nearest(
	written: string,
	words: Iterable<string>,
	limit = Number.POSITIVE_INFINITY,
): string | undefined {
	const most = Math.min(limit, Math.max(1, Math.floor(written.length / 3)));
	let best: { readonly word: string; readonly distance: number } | undefined;
	for (const word of words) {
		if (Math.abs(word.length - written.length) > most) continue;
		const distance = edits(written.toLowerCase(), word.toLowerCase());
		if (distance <= most && distance < (best?.distance ?? Number.POSITIVE_INFINITY)) best = { word, distance };
	}
	return best?.word;
}

/** Levenshtein's distance. */
function edits(a: string, b: string): number {
	let row = Array.from({ length: b.length + 1 }, (_, index) => index);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++) {
			const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
			next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
		}
		row = next;
	}
	return row[b.length] ?? 0;
}
