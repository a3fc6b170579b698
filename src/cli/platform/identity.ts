/** Who a server is among those that share a store. */
import { randomUUID } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/**
 * A name that no other server has and that stays over restarts, so that a server that was killed takes its own Lease again
 * at once: the host's name, for people to read, and an id drawn when the data directory was new. Machines named alike, with
 * their data in the same place, are told apart by it.
 */
export async function serverIdentity(dataDir: string): Promise<string> {
	const file = join(dataDir, 'server-id');
	const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
		if (error.code === 'ENOENT') return '';
		throw error;
	});
	const id = kept.trim() || randomUUID();
	if (!kept.trim()) {
		await writeFile(`${file}.new`, `${id}\n`, { mode: 0o600 });
		await rename(`${file}.new`, file);
	}
	return `${hostname()}_${id}`;
}
