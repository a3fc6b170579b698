/** Deep equality of JSON data: the order of members does not count, and a member that is undefined is an absent one. */
export function deepEqual(left: unknown, right: unknown): boolean {
	if (left === right) return true;
	if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
	if (Array.isArray(left)) {
		if (!Array.isArray(right) || left.length !== right.length) return false;
		for (let index = 0; index < left.length; index++) if (!deepEqual(left[index], right[index])) return false;
		return true;
	}
	return !Array.isArray(right) && equalMembers(left, right);
}

/** Whether two objects are equal, outside the members `but`. */
export function equalMembers(left: object, right: object, but?: ReadonlySet<string>): boolean {
	const a = left as Readonly<Record<string, unknown>>;
	const b = right as Readonly<Record<string, unknown>>;
	let members = 0;
	for (const key in a) {
		if (a[key] === undefined || but?.has(key)) continue;
		members++;
		// A key may be called `constructor` or `__proto__`, which every object inherits.
		if (!Object.hasOwn(b, key) || !deepEqual(a[key], b[key])) return false;
	}
	for (const key in b) if (b[key] !== undefined && !but?.has(key)) members--;
	return members === 0;
}
