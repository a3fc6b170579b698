/** Removes folders with what is in them, as `rm -r --one-file-system`. */
import { lstat, readdir, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Throws where the folder, or one in it, is on another file system than `device`. A link is removed, and never what it leads to. */
export async function removeTree(path: string, device: number): Promise<void> {
	const found = await lstat(path);
	if (found.dev !== device) throw new Error(`${path} is on another file system than what it is in`);
	if (!found.isDirectory()) return unlink(path);
	for (const entry of await readdir(path, { withFileTypes: true })) {
		const inner = join(path, entry.name);
		await (entry.isDirectory() ? removeTree(inner, device) : unlink(inner));
	}
	await rmdir(path);
}
