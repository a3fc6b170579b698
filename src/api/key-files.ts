/** Pairs of certificate and key in files, NAME.crt and NAME.key. */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyPair } from './certificates.ts';

const draftOf = (path: string) => `${path}.new`;

/** Undefined where either file is missing. Ends what a process that was killed had begun to write. */
export async function readPair(directory: string, file: string): Promise<KeyPair | undefined> {
	const path = join(directory, file);
	const [cert, key] = await Promise.all([readOptional(`${path}.crt`), readOptional(`${path}.key`)]);
	if (key === undefined) return undefined;
	if (cert !== undefined) return { cert, key };
	// The key took its place when both had been written.
	const draft = await readOptional(draftOf(`${path}.crt`));
	if (draft === undefined) return undefined;
	await rename(draftOf(`${path}.crt`), `${path}.crt`);
	return { cert: draft, key };
}

/** Both or none, also where the process is killed in between: see `readPair`. */
export async function writePair(directory: string, file: string, { cert, key }: KeyPair): Promise<void> {
	const path = join(directory, file);
	await writeDraft(`${path}.key`, key, 0o600);
	await writeDraft(`${path}.crt`, cert, 0o644);
	await rename(draftOf(`${path}.key`), `${path}.key`);
	await rename(draftOf(`${path}.crt`), `${path}.crt`);
}

/** Writes a file whole or not at all, with its mode from the first byte on. */
export async function writeFileSafely(path: string, content: string, mode: number): Promise<void> {
	await writeDraft(path, content, mode);
	await rename(draftOf(path), path);
}

async function writeDraft(path: string, content: string, mode: number): Promise<void> {
	try {
		await rm(draftOf(path), { force: true });
		const file = await open(draftOf(path), 'wx', mode);
		try {
			await file.writeFile(content);
			await file.sync();
		} finally {
			await file.close();
		}
	} catch (cause) {
		// The error of a write does not say of which file.
		throw new Error(`${path} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
	}
}

async function readOptional(path: string): Promise<string | undefined> {
	try {
		return await readFile(path, 'utf8');
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
		throw cause;
	}
}
