/**
 * The volumes of this node that are its directories. A directory is made before the first mount, or, for a copy, as soon as the volume is
 * there, so that its source need not wait for a pod. It is removed when the control plane has said that nobody needs the data, and no pod of
 * this machine has it, also none that the API has forgotten. What is held to its size, and what not and why, the volume says itself.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cache, type Client, describe, type EventRecorder, faults, type Informer } from '../../../client/index.ts';
import {
	ApiError,
	CLONE_OF,
	LOCAL_FINALIZER,
	LOCAL_PROVISIONER,
	PersistentVolume,
	quantity,
	REMOVE_DATA,
	SIZE_LIMIT,
	VOLUME_NODE,
} from '../../../kinds/index.ts';
import type { Log } from '../../../log.ts';
import type { Wheel } from '../../wheel.ts';
import { VolumeError } from '../error.ts';
import { podsWith } from '../links.ts';
import { findDirectory, makeDirectory, removeDirectory } from './directory.ts';
import { type Quotas, quotasOf } from './quota.ts';

/** Says who has made a volume. */
const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by';
/** How soon what failed is tried again: at first, doubling up to the last. */
const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 60_000;

export interface LocalVolumes {
	/** The directory of a volume of this node, made where it is not there yet; `use` runs while it cannot be removed. Throws VolumeError. */
	prepare(volume: PersistentVolume, use: (path: string) => Promise<void>): Promise<void>;
	/** Settles when nothing is under way. */
	idle(): Promise<void>;
}

export interface LocalVolumesOptions {
	readonly client: Client;
	readonly cache: Cache;
	readonly events: EventRecorder;
	readonly node: string;
	/** The folder of the directories. */
	readonly root: string;
	/** The folder of the pods' files. */
	readonly pods: string;
	readonly wheel: Wheel;
	readonly log: Log;
	readonly signal: AbortSignal;
}

/** The folder of a node's volumes, in its data directory. */
export const volumeRoot = (dataDir: string) => join(dataDir, 'volumes', 'local');

export const isLocal = ({ metadata }: PersistentVolume) => metadata.annotations?.[PROVISIONED_BY] === LOCAL_PROVISIONER;

/** The volumes of a node, and no others. */
const volumesOf = (cache: Cache, node: string): Informer<PersistentVolume> =>
	cache.informer(PersistentVolume, { fieldSelector: `${VOLUME_NODE}=${node}` });

