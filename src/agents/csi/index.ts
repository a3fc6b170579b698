/** The door of csi/: drivers of the Container Storage Interface on this node, and the volumes that pods have of them. */
import { type Cache, type Client, type EventRecorder, faults } from '../../client/index.ts';
import { ApiError, CSIDriver, Secret } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import { followRegistry } from '../plugins/registry.ts';
import { VolumeError } from '../volumes/error.ts';
import type { Wheel } from '../wheel.ts';
import { createAttachments } from './attachments.ts';
import { tellDrivers } from './csi-node.ts';
import { createDrivers, type Driver, type Drivers } from './drivers.ts';
import { registryFolder } from './places.ts';
import { openDriver, refusal } from './register.ts';
import { type CsiVolumes, createCsiVolumes } from './volumes.ts';

export type { Driver, Drivers } from './drivers.ts';
export { isUnsettled, wordsOf } from './error.ts';
export { ofPod, ofVolume, type PodFacts } from './request.ts';
export type { CsiVolumes } from './volumes.ts';

export interface Csi {
	readonly drivers: Pick<Drivers, 'get'>;
	readonly volumes: CsiVolumes;
	/** The Node is there: what the API is to know of the drivers is told from now on. */
	begin(): void;
	idle(): Promise<void>;
}

const RETRY_MS = 5_000;

/**
 * Drivers are followed from now on.
 *
 * @param changed - the node's status is to say something else.
 * @param retry - what pods wait for may be there now.
 */
export function createCsi(options: {
	readonly client: Client;
	readonly cache: Cache;
	readonly events: EventRecorder;
	readonly node: string;
	readonly dataDir: string;
	readonly kubeletDir: string;
	readonly changed: () => void;
	readonly retry: () => void;
	readonly wheel: Wheel;
	readonly log: Log;
	readonly signal: AbortSignal;
}): Csi {
	const { client, cache, node, wheel, log, signal, retry } = options;
	const drivers = createDrivers();
	const reports = faults(log);
	let begun = false;
	let telling: Promise<void> | undefined;
	let again = false;

	const tell = () => {
		if (!begun || signal.aborted) return;
		again = true;
		telling ??= (async () => {
			while (again && !signal.aborted) {
				again = false;
				try {
					await tellDrivers(client, node, [...drivers.all()], registry.settled);
					reports.healed('drivers', 'the storage drivers of the node could be told after all');
				} catch (error) {
					if (signal.aborted) return;
					reports.failed('drivers', error, 'the storage drivers of the node cannot be told; trying on');
					wheel.after(RETRY_MS, tell);
				}
			}
		})().finally(() => {
			telling = undefined;
		});
	};
	const registry = followRegistry({
		folder: registryFolder(options.kubeletDir),
		types: {
			CSIPlugin: {
				async register(plugin, gone) {
					const wrong = refusal(plugin);
					if (wrong) throw new Error(wrong);
					const driver: Driver & Disposable = await openDriver(plugin, gone);
					drivers.add(driver);
					const end = () => {
						driver[Symbol.dispose]();
						// That the agent ends says nothing of its drivers.
						if (!signal.aborted) drivers.remove(driver);
					};
					if (gone.aborted) end();
					else gone.addEventListener('abort', end, { once: true });
				},
			},
		},
		wheel,
		changed: tell,
		log,
		signal,
	});
	drivers.onChange(tell);
	drivers.onChange(retry);
	const attachments = createAttachments({ client, cache, node, changed: retry, signal });
	const volumes = createCsiVolumes({
		...{ dataDir: options.dataDir, kubeletDir: options.kubeletDir, drivers, attachments, wheel, signal },
		driverObject: (name) => client.get(CSIDriver, { name }).catch(absent),
		async secret({ name, namespace }) {
			const found = await client.get(Secret, { name, namespace }).catch(absent);
			if (!found) throw new VolumeError(`failed to get secret ${namespace}/${name}: secrets "${name}" not found`);
			const entries = Object.entries(found.data ?? {});
			return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
		},
		changed: options.changed,
		events: options.events,
		faults: reports,
	});
	return {
		drivers,
		volumes,
		begin() {
			begun = true;
			tell();
		},
		async idle() {
			await registry.idle();
			while (telling) await telling;
			await volumes.idle();
		},
	};
}

function absent(error: unknown): undefined {
	if (!(error instanceof ApiError) || error.code !== 404) throw error;
}
