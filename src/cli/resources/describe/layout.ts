/** Descriptions as data, and their text: labels, values that stand under each other, sections below them, tables. */

export interface Entry {
	readonly label: string;
	/** Several lines stand under each other. Absent: the label is a heading. */
	readonly value?: string | readonly string[];
	/** Indented below. */
	readonly under?: readonly Entry[];
	/** Indented below: the first row is the header. */
	readonly table?: readonly (readonly string[])[];
	/** Lines, indented below. */
	readonly lines?: readonly string[];
}

export const NONE = '<none>';

/** A label with its value; nothing is written as `<none>`. */
export function field(label: string, value: unknown, under?: readonly Entry[]): Entry {
	const text = Array.isArray(value)
		? value.map(String)
		: value === undefined || value === null || value === ''
			? NONE
			: String(value);
	return { label, value: text.length === 0 ? NONE : text, under };
}

/** Only where there is a value. */
export function optional(label: string, value: unknown): Entry[] {
	return value === undefined || value === null || value === '' ? [] : [field(label, value)];
}

/** A heading with what is below it, or `<none>` behind it where nothing is. */
export function section(label: string, under: readonly Entry[]): Entry {
	return under.length > 0 ? { label, under } : field(label, undefined);
}

/** A heading with a table, or `<none>`. The header is underlined. */
export function tableOf(label: string, header: readonly string[], rows: readonly (readonly string[])[]): Entry {
	if (rows.length === 0) return field(label, undefined);
	return { label, table: [header, header.map((name) => '-'.repeat(name.length)), ...rows] };
}

/** `key=value` lines in the order of keys. */
export function pairs(map: Readonly<Record<string, string>> | undefined, separator = '='): string[] {
	return Object.entries(map ?? {})
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([key, value]) => `${key}${separator}${value}`);
}

/** The lines of entries; values of one level stand in one column. */
export function layout(entries: readonly Entry[], depth = 0): string[] {
	const indent = '  '.repeat(depth);
	const width = Math.max(0, ...entries.filter(({ value }) => value !== undefined).map(({ label }) => label.length + 3));
	return entries.flatMap((entry) => [
		...head(entry, width).map((line) => (indent + line).trimEnd()),
		...(entry.table ? columns(entry.table).map((line) => `${indent}  ${line}`.trimEnd()) : []),
		...(entry.lines ?? []).map((line) => `${indent}  ${line}`.trimEnd()),
		...(entry.under ? layout(entry.under, depth + 1) : []),
	]);
}

function head({ label, value }: Entry, width: number): string[] {
	if (value === undefined) return [`${label}:`];
	const [first = '', ...more] =
		typeof value === 'string' ? value.split('\n') : value.flatMap((line) => line.split('\n'));
	return [`${label}:`.padEnd(width) + first, ...more.map((line) => ' '.repeat(width) + line)];
}

function columns(rows: readonly (readonly string[])[]): string[] {
	const widths: number[] = [];
	for (const row of rows)
		for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
	return rows.map((row) => row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  '));
}

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (number: number) => String(number).padStart(2, '0');

/** A timestamp in the time of this machine: `Mon, 02 Jan 2006 15:04:05 +0100`. Empty where there is none. */
export function timeText(timestamp: string | null | undefined): string {
	const at = new Date(timestamp ?? Number.NaN);
	if (Number.isNaN(at.getTime())) return '';
	const zone = -at.getTimezoneOffset();
	const offset = `${zone < 0 ? '-' : '+'}${two(Math.floor(Math.abs(zone) / 60))}${two(Math.abs(zone) % 60)}`;
	const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
	return `${days[at.getDay()]}, ${two(at.getDate())} ${months[at.getMonth()]} ${at.getFullYear()} ${clock} ${offset}`;
}
