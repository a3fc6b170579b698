/** Two values as text, short enough to look at: where one is too long, both are cut to the surroundings of the first difference. Pure. */

/** `width` in UTF-16 units, less the dots. A side that is undefined stays so. */
export function excerpts(
	a: string | undefined,
	b: string | undefined,
	width: number,
): [string | undefined, string | undefined] {
	if ((a?.length ?? 0) <= width && (b?.length ?? 0) <= width) return [a, b];
	const first = a === undefined || b === undefined ? 0 : firstDifference(a, b);
	// A quarter of the width says where it is.
	const start = first < width / 2 ? 0 : first - Math.floor(width / 4);
	const cut = (text: string | undefined) => {
		if (text === undefined) return undefined;
		const end = start + width;
		return `${start > 0 ? '…' : ''}${text.slice(start, end)}${text.length > end ? '…' : ''}`;
	};
	return [cut(a), cut(b)];
}

function firstDifference(a: string, b: string): number {
	let index = 0;
	while (index < a.length && index < b.length && a[index] === b[index]) index++;
	return index;
}
