/**
 * The devices of a node: which there are, which container has which, and what it is given with them.
 * Source: Kubernetes documentation, "Device Plugins"; the messages are the kubelet's.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type * as core from 'kubernetes-types/core/v1.js';
import { describe, faults } from '../../client/index.ts';
import type { Pod } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import type { Family } from '../../metrics.ts';
import type { Container } from '../engine/index.ts';
import type { Amounts } from '../node/capacity.ts';
import { uidOf } from '../pods/names.ts';
import type { Wheel } from '../wheel.ts';
import { resolveCdi } from './cdi.ts';
import { type Checkpoint, readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { beginChoice, completeChoice, type Wish, wishesOf } from './choose.ts';
import { DeviceError, rpcError } from './error.ts';
import { countDevices } from './figures.ts';
import { takeFolder } from './folder.ts';
import { type Grant, together } from './grant.ts';
import { createLedger } from './ledger.ts';
import { GPU_FOLDER, GPU_RESOURCE, gpuRuntime, listGpus } from './nvidia.ts';
import { PLUGIN_DEADLINES, type PluginDeadlines } from './plugin.ts';
import { type RegistrationOptions, serveRegistration } from './registration.ts';
import { createStocks } from './stocks.ts';

/** Pause before a folder that could not be had is asked for again. */
const RETRY_MS = 10_000;

/** Changes of amounts that lie closer together are told of once. */
const TELL_PAUSE_MS = 100;

export interface DevicesOptions {
	/** In which plugins find the agent, and put their sockets. */
	readonly folder: string;
	/** Where the checkpoint lies. */
	readonly file: string;
	/** What the engine gives by itself. */
	readonly engine: { readonly gpus?: boolean; readonly cdi?: boolean };
	/** Whether the pod may still use what it has; asked before devices are given to another. */
	holds(uid: string): boolean;
	/** The amounts are others. */
	changed(): void;
	readonly wheel: Wheel;
	readonly log: Log;
	readonly signal: AbortSignal;
	readonly deadlines?: PluginDeadlines;
	/** Where the driver lists GPUs, and where specifications of CDI devices lie. For tests. */
	readonly gpuFolder?: string;
	readonly cdiFolders?: readonly string[];
}

/** What a container is created with. */
export interface Given extends Grant {
	readonly ids: Readonly<Record<string, readonly string[]>>;
}

export interface Devices {
	/** Nothing is known of what plugins had before: what the Node says of them is not true any more. */
	readonly fresh: boolean;
	amounts(): Amounts;
	/** What containers have that an earlier agent has made. Asked before the first pod is admitted. */
	recall(containers: Iterable<Container>): void;
	/** Gives the pod's containers their devices. @returns why not; undefined where it needs none or has them. */
	admit(pod: Pod, signal: AbortSignal): Promise<string | undefined>;
	/** What the container is to be created with; undefined where it has no devices. Throws DeviceError. */
	prepare(pod: Pod, container: core.Container, signal: AbortSignal): Promise<Given | undefined>;
	families(): Family[];
	/** Settles when no plugin is followed and nothing is written any more, after the signal has aborted. */
	idle(): Promise<void>;
}

