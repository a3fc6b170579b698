/** Writes tar archives (POSIX ustar) in memory: what the engine's image import takes. Source: POSIX.1-2017, pax, "ustar Interchange Format". */

export type TarEntry =
	| { readonly type: 'file'; readonly path: string; readonly content: Uint8Array; readonly mode: number }
	| { readonly type: 'directory'; readonly path: string; readonly mode: number }
	| { readonly type: 'symlink'; readonly path: string; readonly target: string }
	| { readonly type: 'link'; readonly path: string; readonly target: string };

const BLOCK = 512;
const typeFlags = { file: '0', link: '1', symlink: '2', directory: '5' } as const;

/** The archive of the entries, in order, all owned by root and dated at the epoch: the same entries give the same bytes. */
export function tar(entries: readonly TarEntry[]): Buffer {
	const blocks: Uint8Array[] = [];
	for (const entry of entries) {
		const content = entry.type === 'file' ? entry.content : new Uint8Array();
		blocks.push(header(entry, content.length), content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK));
	}
	return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

function header(entry: TarEntry, size: number): Buffer {
	const block = Buffer.alloc(BLOCK);
	const text = (value: string, offset: number, length: number) => {
		if (Buffer.byteLength(value) > length) throw new Error(`too long for a tar header (${length} bytes): ${value}`);
		block.write(value, offset, 'utf8');
	};
	const octal = (value: number, offset: number, length: number) =>
		block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1');
	text(entry.path, 0, 100);
	octal('mode' in entry ? entry.mode : 0o777, 100, 8);
	octal(0, 108, 8);
	octal(0, 116, 8);
	octal(size, 124, 12);
	octal(0, 136, 12);
	block.write(' '.repeat(8), 148, 'latin1');
	block.write(typeFlags[entry.type], 156, 'latin1');
	if ('target' in entry) text(entry.target, 157, 100);
	block.write('ustar\x0000', 257, 'latin1');
	const sum = block.reduce((total, byte) => total + byte, 0);
	block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
	return block;
}
