/** What the pods of a node share. */
import type { LimitFunction } from 'p-limit';
import type { Client, EventRecorder, Faults } from '../../client/index.ts';
import type { Pod } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import type { CsiVolumes } from '../csi/index.ts';
import type { Devices } from '../devices/index.ts';
import type { Engine } from '../engine/index.ts';
import type { PodGroups } from '../groups/groups.ts';
import type { Pressure } from '../pressure/judge.ts';
import type { Prober } from '../probes/prober.ts';
import type { LocalVolumes } from '../volumes/index.ts';
import type { Wheel } from '../wheel.ts';
import type { Objects } from './environment.ts';
import type { Dns } from './files.ts';
import type { Images } from './images.ts';
import type { Mirror } from './mirror.ts';

export interface PodContext {
	readonly engine: Engine;
	readonly client: Client;
	readonly events: EventRecorder;
	readonly log: Log;
	readonly now: () => number;
	readonly signal: AbortSignal;
	readonly wheel: Wheel;
	readonly dataDir: string;
	readonly node: string;
	/** The machine's own address. */
	readonly address: string;
	readonly dns: Dns;
	/** Bytes that the machine has. */
	readonly machineMemory: number;
	readonly allocatable: Readonly<Record<string, string>>;
	/** What the Node offers beside that and beside devices of plugins: an administrator has said so. */
	readonly advertised: () => Readonly<Record<string, string>>;
	readonly devices: Devices;
	/** Unsafe sysctls that pods may set. */
	readonly unsafeSysctls: readonly string[];
	/** Processes that each container may have. */
	readonly maxPids: number;
	readonly objects: Objects;
	readonly localVolumes: LocalVolumes;
	readonly csi: CsiVolumes;
	readonly images: Images;
	readonly prober: Prober;
	readonly groups: PodGroups;
	/** What the node runs short of. */
	pressure(): Pressure;
	readonly mirror: Mirror;
	/** What keeps statuses from being written concerns all pods alike, and is said once. */
	readonly reports: Faults;
	/** The uid that the API has for the pod: of a static one that of its mirror, where there is one. */
	apiUid(pod: Pod): string | undefined;
	/** A static pod has been stopped as it was asked to. */
	staticStopped(pod: Pod): Promise<void>;
	/** Bounds the starts that the engine works on at once. */
	readonly limit: LimitFunction;
	/** Settles once the engine is prepared for sandboxes. */
	prepared(): Promise<void>;
	/** It is not any more: it is prepared anew before the next sandbox. */
	unprepared(): void;
	/** Work that goes on in the background and ends with the agent. */
	background(work: Promise<unknown>): void;
}
