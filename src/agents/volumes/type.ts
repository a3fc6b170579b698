/** What a type of volume is: plain data with functions, chosen by the key of a volume's source. A new type is one file and a line in types/index.ts. */
import type * as core from 'kubernetes-types/core/v1.js';
import type { ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret } from '../../kinds/index.ts';
import type { CsiVolumes } from '../csi/index.ts';
import type { LocalVolumes } from './local/index.ts';
import type { GroupChange } from './ownership.ts';

/** A key of a volume that says what it is made of. */
export type SourceKey = Exclude<keyof core.Volume, 'name'>;
export type Source<Key extends SourceKey> = NonNullable<core.Volume[Key]>;

/** What a volume may read of its pod. */
export interface PodView {
	/** The pod's folder on this machine. */
	readonly root: string;
	readonly volumes: readonly core.Volume[];
	readonly name: string;
	readonly uid: string;
	/** The pod's fsGroup. */
	readonly group?: number;
	/** When a volume is given to the group anew: its fsGroupChangePolicy. */
	readonly groupChange?: GroupChange;
	readonly storage: Storage;
	readonly signal: AbortSignal;
	/** Of the pod's namespace. */
	configMap(name: string): ConfigMap | undefined;
	secret(name: string): Secret | undefined;
	/** A field of the pod for the downward API; undefined where it has no such field. */
	field(path: string): string | undefined;
	/** A resource of a container, for the downward API. Throws where there is none. */
	resource(selector: core.ResourceFieldSelector): string;
}

/** Volumes that outlive pods, as a pod sees them. Asked of the API itself, as they are now. */
export interface Storage {
	/** Of the pod's namespace. */
	claim(name: string): Promise<PersistentVolumeClaim | undefined>;
	volume(name: string): Promise<PersistentVolume | undefined>;
	readonly local: LocalVolumes;
	/** Of storage drivers; absent where the node takes none in. */
	readonly csi?: CsiVolumes;
}

/** One volume, as its type sees it. */
export interface VolumeContext<Key extends SourceKey = SourceKey> {
	readonly source: Source<Key>;
	/** Where it lies on the machine: see VolumeType.path. */
	readonly path: string;
	readonly pod: PodView;
}

/** Names of API objects. */
export interface References {
	readonly configMaps: readonly string[];
	readonly secrets: readonly string[];
}

export interface VolumeType<Key extends SourceKey = SourceKey> {
	readonly key: Key;
	/** Name of the folder of its volumes, as the kubelet calls its plugin: `kubernetes.io~FOLDER`. */
	readonly folder: string;
	/** What it waits for has deadlines of its own, which are longer than those of other volumes. */
	readonly ownDeadlines?: boolean;
	/** Containers may not write to it. */
	readonly readOnly?: boolean;
	/** The same, where the source decides. */
	isReadOnly?(source: Source<Key>): boolean;
	/** Where the volume lies, if not in a folder of the pod's own. */
	path?(source: Source<Key>, pod: PodView): string;
	/** Makes it ready. Also called for one that is ready already, after a restart of the agent. Throws VolumeError. */
	prepare(context: VolumeContext<Key>): Promise<void>;
	/** Brings its content up to date, when what it refers to has changed. Absent: its content is its containers' own. */
	update?(context: VolumeContext<Key>): Promise<void>;
	/** Takes down what `prepare` has made outside of the volume's folder. Mounts on it are undone, and it is deleted, after that. */
	remove?(path: string, signal: AbortSignal): Promise<void>;
	/** The objects of whose change it must hear. */
	references?(source: Source<Key>): References;
}
