/** The little of Markdown that the checks need: fenced blocks, headings, links and inline code, each with its line. */

/** A fenced block. */
export interface Block {
	readonly page: string;
	/** Of the opening fence, 1-based. */
	readonly line: number;
	/** First word after the fence: `sh`, `text`, `yaml`. */
	readonly language: string;
	/** The rest of the line: `norun needs a second machine`. */
	readonly info: string;
	readonly text: string;
}

export interface Link {
	readonly line: number;
	readonly target: string;
}

export interface Page {
	/** Path from the root of the repository. */
	readonly path: string;
	readonly blocks: readonly Block[];
	/** Anchors of its headings, as GitHub and npm make them. */
	readonly anchors: ReadonlySet<string>;
	readonly links: readonly Link[];
	/** Inline code. */
	readonly code: readonly { readonly line: number; readonly text: string }[];
	/** Rows of tables, as trimmed cells. */
	readonly rows: readonly { readonly line: number; readonly cells: readonly string[] }[];
}

export function parsePage(path: string, source: string): Page {
	const blocks: Block[] = [];
	const anchors = new Set<string>();
	const links: Link[] = [];
	const code: { line: number; text: string }[] = [];
	const rows: { line: number; cells: readonly string[] }[] = [];
	let open:
		| { readonly fence: string; readonly line: number; readonly info: string; readonly text: string[] }
		| undefined;
	for (const [index, text] of source.split('\n').entries()) {
		const line = index + 1;
		const fence = /^(`{3,}|~{3,})(.*)$/.exec(text);
		if (open) {
			if (text.trimEnd() === open.fence) {
				const [language = '', ...rest] = open.info.trim().split(' ');
				blocks.push({ page: path, line: open.line, language, info: rest.join(' '), text: open.text.join('\n') });
				open = undefined;
			} else open.text.push(text);
			continue;
		}
		if (fence) {
			open = { fence: fence[1] ?? '', line, info: fence[2] ?? '', text: [] };
			continue;
		}
		const heading = /^#{1,6}\s+(.*)$/.exec(text)?.[1];
		if (heading !== undefined) anchors.add(unique(anchorOf(heading), anchors));
		for (const [, inner = ''] of text.matchAll(/`([^`]+)`/g)) code.push({ line, text: inner });
		const plain = text.replace(/`[^`]*`/g, '');
		for (const [, target = ''] of plain.matchAll(/\]\(([^)\s]+)\)/g)) links.push({ line, target });
		for (const [, target = ''] of plain.matchAll(/(?:src|srcset|href)="([^"]+)"/g)) links.push({ line, target });
		if (text.startsWith('|'))
			rows.push({
				line,
				cells: text
					.split('|')
					.slice(1, -1)
					.map((cell) => cell.trim()),
			});
	}
	if (open) throw new Error(`${path}:${open.line}: the block is not closed`);
	return { path, blocks, anchors, links, code, rows };
}

/** The anchor of a heading: lower case, punctuation gone, spaces as dashes. */
export function anchorOf(heading: string): string {
	return heading
		.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
		.toLowerCase()
		.replace(/[^\p{L}\p{N}\s_-]/gu, '')
		.trim()
		.replace(/\s/g, '-');
}

function unique(anchor: string, taken: ReadonlySet<string>): string {
	if (!taken.has(anchor)) return anchor;
	for (let number = 1; ; number++) if (!taken.has(`${anchor}-${number}`)) return `${anchor}-${number}`;
}

/**
 * Whether a program printed what a page says: line for line, with `…` for any part of a line, a line of only `…` for any
 * number of lines, and any width of columns. The page may stop early where its last line is `…`.
 */
export function matches(expected: string, printed: string): boolean {
	const pattern = expected
		.trimEnd()
		.split('\n')
		.map((line) => (line.trim() === '…' ? '(?:.*\\n)*?' : `${squeeze(line).split('…').map(literal).join('.*?')}\\n`))
		.join('');
	return new RegExp(`^${pattern}$`).test(`${printed.trimEnd().split('\n').map(squeeze).join('\n')}\n`);
}

const squeeze = (line: string) => line.trimEnd().replace(/[ \t]+/g, ' ');
const literal = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
