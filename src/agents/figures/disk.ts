/**
 * What folders take of the disk. A folder is walked in the background, one at a time and seldom, since that costs as much as it
 * has files; what is asked for meanwhile is what was found last.
 */
import type { Stats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

/** A folder is not walked again sooner than this, and not sooner than so many times what the last walk took. */
const MIN_AGE_MS = 60_000;
const REST_FACTOR = 20;
/** The blocks in which stat(2) counts. */
const BLOCK = 512;
/** Folders that nobody has asked for since are forgotten. */
const FORGET_MS = 600_000;

export interface DiskUse {
	/** Milliseconds since the epoch of the end of the walk. */
	readonly at: number;
	readonly bytes: number;
	readonly inodes: number;
}

export interface DiskMeter {
	/** What was found last, if anything; where that is old, the folder is walked again. */
	use(path: string): DiskUse | undefined;
	/** What the folder takes now, or took within the last `maxAgeMs`; undefined where there is none. */
	measure(path: string, maxAgeMs: number): Promise<DiskUse | undefined>;
	/** Settles when nothing is walked. */
	idle(): Promise<void>;
}

interface Entry {
	found?: DiskUse;
	nextAt: number;
	askedAt: number;
	walking?: Promise<DiskUse | undefined>;
}

/** `now` in milliseconds since the epoch. */
export function createDiskMeter(now: () => number, signal: AbortSignal): DiskMeter {
	const entries = new Map<string, Entry>();
	let turn: Promise<unknown> = Promise.resolve();

	const entryOf = (path: string): Entry => {
		const time = now();
		for (const [other, { askedAt, walking }] of entries)
			if (!walking && time - askedAt > FORGET_MS) entries.delete(other);
		const entry = entries.get(path) ?? { nextAt: 0, askedAt: time };
		entry.askedAt = time;
		entries.set(path, entry);
		return entry;
	};
	const walk = (path: string, entry: Entry): Promise<DiskUse | undefined> => {
		entry.walking ??= run(path, entry).finally(() => {
			entry.walking = undefined;
		});
		return entry.walking;
	};
	const run = (path: string, entry: Entry): Promise<DiskUse | undefined> => {
		const mine = turn.then(async () => {
			if (signal.aborted) return entry.found;
			const began = performance.now();
			const { bytes, inodes, there } = await diskUse(path, signal);
			const rest = Math.max(MIN_AGE_MS, (performance.now() - began) * REST_FACTOR);
			entry.nextAt = now() + rest;
			entry.found = there ? { at: now(), bytes, inodes } : undefined;
			return entry.found;
		});
		turn = mine.catch(() => undefined);
		return mine;
	};
	return {
		use(path) {
			const entry = entryOf(path);
			// Where the clock was set back, an age is negative.
			if (!entry.walking && (now() >= entry.nextAt || entry.nextAt - now() > FORGET_MS))
				walk(path, entry).catch(() => undefined);
			return entry.found;
		},
		async measure(path, maxAgeMs) {
			const entry = entryOf(path);
			const age = entry.found ? now() - entry.found.at : Number.POSITIVE_INFINITY;
			return age >= 0 && age <= maxAgeMs ? entry.found : walk(path, entry);
		},
		idle: async () => {
			await turn;
		},
	};
}

/**
 * The bytes and inodes below a folder, on its own file system; a file of several names counts once. What goes away meanwhile is
 * left out. `there`: whether there is such a folder.
 */
export async function diskUse(
	root: string,
	signal?: AbortSignal,
): Promise<{ readonly bytes: number; readonly inodes: number; readonly there: boolean }> {
	let bytes = 0;
	let inodes = 0;
	const linked = new Set<string>();
	const top = await look(root);
	if (!top) return { bytes, inodes, there: false };
	const count = async (path: string, stat: Stats): Promise<void> => {
		if (stat.dev !== top.dev || signal?.aborted) return;
		if (stat.nlink > 1 && !stat.isDirectory()) {
			const key = `${stat.ino}`;
			if (linked.has(key)) return;
			linked.add(key);
		}
		inodes++;
		bytes += stat.blocks * BLOCK;
		if (!stat.isDirectory()) return;
		try {
			for await (const { name } of await opendir(path, { bufferSize: 256 })) {
				const child = join(path, name);
				const found = await look(child);
				if (found) await count(child, found);
			}
		} catch (error) {
			if (!isGone(error)) throw error;
		}
	};
	await count(root, top);
	return { bytes, inodes, there: true };
}

async function look(path: string): Promise<Stats | undefined> {
	try {
		return await lstat(path);
	} catch (error) {
		if (isGone(error)) return undefined;
		throw error;
	}
}

const isGone = (error: unknown) =>
	['ENOENT', 'ENOTDIR', 'ESTALE'].includes((error as NodeJS.ErrnoException).code ?? '');
