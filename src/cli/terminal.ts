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
