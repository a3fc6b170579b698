/** Colours, only where somebody sees them, and tables. */
import { styleText } from 'node:util';

export type Style = 'red' | 'green' | 'yellow' | 'cyan' | 'bold' | 'dim';

export type Paint = (style: Style, text: string) => string;

/** Colours for a terminal; plain text for a pipe, with NO_COLOR, or for a dumb terminal. Source: https://no-color.org. */
export function paintFor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Paint {
	const coloured = stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
	return (style, text) => (coloured ? styleText(style, text, { validateStream: false }) : text);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's escape sequences begin with one
const escapes = /\u001b\[[0-9;]*m/g;
const width = (text: string) => text.replace(escapes, '').length;

/** Control characters but for the tab and the newline. */
const controls = /[^\P{Cc}\t\n]/gu;

/**
 * What others have written, so that a terminal obeys nothing in it: `^[` for an escape, as kubectl shows it. Takes strings, and whatever
 * JSON there is, in which each string is made so.
 */
export function tame<T>(value: T): T {
	if (typeof value === 'string') return value.replace(controls, caret) as T;
	if (Array.isArray(value)) return value.map(tame) as T;
	if (typeof value !== 'object' || value === null) return value;
	return Object.fromEntries(Object.entries(value).map(([key, each]) => [tame(key), tame(each)])) as T;
}

function caret(character: string): string {
	const code = character.charCodeAt(0);
	return code < 0x80 ? `^${String.fromCharCode(code ^ 0x40)}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** Columns as kubectl prints them: padded to the widest cell, three spaces between. */
export function table(rows: readonly (readonly string[])[]): string[] {
	const widths: number[] = [];
	for (const row of rows)
		for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, width(cell));
	return rows.map((row) =>
		row
			.map((cell, index) => (index === row.length - 1 ? cell : cell + ' '.repeat((widths[index] ?? 0) - width(cell))))
			.join('   ')
			.trimEnd(),
	);
}
