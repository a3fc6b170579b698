/**
 * The volumes of drivers on this node. A volume is staged once for the node and published for each pod, in this order, and taken down
 * in the other. What a driver is asked for is written down before: see records.ts. Calls about one volume follow one another; a driver
 * that hangs keeps its own volumes waiting and no others. Source: the Container Storage Interface, "Volume Lifecycle".
 */
import { lstat, mkdir, rmdir, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, type EventRecorder, type Faults } from '../../client/index.ts';
import { attachedVolumeName, type CSIDriver } from '../../kinds/index.ts';
import { VolumeError } from '../volumes/error.ts';
import { unmountBelow } from '../volumes/mount.ts';
import { takeOver } from '../volumes/ownership.ts';
import type { Wheel } from '../wheel.ts';
import type { Attachments } from './attachments.ts';
import { capabilityOf, givesToGroup } from './capability.ts';
import type { Driver, Drivers } from './drivers.ts';
import { isUnsettled, wordsOf } from './error.ts';
import { publishPath, stagingPath, volumeKey } from './places.ts';
import {
	allPublished,
	allStaged,
	type Published,
	publishedOf,
	removePublished,
	removeStaged,
	type Staged,
	writePublished,
	writeStaged,
} from './records.ts';
import {
	type DriverRules,
	mountsGroup,
	type PodFacts,
	type PublishContext,
	publishRequest,
	rulesFor,
	type SecretName,
	stageRequest,
	stages,
	type Wanted,
} from './request.ts';
import { createTurns } from './turns.ts';

/** How often a volume is published again where its driver wants that. The kubelet does so at each of its periodic looks at a pod. */
const REPUBLISH_MS = 60_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 120_000;

export interface CsiVolumes {
	/** Where the volume is published for the pod; it need not be yet. */
	place(uid: string, name: string): string;
	/** Makes the volume ready for the pod, also one that is. Gives where it lies. Throws VolumeError. */
	mount(wanted: Wanted, pod: PodFacts): Promise<string>;
	/** The same for one that the pod has, as it was wanted then. Gives false where the path is none of a driver's. Throws VolumeError. */
	remount(uid: string, path: string): Promise<boolean>;
	/** Takes down all volumes of the pod. Throws while one cannot be. */
	unmount(uid: string): Promise<void>;
	/**
	 * Makes use of a volume that has become larger. Rejects with PluginError, or VolumeError where no pod here has it. Where its driver
	 * needs nothing of the node for that, nothing is done.
	 */
	expand(driver: string, handle: string, capacityRange: object): Promise<object>;
	/** What the node's status says is in use: others must not take it away. Undefined while it is not known. */
	inUse(): readonly string[] | undefined;
	idle(): Promise<void>;
}

export interface CsiVolumesOptions {
	readonly dataDir: string;
	readonly kubeletDir: string;
	readonly drivers: Drivers;
	readonly attachments: Attachments;
	/** The driver's object. */
	driverObject(name: string): Promise<CSIDriver | undefined>;
	/** What a Secret holds, as text. Throws VolumeError where there is none. */
	secret(name: SecretName): Promise<Readonly<Record<string, string>>>;
	/** `inUse` gives something else. */
	readonly changed: () => void;
	readonly events: EventRecorder;
	readonly faults: Faults;
	readonly wheel: Wheel;
	readonly signal: AbortSignal;
}

/** A volume on this node. */
interface Here {
	readonly driver: string;
	readonly handle: string;
	attachable: boolean;
	/** Pods that have it, or will: `uid/name`. */
	readonly users: Set<string>;
	staged: Staged | undefined;
	/** Staged since the agent began: before, the machine may have been another. */
	fresh: boolean;
	retryMs: number;
}

