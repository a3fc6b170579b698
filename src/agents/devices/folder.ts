/** The folder in which device plugins find the agent's socket, and put theirs. One agent serves it. */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** The agent's own socket, as plugins know it. */
export const REGISTRATION_SOCKET = 'kubelet.sock';
/** The longest path that a socket may have. Source: unix(7), `sun_path` without its last byte. */
export const MAX_SOCKET_PATH = 107;

const LOCK = 'driftless.lock';

export interface Folder extends Disposable {
	readonly path: string;
	readonly socket: string;
}

/**
 * Takes the folder, and removes the sockets that an earlier agent has left: plugins watch for the new one and register again.
 * Throws why it cannot be had: another agent or a kubelet serves it, say.
 */
export async function takeFolder(path: string): Promise<Folder> {
	const socket = join(path, REGISTRATION_SOCKET);
	const bytes = Buffer.byteLength(socket);
	if (bytes > MAX_SOCKET_PATH)
		throw new Error(`the path of its socket has ${bytes} bytes, and the system takes ${MAX_SOCKET_PATH}`);
	await mkdir(path, { recursive: true, mode: 0o750 });
	const lock = lockIn(path);
	try {
		if (await isServed(socket)) throw new Error('a kubelet serves it');
		for (const name of await readdir(path)) {
			const file = join(path, name);
			if ((await stat(file).catch(() => undefined))?.isSocket()) await rm(file, { force: true });
		}
	} catch (error) {
		lock.close();
		throw error;
	}
	return { path, socket, [Symbol.dispose]: () => lock.close() };
}

/** A lock that the kernel takes back when the process dies: SQLite's own, held by an open transaction. */
function lockIn(path: string): DatabaseSync {
	const lock = new DatabaseSync(join(path, LOCK));
	try {
		lock.exec('BEGIN EXCLUSIVE');
		return lock;
	} catch (error) {
		lock.close();
		const busy = /locked|busy/i.test((error as Error).message);
		throw busy ? new Error('another agent serves it') : error;
	}
}

const isServed = (socket: string): Promise<boolean> =>
	new Promise((resolve) => {
		const attempt = connect(socket);
		attempt.once('connect', () => resolve(true)).once('error', () => resolve(false));
		attempt.once('connect', () => attempt.destroy());
	});
