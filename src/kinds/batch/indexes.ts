/**
 * Sets of completion indexes, and their text: `1,3-5,7`. Three and more in a row are written as an interval.
 * Source: Kubernetes API reference, JobStatus.completedIndexes.
 */

/** First and last index, both in it. In order, apart from each other by at least one. */
export type Interval = readonly [first: number, last: number];
export type Indexes = readonly Interval[];

/**
 * The indexes of a text, all below `completions`. Throws RangeError, in Kubernetes' words, where it is none. Neighbours are
 * joined, so that one set has one form.
 */
export function parseIndexes(text: string, completions: number): Indexes {
	if (text === '') return [];
	const found: [number, number][] = [];
	for (const part of text.split(',')) {
		const [first, last] = parseInterval(part, completions);
		const before = found.at(-1);
		if (before && before[1] >= first)
			throw new RangeError(`non-increasing order, previous: ${before[1]}, current: ${first}`);
		if (before && before[1] + 1 === first) before[1] = last;
		else found.push([first, last]);
	}
	return found;
}

function parseInterval(text: string, completions: number): [number, number] {
	const [first = '', last, ...more] = text.split('-');
	if (more.length > 0)
		throw new RangeError(
			`the fragment ${JSON.stringify(text)} violates the requirement that an index interval can have at most two parts separated by '-'`,
		);
	const from = parseIndex(first, completions);
	if (last === undefined) return [from, from];
	const to = parseIndex(last, completions);
	if (from >= to) throw new RangeError(`non-increasing order, previous: ${from}, current: ${to}`);
	return [from, to];
}

function parseIndex(text: string, completions: number): number {
	if (!/^\d{1,10}$/.test(text))
		throw new RangeError(`cannot convert string to integer for index: ${JSON.stringify(text)}`);
	const index = Number(text);
	if (index >= completions) throw new RangeError(`too large index: ${JSON.stringify(text)}`);
	return index;
}

/**
 * The indexes of a status below `completions`: what a Job that has shrunk had beyond is left out, and what is no index. Never
 * throws: a status may have been written by anyone.
 */
export function readIndexes(text: string | undefined, completions: number): Indexes {
	const intervals: Interval[] = [];
	for (const part of (text ?? '').split(',')) {
		const parts = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part);
		if (!parts) continue;
		const first = Number(parts[1]);
		const last = Math.min(Number(parts[2] ?? first), completions - 1);
		if (first <= last) intervals.push([first, last]);
	}
	return joined(intervals);
}

export function formatIndexes(indexes: Indexes): string {
	return indexes
		.map(([first, last]) => (first === last ? `${first}` : `${first}${last - first === 1 ? ',' : '-'}${last}`))
		.join(',');
}

export function countIndexes(indexes: Indexes): number {
	return indexes.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** Whether the set has an index: in logarithmic time. */
export function hasIndex(indexes: Indexes, index: number): boolean {
	let low = 0;
	let high = indexes.length - 1;
	while (low <= high) {
		const middle = (low + high) >> 1;
		const [first, last] = indexes[middle] ?? [0, -1];
		if (index < first) high = middle - 1;
		else if (index > last) low = middle + 1;
		else return true;
	}
	return false;
}

/** The set with more indexes, in any order. */
export function withIndexes(indexes: Indexes, more: Iterable<number>): Indexes {
	const added = Array.from(more, (index): Interval => [index, index]);
	return added.length === 0 ? indexes : joined([...indexes, ...added]);
}

/** How many indexes two sets have in common. */
export function countCommon(one: Indexes, other: Indexes): number {
	let common = 0;
	for (let i = 0, k = 0; i < one.length && k < other.length; ) {
		const [first, last] = one[i] ?? [0, -1];
		const [from, to] = other[k] ?? [0, -1];
		common += Math.max(0, Math.min(last, to) - Math.max(first, from) + 1);
		if (last < to) i++;
		else k++;
	}
	return common;
}

/** The first index that two sets have in common. */
export function firstCommon(one: Indexes, other: Indexes): number | undefined {
	for (let i = 0, k = 0; i < one.length && k < other.length; ) {
		const [first, last] = one[i] ?? [0, -1];
		const [from, to] = other[k] ?? [0, -1];
		if (first <= to && from <= last) return Math.max(first, from);
		if (last < to) i++;
		else k++;
	}
	return undefined;
}

function joined(intervals: readonly Interval[]): Indexes {
	const result: [number, number][] = [];
	for (const [first, last] of intervals.toSorted((a, b) => a[0] - b[0])) {
		const before = result.at(-1);
		if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
		else result.push([first, last]);
	}
	return result;
}