export function createCsiVolumes(options: CsiVolumesOptions): CsiVolumes {
	const { dataDir, kubeletDir, drivers, attachments, events, faults, wheel, signal } = options;
	const volumes = new Map<string, Here>();
	const turns = createTurns();
	const republished = new Map<string, { readonly wanted: Wanted; readonly pod: PodFacts }>();
	/** What an agent before this one has left was read. */
	let known = false;
	const loaded = load();
	// Whoever needs it hears of it.
	loaded.catch(() => {});

	async function load(): Promise<void> {
		for (const staged of await allStaged(dataDir)) {
			const here = of(staged.driver, staged.handle);
			here.staged = staged;
			here.attachable ||= staged.attachable;
		}
		for (const { driver, handle, attachable, uid, name } of await allPublished(dataDir)) {
			const here = of(driver, handle);
			here.users.add(`${uid}/${name}`);
			here.attachable ||= attachable;
		}
		known = true;
		options.changed();
		sweepAll();
	}
	function of(driver: string, handle: string): Here {
		const key = volumeKey(driver, handle);
		const known = volumes.get(key);
		if (known) return known;
		const made: Here = {
			...{ driver, handle, attachable: false, users: new Set<string>(), staged: undefined, fresh: false },
			retryMs: RETRY_FIRST_MS,
		};
		volumes.set(key, made);
		return made;
	}

	/** Takes volumes down that no pod has any more. What cannot be is tried again: no pod waits for it. */
	function sweep(here: Here): void {
		const key = volumeKey(here.driver, here.handle);
		const work = turns.take(key, async () => {
			if (here.users.size > 0 || volumes.get(key) !== here || signal.aborted) return;
			try {
				if (here.staged) await unstage(here.staged);
				faults.healed(key, 'a volume could be unstaged after all');
				volumes.delete(key);
				if (here.attachable) options.changed();
			} catch (error) {
				if (signal.aborted) return;
				faults.failed(key, error, 'a volume cannot be unstaged; trying on', { driver: here.driver });
				wheel.after(here.retryMs, () => sweep(here));
				here.retryMs = Math.min(here.retryMs * 2, RETRY_MAX_MS);
			}
		});
		work.catch(() => {});
	}
	function sweepAll(): void {
		// Before all records are read, a volume only seems to have no pods.
		if (!known) return;
		for (const here of volumes.values()) if (here.users.size === 0) sweep(here);
	}
	// One that comes back can take down what it could not before.
	drivers.onChange(sweepAll);

	async function unstage(record: Staged): Promise<void> {
		const driver = registered(record.driver);
		const request = { volumeId: record.handle, stagingTargetPath: record.path };
		await driver.call('Node', 'NodeUnstageVolume', request, signal).catch((error: unknown) => {
			throw new Error(`UnmountDevice failed: ${wordsOf(error)}`);
		});
		await removePlace(record.path, signal);
		await removeStaged(dataDir, record);
	}
	function registered(name: string): Driver {
		const driver = drivers.get(name);
		if (!driver) throw new VolumeError(`driver name ${name} not found in the list of registered CSI drivers`);
		return driver;
	}

	async function stage(
		here: Here,
		wanted: Wanted,
		driver: Driver,
		{ context, group }: { readonly context: PublishContext; readonly group: number | undefined },
	): Promise<string> {
		const { driver: name, handle } = wanted;
		const path = here.staged?.path ?? stagingPath(kubeletDir, name, handle);
		if (here.fresh) return path;
		const secrets = wanted.stageSecret ? await options.secret(wanted.stageSecret) : {};
		const record = { driver: name, handle, attachable: here.attachable, path };
		await writeStaged(dataDir, record);
		here.staged = record;
		// A driver makes of it what it needs; for a device it is the folder of what it stages.
		await mkdir(path, { recursive: true, mode: 0o750 });
		const request = { ...stageRequest(wanted, driver, path, context, group), secrets };
		await driver.call('Node', 'NodeStageVolume', request, signal).catch((error: unknown) => {
			throw new VolumeError(wordsOf(error), 'MountVolume.MountDevice');
		});
		here.fresh = true;
		return path;
	}

	async function publish(
		wanted: Wanted,
		pod: PodFacts,
		driver: Driver,
		{ rules, ...how }: { rules: DriverRules; staging: string | undefined; context: PublishContext; before?: Published },
	): Promise<string> {
		const path = publishPath(kubeletDir, pod.uid, wanted.name);
		const secrets = wanted.publishSecret ? await options.secret(wanted.publishSecret) : {};
		const { driver: name, handle } = wanted;
		const record: Published = {
			...{ driver: name, handle, attachable: rules.attachRequired, uid: pod.uid, name: wanted.name, path },
			...{ wanted, pod, done: how.before?.done ?? false },
		};
		await writePublished(dataDir, record);
		// Of the target itself the driver is the maker.
		await mkdir(dirname(path), { recursive: true, mode: 0o750 });
		const places = { path, context: how.context, podInfo: rules.podInfo, ...(how.staging && { staging: how.staging }) };
		const request = { ...publishRequest(wanted, driver, pod, places), secrets };
		try {
			await driver.call('Node', 'NodePublishVolume', request, signal);
		} catch (error) {
			// What was refused for good was not done: there is nothing to undo.
			if (!isUnsettled(error) && !how.before) await removePublished(dataDir, record);
			throw new VolumeError(wordsOf(error));
		}
		const { group, onRootMismatch } = pod;
		if (group !== undefined && !mountsGroup(driver) && givesToGroup(rules.groupPolicy, wanted.usage, wanted.readOnly))
			await takeOver(path, group, onRootMismatch ? 'OnRootMismatch' : 'Always');
		if (!record.done) await writePublished(dataDir, { ...record, done: true });
		return path;
	}

	async function bring(wanted: Wanted, pod: PodFacts): Promise<string> {
		await loaded;
		const user = `${pod.uid}/${wanted.name}`;
		const here = of(wanted.driver, wanted.handle);
		const others = [...here.users].some((other) => !other.startsWith(`${pod.uid}/`));
		if (others && wanted.usage.accessModes.includes('ReadWriteOncePod'))
			throw new VolumeError('volume uses the ReadWriteOncePod access mode and is already in use by another pod');
		here.users.add(user);
		return turns.take(volumeKey(wanted.driver, wanted.handle), async () => {
			const before = (await publishedOf(dataDir, pod.uid)).find(({ name }) => name === wanted.name);
			const driver = drivers.get(wanted.driver);
			// A driver that is away takes nothing from those who have its volumes.
			if (!driver && before?.done) return before.path;
			if (!driver)
				throw new VolumeError(
					`kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name ${wanted.driver} not found in the list of registered CSI drivers`,
				);
			const rules = rulesFor(await options.driverObject(wanted.driver), wanted);
			here.attachable ||= rules.attachRequired;
			const { driver: name, handle } = wanted;
			if (rules.attachRequired) options.changed();
			const context = rules.attachRequired ? await attachments.attached(name, handle) : {};
			const staging = stages(driver, wanted)
				? await stage(here, wanted, driver, { context, group: pod.group })
				: undefined;
			const path = await publish(wanted, pod, driver, { rules, staging, context, ...(before && { before }) });
			if (rules.republish) republished.set(user, { wanted, pod });
			else republished.delete(user);
			return path;
		});
	}

	async function unpublish(record: Published): Promise<void> {
		const user = `${record.uid}/${record.name}`;
		republished.delete(user);
		const here = of(record.driver, record.handle);
		await turns.take(volumeKey(record.driver, record.handle), async () => {
			const driver = registered(record.driver);
			const request = { volumeId: record.handle, targetPath: record.path };
			await driver.call('Node', 'NodeUnpublishVolume', request, signal);
			await removePlace(record.path, signal);
			await removePublished(dataDir, record);
			here.users.delete(user);
		});
	}

	const republish = () => {
		if (signal.aborted) return;
		for (const [user, { wanted, pod }] of republished)
			bring(wanted, pod).catch((error: unknown) => {
				if (signal.aborted || !republished.has(user)) return;
				const why = `MountVolume.SetUp failed for volume "${wanted.name}" : ${describe(error)}`;
				events.event(reference(pod), 'Warning', 'FailedMount', why);
			});
		wheel.after(REPUBLISH_MS, republish);
	};
	wheel.after(REPUBLISH_MS, republish);

	return {
		place: (uid, name) => publishPath(kubeletDir, uid, name),
		mount: bring,
		async remount(uid, path) {
			const record = (await publishedOf(dataDir, uid)).find((one) => one.path === path);
			if (!record) return false;
			await bring(record.wanted, record.pod);
			return true;
		},
		async unmount(uid) {
			await loaded;
			const records = await publishedOf(dataDir, uid);
			const results = await Promise.allSettled(records.map(unpublish));
			// Those that nothing was asked for yet.
			const left = new Set(records.map(({ name }) => `${uid}/${name}`));
			for (const here of volumes.values())
				for (const user of here.users) if (user.startsWith(`${uid}/`) && !left.has(user)) here.users.delete(user);
			sweepAll();
			for (const [index, result] of results.entries()) {
				const record = records[index];
				if (result.status === 'fulfilled' || !record) continue;
				signal.throwIfAborted();
				const why = `UnmountVolume.TearDown failed for volume "${record.name}" : ${wordsOf(result.reason)}`;
				events.event(reference(record.pod), 'Warning', 'FailedUnMount', why);
				throw new Error(why);
			}
		},
		async expand(name, handle, capacityRange) {
			await loaded;
			return turns.take(volumeKey(name, handle), async () => {
				const here = volumes.get(volumeKey(name, handle));
				const [uid = ''] = [...(here?.users ?? [])].map((user) => user.split('/')[0]);
				const record = (await publishedOf(dataDir, uid)).find((one) => one.handle === handle && one.driver === name);
				if (!record?.done) throw new VolumeError(`no pod of this node has volume ${handle} of CSI driver ${name}`);
				const driver = registered(name);
				if (!driver.capabilities.has('EXPAND_VOLUME')) return {};
				const { usage, expandSecret } = record.wanted;
				const request = {
					volumeId: handle,
					volumePath: record.path,
					stagingTargetPath: here?.staged?.path ?? '',
					capacityRange,
					volumeCapability: capabilityOf(usage, driver.capabilities),
					secrets: expandSecret ? await options.secret(expandSecret) : {},
				};
				return driver.call<object>('Node', 'NodeExpandVolume', request, signal);
			});
		},
		inUse() {
			if (!known) return undefined;
			const attachable = [...volumes.values()].filter((here) => here.attachable);
			return attachable.map(({ driver, handle }) => attachedVolumeName(driver, handle)).sort();
		},
		async idle() {
			await loaded.catch(() => {});
			await turns.idle();
		},
	};
}

const reference = ({ name, namespace, uid }: PodFacts) => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name, namespace, uid },
});

/** Removes the place of a volume that is not there any more, and never what is in it: a driver that was wrong must not cost data. */
async function removePlace(path: string, signal: AbortSignal): Promise<void> {
	await unmountBelow(path, signal);
	const found = await lstat(path).catch(absent);
	if (found?.isDirectory()) await rmdir(path);
	else if (found && (!found.isFile() || found.size === 0)) await unlink(path);
	else if (found) throw new Error(`${path} still holds something`);
	await rmdir(dirname(path)).catch((error: NodeJS.ErrnoException) => {
		if (error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
	});
}

function absent(error: NodeJS.ErrnoException): undefined {
	if (error.code !== 'ENOENT') throw error;
}
