/**
 * Images that no container needs any more go when the disk fills up: of those that this node has fetched itself, the longest unused
 * first. What others have put into the engine stays. Source: Kubernetes documentation, "Garbage Collection", Container image lifecycle.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type Faults } from '../../client/index.ts';
import type { Log } from '../../log.ts';
import { type Engine, EngineError, type Image } from '../engine/index.ts';
import { readFileSystem } from '../figures/index.ts';
import type { Wheel } from '../wheel.ts';

/** Between two looks. As the kubelet's. */
export const IMAGE_LOOK_MS = 300_000;

export interface ImageGarbageOptions {
	/** Shares of the disk in use, 0 to 100: from which images are removed, and down to which. */
	readonly highPercent?: number;
	readonly lowPercent?: number;
	/** An image stays for so long after it was fetched. */
	readonly minAgeMs?: number;
}

export const IMAGE_GARBAGE = { highPercent: 85, lowPercent: 80, minAgeMs: 120_000 } as const;

/** An image that may go. Times in milliseconds since the epoch. */
export interface Known {
	readonly id: string;
	readonly size: number;
	readonly fetchedAt: number;
	readonly usedAt: number;
	/** A container or a pod of the node needs it now. */
	readonly used: boolean;
}

/** The images to remove so that `bytes` are freed, in their order: the longest unused first, of these the oldest. Pure. */
export function imagesToRemove(
	images: readonly Known[],
	{ bytes, now, minAgeMs }: { readonly bytes: number; readonly now: number; readonly minAgeMs: number },
): readonly string[] {
	let left = bytes;
	return images
		.filter(({ used, fetchedAt }) => !used && now - fetchedAt >= minAgeMs)
		.sort((a, b) => a.usedAt - b.usedAt || a.fetchedAt - b.fetchedAt)
		.filter(({ size }) => {
			if (left <= 0) return false;
			left -= size;
			return true;
		})
		.map(({ id }) => id);
}

/** How many bytes are to be freed of a disk; none while less than `highPercent` of it are in use. Pure. */
export function bytesToFree(
	{ capacity, available }: { readonly capacity: number; readonly available: number },
	{ highPercent, lowPercent }: { readonly highPercent: number; readonly lowPercent: number },
): number {
	const percent = capacity > 0 ? 100 - Math.floor((available * 100) / capacity) : 0;
	return percent >= highPercent ? Math.max(0, (capacity * (100 - lowPercent)) / 100 - available) : 0;
}

export interface ImageGarbage {
	/** An image was fetched for a pod of this node. */
	fetched(id: string): void;
	/** Looks now and then until the signal aborts. */
	start(): Promise<void>;
	/** Removes all that nobody needs, however full the disk is. */
	removeUnused(): Promise<void>;
	idle(): Promise<void>;
}

export interface ImageGarbageParts extends ImageGarbageOptions {
	readonly engine: Engine;
	/** Of the engine, as this machine sees it. */
	readonly root: string;
	readonly dataDir: string;
	/** Ids of images that containers and pods of the node need. */
	readonly used: () => ReadonlySet<string>;
	/** An event about the node. */
	readonly tell: (reason: string, message: string) => void;
	readonly faults: Faults;
	readonly now: () => number;
	readonly wheel: Wheel;
	readonly log: Log;
	readonly signal: AbortSignal;
}

interface Record_ {
	fetchedAt: number;
	usedAt: number;
}

export function collectImages(parts: ImageGarbageParts): ImageGarbage {
	const { engine, root, dataDir, used, tell, faults, now, wheel, log, signal } = parts;
	const {
		highPercent = IMAGE_GARBAGE.highPercent,
		lowPercent = IMAGE_GARBAGE.lowPercent,
		minAgeMs = IMAGE_GARBAGE.minAgeMs,
	} = parts;
	const file = join(dataDir, 'images.json');
	/** By id: of those that this node has fetched. */
	let records = new Map<string, Record_>();
	let working: Promise<void> = Promise.resolve();

	const load = async () => {
		const text = await readFile(file, 'utf8').catch(() => '{}');
		try {
			records = new Map([...Object.entries(JSON.parse(text) as Record<string, Record_>), ...records]);
		} catch (error) {
			// What is not known to be ours stays.
			log.warn({ file, cause: describe(error) }, 'which images this node has fetched cannot be read: they stay');
		}
	};
	const save = async () => {
		await writeFile(`${file}.new`, JSON.stringify(Object.fromEntries(records)));
		await rename(`${file}.new`, file);
	};
	/** One after the other: two at once would free twice as much. */
	const inTurn = (run: () => Promise<void>): Promise<void> => {
		working = working.then(run).catch((error: unknown) => {
			if (!signal.aborted) faults.failed('images', error, 'unused images cannot be removed; trying on');
		});
		return working;
	};
	const known = async (): Promise<readonly (Known & { readonly image: Image })[]> => {
		const inUse = used();
		const images = await engine.images.list();
		const present = new Set(images.map(({ id }) => id));
		for (const id of records.keys()) if (!present.has(id)) records.delete(id);
		const time = now();
		const found = images.flatMap((image) => {
			const record = records.get(image.id);
			if (!record) return [];
			if (inUse.has(image.id)) record.usedAt = time;
			return [{ id: image.id, size: image.size, ...record, used: inUse.has(image.id), image }];
		});
		await save();
		return found;
	};
	const remove = async (bytes: number, age: number): Promise<number> => {
		const all = await known();
		let freed = 0;
		for (const id of imagesToRemove(all, { bytes, now: now(), minAgeMs: age })) {
			const one = all.find((each) => each.id === id);
			if (!one) continue;
			try {
				for (const reference of [...one.image.tags, ...one.image.digests, id])
					if (!reference.includes('<none>')) await engine.images.remove(reference);
				records.delete(id);
				freed += one.size;
				log.info({ image: one.image.tags[0] ?? id, bytes: one.size }, 'an image that nobody uses was removed');
			} catch (error) {
				// A container of somebody else has it: then it is not unused.
				if (!(error instanceof EngineError) || error.fault !== 'conflict') throw error;
				const record = records.get(id);
				if (record) record.usedAt = now();
			}
		}
		await save();
		return freed;
	};
	const look = async () => {
		const system = root ? readFileSystem(root, now()) : undefined;
		const bytes = system ? bytesToFree(system, { highPercent, lowPercent }) : 0;
		if (bytes > 0) {
			const freed = await remove(bytes, minAgeMs);
			if (freed < bytes)
				tell(
					'FreeDiskSpaceFailed',
					`Failed to garbage collect required amount of images. Attempted to free ${Math.ceil(bytes)} bytes, but only found ${freed} bytes eligible to free.`,
				);
		} else if (records.size > 0) await known();
		faults.healed('images', 'unused images can be removed again');
	};
	const again = () => {
		if (!signal.aborted) wheel.after(IMAGE_LOOK_MS, () => void inTurn(look).then(again));
	};
	return {
		fetched(id) {
			const time = now();
			records.set(id, { fetchedAt: time, usedAt: time });
			void inTurn(save);
		},
		async start() {
			await load();
			again();
		},
		removeUnused: () => inTurn(async () => void (await remove(Number.POSITIVE_INFINITY, 0))),
		idle: () => working,
	};
}
