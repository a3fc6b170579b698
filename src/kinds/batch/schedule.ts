/**
 * The schedules that a CronJob may have: five fields, or a macro. What is read here is what Kubernetes documents and no more,
 * whatever the library that finds the times would take.
 * Source: Kubernetes documentation, "CronJob", "Schedule syntax"; the messages are those of the API server.
 */

/** What a schedule asks for: the values of each field, or `*` where all are. */
export interface Schedule {
	readonly minute: Field;
	readonly hour: Field;
	readonly dayOfMonth: Field;
	readonly month: Field;
	readonly dayOfWeek: Field;
}

type Field = '*' | readonly number[];

interface Bounds {
	readonly least: number;
	readonly most: number;
	readonly names?: readonly string[];
}

const MONTHS = ['', 'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
/** In the longest year. */
const DAYS_OF_MONTHS = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const FIELDS: readonly Bounds[] = [
	{ least: 0, most: 59 },
	{ least: 0, most: 23 },
	{ least: 1, most: 31 },
	{ least: 1, most: 12, names: MONTHS },
	{ least: 0, most: 6, names: DAYS },
];

const MACROS: Readonly<Record<string, string>> = {
	'@yearly': '0 0 1 1 *',
	'@annually': '0 0 1 1 *',
	'@monthly': '0 0 1 * *',
	'@weekly': '0 0 * * 0',
	'@daily': '0 0 * * *',
	'@midnight': '0 0 * * *',
	'@hourly': '0 * * * *',
};

/** Longest text that is looked at. */
const LONGEST = 1024;

/** Reads a schedule. Throws RangeError, in Kubernetes' words, where it is none. */
export function parseSchedule(text: string): Schedule {
	if (text.length > LONGEST) throw new RangeError(`may not be more than ${LONGEST} characters`);
	const spec = text.trim();
	if (!spec) throw new RangeError('empty spec string');
	if (spec.startsWith('@') && !Object.hasOwn(MACROS, spec)) throw new RangeError(`unrecognized descriptor: ${spec}`);
	const parts = (MACROS[spec] ?? spec).split(/\s+/);
	if (parts.length !== FIELDS.length)
		throw new RangeError(`expected exactly 5 fields, found ${parts.length}: [${parts.join(' ')}]`);
	const [minute = '*', hour = '*', dayOfMonth = '*', month = '*', dayOfWeek = '*'] = FIELDS.map((bounds, index) =>
		parseField(parts[index] ?? '', bounds),
	);
	return { minute, hour, dayOfMonth, month, dayOfWeek };
}

function parseField(text: string, bounds: Bounds): Field {
	const values = new Set<number>();
	let every = false;
	// Empty items of a list count for nothing.
	for (const item of text.split(',').filter(Boolean)) {
		const [range = '', step, ...more] = item.split('/');
		if (more.length > 0) throw new RangeError(`too many slashes: ${item}`);
		const by = step === undefined ? 1 : wholeNumber(step);
		const [first, last, all] = parseRange(range, step !== undefined, bounds, item);
		if (by === 0) throw new RangeError(`step of range should be a positive number: ${item}`);
		if (all && by === 1) every = true;
		for (let value = first; value <= last; value += by) values.add(value);
	}
	return every ? '*' : [...values].sort((a, b) => a - b);
}

function parseRange(range: string, stepped: boolean, { least, most, names }: Bounds, item: string) {
	const [from = '', to, ...more] = range.split('-');
	if (from === '*' || from === '?') return [least, most, true] as const;
	if (more.length > 0) throw new RangeError(`too many hyphens: ${item}`);
	const first = numberOf(from, names);
	// `N/step` means from N on.
	const last = to !== undefined ? numberOf(to, names) : stepped ? most : first;
	if (first < least) throw new RangeError(`beginning of range (${first}) below minimum (${least}): ${item}`);
	if (last > most) throw new RangeError(`end of range (${last}) above maximum (${most}): ${item}`);
	if (first > last) throw new RangeError(`beginning of range (${first}) beyond end of range (${last}): ${item}`);
	return [first, last, false] as const;
}

function numberOf(text: string, names: readonly string[] | undefined): number {
	const named = text ? (names?.indexOf(text.toLowerCase()) ?? -1) : -1;
	return named >= 0 ? named : wholeNumber(text);
}

function wholeNumber(text: string): number {
	if (/^\d{1,9}$/.test(text)) return Number(text);
	throw new RangeError(
		`failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`,
	);
}

/** Whether there is ever a day that a schedule asks for: none is the 30th of February. */
export function everFires({ dayOfMonth, month, dayOfWeek, minute, hour }: Schedule): boolean {
	if (minute.length === 0 || hour.length === 0 || month.length === 0) return false;
	// Where both days are given, one of them is enough.
	if (dayOfMonth === '*' || dayOfWeek !== '*') return dayOfMonth.length > 0 || dayOfWeek.length > 0;
	const months = month === '*' ? DAYS_OF_MONTHS.keys() : month.values();
	const longest = Math.max(...Array.from(months, (each) => DAYS_OF_MONTHS[each] ?? 0));
	return dayOfMonth.some((day) => day <= longest);
}

/** What is wrong with a time zone; undefined for one that is known. */
export function timeZoneFault(zone: string): string | undefined {
	const unknown = `unknown time zone ${zone}`;
	if (zone === '') return 'timeZone must be nil or non-empty string';
	if (zone.toLowerCase() === 'local')
		return 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones';
	// Offsets, which are no names of zones, would be taken by Intl.
	const named = zone.split('/').every((part) => /^(?!-)[A-Za-z.\-_0-9+]{1,14}$/.test(part) && !/^\.{1,2}$/.test(part));
	if (!named || /^[-+]/.test(zone)) return unknown;
	try {
		new Intl.DateTimeFormat('en', { timeZone: zone });
		return undefined;
	} catch {
		return unknown;
	}
}