export function createLocalVolumes(options: LocalVolumesOptions): LocalVolumes {
	const { client, cache, events, node, root, pods, wheel, log, signal } = options;
	const informer = volumesOf(cache, node);
	const known = faults(log);
	const failures = new Map<string, number>();
	/** What is done with a volume is done one after the other. */
	const lines = new Map<string, Promise<unknown>>();
	let quotas: Promise<Quotas | string> | undefined;
	const limits = () => {
		quotas ??= quotasOf(root, signal);
		return quotas;
	};

	const inLine = <T>(name: string, work: () => Promise<T>): Promise<T> => {
		const done = (lines.get(name) ?? Promise.resolve()).then(work, work);
		const settled = done.catch(() => undefined).finally(() => lines.get(name) === settled && lines.delete(name));
		lines.set(name, settled);
		return done;
	};
	const make = async (volume: PersistentVolume): Promise<string> => {
		const { name, annotations = {} } = volume.metadata;
		const path = join(root, name);
		if (volume.spec.local?.path !== path)
			throw new VolumeError(
				`the volume ${name} is at ${volume.spec.local?.path}, and those of this node are in ${root}`,
			);
		const found = await findDirectory(root, name);
		if (found) return found;
		// An empty one in its place would be taken for the data.
		if (annotations[SIZE_LIMIT] !== undefined)
			throw new VolumeError(`the directory ${path} was made before, and is gone`);
		const by = await limits();
		return makeDirectory(
			root,
			name,
			{
				size: sizeOf(volume),
				copyOf: annotations[CLONE_OF],
				...(typeof by !== 'string' && { quotas: by }),
			},
			signal,
		);
	};
	/** Holds the directory to the volume's size as it is now, and says so. */
	const limit = async (volume: PersistentVolume) => {
		const { name, annotations = {} } = volume.metadata;
		const path = await findDirectory(root, name);
		if (!path) return;
		const by = await limits();
		const said = typeof by === 'string' ? `none: ${by}` : String(sizeOf(volume));
		if (annotations[SIZE_LIMIT] === said) return;
		if (typeof by !== 'string') await by.change(path, sizeOf(volume), signal);
		await client.patch(PersistentVolume, { name }, annotation(volume, said));
		if (typeof by === 'string' && annotations[SIZE_LIMIT] === undefined)
			events.event(volume, 'Warning', 'SizeNotEnforced', `the size of the volume is not enforced: ${by}`);
	};
	const remove = async (volume: PersistentVolume) => {
		const { name, uid = '', annotations = {} } = volume.metadata;
		if (annotations[REMOVE_DATA] !== uid) return;
		// What was told may be old: it is asked for once more before anything is lost.
		const now = await client.get(PersistentVolume, { name });
		const { deletionTimestamp, finalizers } = now.metadata;
		if (now.metadata.uid !== uid || !deletionTimestamp || !finalizers?.includes(LOCAL_FINALIZER)) return;
		if (now.spec.persistentVolumeReclaimPolicy !== 'Delete' || now.metadata.annotations?.[VOLUME_NODE] !== node) return;
		const path = join(root, name);
		if (now.spec.local?.path !== path)
			throw new Error(`it is at ${now.spec.local?.path}, and those of this node are in ${root}`);
		const users = await podsWith(pods, path);
		if (users.length > 0) throw new Error(`pods have it still: ${users.join(', ')}`);
		const by = await limits();
		await removeDirectory(root, name, uid, typeof by === 'string' ? undefined : by, signal);
		const left = finalizers.filter((each) => each !== LOCAL_FINALIZER);
		await client.update(PersistentVolume, { ...now, metadata: { ...now.metadata, finalizers: left } });
	};
	const look = async (name: string) => {
		const volume = informer.get(name);
		if (!volume || !isLocal(volume) || signal.aborted) return;
		try {
			await inLine(name, async () => {
				if (volume.metadata.deletionTimestamp) return remove(volume);
				if (volume.metadata.annotations?.[CLONE_OF] && volume.metadata.annotations[SIZE_LIMIT] === undefined)
					await make(volume);
				await limit(volume);
			});
			failures.delete(name);
			known.healed(name, `volume ${name}: works again`);
		} catch (error) {
			if (signal.aborted || (error instanceof ApiError && (error.code === 404 || error.code === 409))) return;
			const times = (failures.get(name) ?? 0) + 1;
			failures.set(name, times);
			known.failed(name, error, `volume ${name} cannot be kept as it must be; trying on`);
			const reason = volume.metadata.deletionTimestamp ? 'VolumeFailedDelete' : 'VolumeFailed';
			events.event(volume, 'Warning', reason, describe(error));
			wheel.after(Math.min(RETRY_FIRST_MS * 2 ** (times - 1), RETRY_MOST_MS), () => track(look(name)));
		}
	};
	const working = new Set<Promise<void>>();
	const track = (work: Promise<void>) => {
		const done = work.finally(() => working.delete(done));
		working.add(done);
	};
	informer.on(({ key, object }) => {
		if (object) track(look(key));
		else failures.delete(key);
	});
	track(tellOrphans());

	/** Directories without a volume are left alone, whoever has made them: somebody may need what is in them. */
	async function tellOrphans(): Promise<void> {
		await informer.synced.catch(() => undefined);
		const names = await readdir(root).catch(() => []);
		const orphans = names.filter((name) => !name.startsWith('.') && !informer.get(name));
		if (orphans.length > 0 && !signal.aborted)
			log.warn(
				{ root, directories: orphans.slice(0, 10), count: orphans.length },
				'directories of volumes that the API does not have are left as they are',
			);
	}

	return {
		prepare: (volume, use) =>
			inLine(volume.metadata.name, async () => {
				if (volume.metadata.deletionTimestamp)
					throw new VolumeError(`the volume ${volume.metadata.name} is being deleted`);
				await use(await make(volume));
			}).then(() => void track(look(volume.metadata.name))),
		async idle() {
			await Promise.allSettled([...working, ...lines.values()]);
		},
	};
}

const sizeOf = ({ spec }: PersistentVolume) => Math.floor(quantity(spec.capacity?.storage ?? '0'));

const annotation = ({ metadata: { uid } }: PersistentVolume, limit: string) =>
	({ type: 'merge', body: { metadata: { uid, annotations: { [SIZE_LIMIT]: limit } } } }) as const;