export async function createDevices(options: DevicesOptions): Promise<Devices> {
	const { folder, file, engine, holds, changed, wheel, log, signal, cdiFolders } = options;
	const { deadlines = PLUGIN_DEADLINES, gpuFolder = GPU_FOLDER } = options;
	const known = faults(log);
	const before = await readCheckpoint(file).catch((error: unknown) => {
		const message =
			'the record of devices that pods have is broken; what containers say of themselves stands in for it';
		log.warn({ file, cause: describe(error) }, message);
		return undefined;
	});
	const ledger = createLedger();
	for (const allocation of before?.allocations ?? []) ledger.put(allocation);
	/** Pods that are being given devices: they keep what they have so far. */
	const admitting = new Set<string>();
	const counts = countDevices();

	const writes = checkpointWriter(file, () => ({ resources: stocks.names(), allocations: ledger.all() }));
	const save = () =>
		writes
			.now()
			.catch((error: unknown) => known.failed('checkpoint', error, 'what devices pods have cannot be recorded'));
	let names = '';
	let telling = false;
	const tell = () => {
		if (telling) return;
		telling = true;
		wheel.after(TELL_PAUSE_MS, () => {
			telling = false;
			changed();
		});
	};
	const stocks = createStocks(wheel, () => {
		tell();
		const now = stocks.names().join(' ');
		if (now === names) return;
		names = now;
		void save();
	});
	for (const resource of before?.resources ?? []) stocks.expect(resource);
	if (engine.gpus) {
		const healthy = await listGpus(gpuFolder);
		if (healthy.length > 0) {
			stocks.attach(GPU_RESOURCE, gpuRuntime);
			stocks.list(GPU_RESOURCE, gpuRuntime, { healthy, unhealthy: [] });
		}
	}
	await save();
	const serving = keepServing({ folder, stocks, deadlines, registered: counts.registered, known, log, signal });

	/** Whether a plugin has or had the resource. What else a node has by this name needs no plugin. */
	const isDevice = (resource: string) => stocks.has(resource) || ledger.taken(resource).size > 0;

	/** What containers before this one in the pod have had, and nobody in it has since. */
	const lentTo = (uid: string, wish: Wish, wishes: readonly Wish[]): ReadonlySet<string> => {
		const ids = new Set<string>();
		for (const { container, resource, lends } of wishes.slice(0, wishes.indexOf(wish))) {
			if (resource !== wish.resource) continue;
			for (const id of ledger.get(uid, container, resource)?.ids ?? [])
				if (lends) ids.add(id);
				else ids.delete(id);
		}
		return ids;
	};
	/** Gives the container what it wishes, where it has not got it. `wishes` are all of its pod. */
	const allocate = async (uid: string, wish: Wish, wishes: readonly Wish[], given: AbortSignal) => {
		const { container, resource, count } = wish;
		const had = ledger.get(uid, container, resource);
		if (had && had.ids.length !== count)
			throw new DeviceError(
				`pod "${uid}" container "${container}" changed request for resource "${resource}" from ${had.ids.length} to ${count}`,
			);
		// What was given before is the pod's: the agent may have died after that, and its plugin may not be back.
		if (had?.grant) return;
		const stock = stocks.get(resource);
		if (!stock) throw new DeviceError(`cannot allocate unregistered device ${resource}`);
		const { provider } = stock;
		let ids = had?.ids;
		if (!ids) {
			const begin = () => {
				const { healthy = [] } = stocks.get(resource) ?? {};
				return beginChoice(wish, { healthy, taken: ledger.taken(resource), reusable: lentTo(uid, wish, wishes) });
			};
			const { chosen, available, missing } = begin();
			const wanted = { available: [...chosen, ...available], mustInclude: chosen, count };
			const preferred = missing > 0 ? await provider?.prefer(wanted, given) : [];
			// Others may have taken some while the plugin thought.
			ids = completeChoice(begin(), preferred);
		}
		if (!provider) throw new DeviceError(`endpoint of ${resource} has been stopped`);
		using _reserved = ledger.reserve(resource, ids);
		const began = performance.now();
		const grant = await provider.allocate(ids, given).finally(() => {
			counts.allocated(resource, (performance.now() - began) / 1000);
		});
		ledger.put({ uid, container, resource, ids, grant });
	};

	return {
		fresh: before === undefined,
		amounts: stocks.amounts,
		recall(containers) {
			for (const { pod, name, deviceIds = {} } of containers)
				for (const [resource, ids] of Object.entries(deviceIds)) {
					if (ledger.get(pod.uid, name, resource)) continue;
					ledger.put({ uid: pod.uid, container: name, resource, ids });
					stocks.expect(resource);
				}
		},
		async admit(pod, given) {
			const wishes = wishesOf(pod).filter(({ resource }) => isDevice(resource));
			if (wishes.length === 0) return undefined;
			const uid = uidOf(pod);
			admitting.add(uid);
			try {
				for (const other of [...ledger.uids()]) if (!admitting.has(other) && !holds(other)) ledger.drop(other);
				for (const wish of wishes) await allocate(uid, wish, wishes, given);
				await writes.now();
				return undefined;
			} catch (error) {
				ledger.drop(uid);
				given.throwIfAborted();
				return `Allocate failed due to ${rpcError(error)}, which is unexpected`;
			} finally {
				admitting.delete(uid);
			}
		},
		async prepare(pod, container, given) {
			const uid = uidOf(pod);
			const wishes = wishesOf(pod).filter(({ resource }) => isDevice(resource));
			const own = wishes.filter((wish) => wish.container === container.name);
			if (own.length === 0) return undefined;
			try {
				for (const wish of own) {
					// Its plugin had not registered when the pod came, or only the container has remembered what it had.
					if (!ledger.get(uid, wish.container, wish.resource)?.grant) {
						await allocate(uid, wish, wishes, given);
						await writes.now();
					}
					const { ids = [] } = ledger.get(uid, wish.container, wish.resource) ?? {};
					const provider = stocks.get(wish.resource)?.provider;
					if (provider?.preStartRequired) await provider.preStart(ids, given);
				}
				const allocations = ledger.of(uid, container.name);
				const ids = Object.fromEntries(allocations.map((one) => [one.resource, one.ids]));
				const grant = together(allocations.flatMap((one) => one.grant ?? []));
				if (engine.cdi || grant.cdi.length === 0) return { ...grant, ids };
				return { ...together([grant, await resolveCdi(grant.cdi, cdiFolders)]), cdi: [], ids };
			} catch (error) {
				given.throwIfAborted();
				throw new DeviceError(rpcError(error));
			}
		},
		families: counts.families,
		async idle() {
			await serving;
			await writes.idle();
		},
	};
}

/** Serves plugins until the signal aborts; tried again and again where the folder cannot be had. */
async function keepServing(options: RegistrationOptions): Promise<void> {
	const { folder, known, log, signal } = options;
	while (!signal.aborted) {
		try {
			using taken = await takeFolder(folder);
			await using registration = await serveRegistration(options);
			known.healed('folder', 'device plugins can register');
			log.info({ socket: taken.socket }, 'device plugins may register');
			await registration.ended;
		} catch (error) {
			if (signal.aborted) return;
			known.failed('folder', error, 'device plugins cannot register; trying on', { folder });
			await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
		}
	}
}

/** Writes one after the other: who asks while one is written gets the next, with all who ask meanwhile. */
function checkpointWriter(file: string, read: () => Checkpoint) {
	let last: Promise<void> = Promise.resolve();
	let next: Promise<void> | undefined;
	return {
		/** Settles once what is there now is on the disk. */
		now(): Promise<void> {
			next ??= last.then(async () => {
				next = undefined;
				await writeCheckpoint(file, read()).catch((error: unknown) => {
					throw new DeviceError(`failed to write checkpoint file "${file}": ${describe(error)}`);
				});
			});
			last = next.catch(() => undefined);
			return next;
		},
		idle: () => last,
	};
}
