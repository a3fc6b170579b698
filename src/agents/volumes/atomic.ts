/**
 * Writes a directory of files so that a reader sees all of the old or all of the new content, never a mixture: the files
 * lie in a dated directory, `..data` points to it and is swapped by a rename, and the visible names point through `..data`.
 * Source: Kubernetes documentation of projected volumes; the layout is the kubelet's.
 */
import {
	chmod,
	chown,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	readlink,
	rename,
	rm,
	symlink,
	writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

export interface PayloadFile {
	readonly content: Uint8Array;
	/** Permission bits. */
	readonly mode: number;
}

/** By relative path, without `..` and not absolute. */
export type Payload = ReadonlyMap<string, PayloadFile>;

const DATA = '..data';

/**
 * Brings the directory to the payload.
 *
 * @param group - owning group of the files, where the pod has an fsGroup.
 * @returns whether anything had to change.
 */
export async function writeAtomically(directory: string, payload: Payload, group?: number): Promise<boolean> {
	await mkdir(directory, { recursive: true, mode: 0o755 });
	const present = await readlink(join(directory, DATA)).catch(() => undefined);
	const current = present && (await same(join(directory, present), payload)) ? present : undefined;
	const data = current ?? (await swap(directory, payload, group));
	// Also where nothing had to be written: who died after a swap has left this undone.
	const visible = new Set([...payload.keys()].map((path) => path.split('/')[0] ?? path));
	const names = await readdir(directory);
	for (const name of visible) {
		if (!names.includes(name)) await symlink(join(DATA, name), join(directory, name));
	}
	for (const name of names) {
		const stale = name.startsWith('..') ? name !== DATA && name !== data : !visible.has(name);
		if (stale) await rm(join(directory, name), { recursive: true, force: true });
	}
	return !current;
}

/** Writes the payload beside what is there, and puts it in its place. @returns the name of the directory that has it. */
async function swap(directory: string, payload: Payload, group: number | undefined): Promise<string> {
	const stamp = new Date().toISOString().replace(/[-:]/g, '_').replace('T', '_').replace(/\..*/, '');
	const fresh = await mkdtemp(join(directory, `..${stamp}.`));
	await chmod(fresh, 0o755);
	for (const [path, { content, mode }] of payload) {
		const file = join(fresh, path);
		await mkdir(dirname(file), { recursive: true, mode: 0o755 });
		await writeFile(file, content);
		// Not by writeFile's mode, which the umask cuts.
		await chmod(file, group === undefined ? mode : mode | 0o440);
		if (group !== undefined) await chown(file, -1, group);
	}
	const name = basename(fresh);
	const link = join(directory, '..data_tmp');
	await rm(link, { force: true });
	await symlink(name, link);
	await rename(link, join(directory, DATA));
	return name;
}

async function same(directory: string, payload: Payload): Promise<boolean> {
	const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
	const files = entries.filter((entry) => entry.isFile());
	if (files.length !== payload.size) return false;
	for (const [path, { content }] of payload) {
		const stored = await readFile(join(directory, path)).catch(() => undefined);
		if (!stored?.equals(content)) return false;
	}
	return true;
}
