/** Pairs of certificate and key in files, NAME.crt and NAME.key. */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyPair } from './certificates.ts';

/** Undefined where either file is missing. */
export async function readPair(directory: string, file: string): Promise<KeyPair | undefined> {
	try {
		const [cert, key] = await Promise.all([
			readFile(join(directory, `${file}.crt`), 'utf8'),
			readFile(join(directory, `${file}.key`), 'utf8'),
		]);
		return { cert, key };
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
		throw cause;
	}
}

export async function writePair(directory: string, file: string, { cert, key }: KeyPair): Promise<void> {
	await writeFileSafely(join(directory, `${file}.key`), key, 0o600);
	await writeFileSafely(join(directory, `${file}.crt`), cert, 0o644);
}

/** Writes a file whole or not at all, with its mode from the first byte on. */
export async function writeFileSafely(path: string, content: string, mode: number): Promise<void> {
	const draft = `${path}.new`;
	try {
		await rm(draft, { force: true });
		const file = await open(draft, 'wx', mode);
		try {
			await file.writeFile(content);
			await file.sync();
		} finally {
			await file.close();
		}
		await rename(draft, path);
	} catch (cause) {
		// The error of a write does not say of which file.
		throw new Error(`${path} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
	}
}
