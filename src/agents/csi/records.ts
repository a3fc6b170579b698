/**
 * What was asked of drivers and must be undone: on disk before the driver is asked, and until it has answered that it is undone.
 * So it is undone also by an agent that has not done it, and for a pod that nobody knows any more.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { recordName, volumeKey } from './places.ts';
import type { PodFacts, Wanted } from './request.ts';

/** A volume of a driver on this node. */
export interface VolumeRecord {
	readonly driver: string;
	readonly handle: string;
	/** Whether the node's status says that the node has it: others wait for that. */
	readonly attachable: boolean;
}

/** One that is staged, or may be. */
export interface Staged extends VolumeRecord {
	readonly path: string;
}

/** One that is published for a pod, or may be. */
export interface Published extends VolumeRecord {
	readonly uid: string;
	/** Of the PersistentVolume, or of the volume in the pod. */
	readonly name: string;
	readonly path: string;
	/** What it was asked for with, but for secrets. */
	readonly wanted: Wanted;
	readonly pod: PodFacts;
	/** The driver has said that it is. */
	readonly done: boolean;
}

/** Characters of a record; what is in it is bounded where it comes in. */
const MAX_RECORD = 512 * 1024;

const stagedFolder = (dataDir: string) => join(dataDir, 'csi', 'staged');
const stagedFile = (dataDir: string, { driver, handle }: VolumeRecord) =>
	join(stagedFolder(dataDir), recordName(volumeKey(driver, handle)));
/** Among the files of the pod: what is left of a pod that is gone is found by them. */
const publishedFolder = (dataDir: string, uid: string) => join(dataDir, 'pods', uid, 'csi');
const publishedFile = (dataDir: string, { uid, name }: Pick<Published, 'uid' | 'name'>) =>
	join(publishedFolder(dataDir, uid), recordName(name));

export const writeStaged = (dataDir: string, record: Staged) => write(stagedFile(dataDir, record), record);
export const removeStaged = (dataDir: string, record: Staged) => rm(stagedFile(dataDir, record), { force: true });
export const writePublished = (dataDir: string, record: Published) => write(publishedFile(dataDir, record), record);
export const removePublished = (dataDir: string, record: Published) =>
	rm(publishedFile(dataDir, record), { force: true });

/** All that are staged, or may be. Throws where one cannot be read: it could not be undone. */
export const allStaged = (dataDir: string) => readAll(stagedFolder(dataDir), isStaged);

/** Those of a pod. */
export const publishedOf = (dataDir: string, uid: string) => readAll(publishedFolder(dataDir, uid), isPublished);

/** Those of all pods that have files on this machine. */
export async function allPublished(dataDir: string): Promise<Published[]> {
	const uids = await names(join(dataDir, 'pods'));
	return (await Promise.all(uids.map((uid) => publishedOf(dataDir, uid)))).flat();
}

async function write(file: string, record: VolumeRecord): Promise<void> {
	await mkdir(dirname(file), { recursive: true, mode: 0o750 });
	await writeFile(`${file}.new`, JSON.stringify(record), { flush: true });
	await rename(`${file}.new`, file);
}

async function readAll<T extends VolumeRecord>(folder: string, is: (value: unknown) => value is T): Promise<T[]> {
	const records: T[] = [];
	for (const name of await names(folder)) {
		if (!name.endsWith('.json')) continue;
		const text = await readFile(join(folder, name), 'utf8');
		let value: unknown;
		try {
			value = text.length > MAX_RECORD ? undefined : JSON.parse(text);
		} catch {
			value = undefined;
		}
		if (!is(value)) throw new Error(`${join(folder, name)} is no record of a volume`);
		records.push(value);
	}
	return records;
}

const texts = (value: unknown, keys: readonly string[]): boolean =>
	typeof value === 'object' &&
	value !== null &&
	keys.every((key) => typeof (value as Record<string, unknown>)[key] === 'string');
const isStaged = (value: unknown): value is Staged => texts(value, ['driver', 'handle', 'path']);
const isPublished = (value: unknown): value is Published =>
	texts(value, ['driver', 'handle', 'path', 'uid', 'name']) &&
	texts((value as Published).wanted, ['driver', 'handle', 'name']) &&
	texts((value as Published).pod, ['uid', 'name', 'namespace']);

const names = async (folder: string): Promise<string[]> =>
	readdir(folder).catch((error: NodeJS.ErrnoException) => {
		if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
		throw error;
	});
