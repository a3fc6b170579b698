/**
 * The first key after all keys that start with `prefix`, or undefined where none can be (the empty prefix). UTF-8 bytes
 * order as code points do, so the end is the prefix with its last code point raised by one.
 */
export function prefixEnd(prefix: string): string | undefined {
	const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
	for (let last = points.pop(); last !== undefined; last = points.pop()) {
		if (last === 0x10ffff) continue;
		// No text holds a lone surrogate (D800 to DFFF): the code point after D7FF is E000.
		return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
	}
	return undefined;
}

/** The smallest key of `prefix` that a page holds which starts after the key `after`. */
export function pageStart(prefix: string, after: string | undefined): string {
	if (after === undefined || Buffer.compare(Buffer.from(after), Buffer.from(prefix)) < 0) return prefix;
	return `${after}\u0000`;
}
