/** What a pod wants of a driver's volume, and how the driver is asked for it: pure. Source: the Container Storage Interface; Kubernetes documentation, "Volumes", csi. */
import type * as core from 'kubernetes-types/core/v1.js';
import type { CSIDriver, PersistentVolume } from '../../kinds/index.ts';
import { VolumeError } from '../volumes/error.ts';
import { capabilityOf, type Usage } from './capability.ts';
import type { Driver } from './drivers.ts';
import { ephemeralHandle } from './places.ts';

/** The longest handle of a volume, and all of its attributes, in bytes. Source: the Container Storage Interface, "Size Limits" (128 bytes, 4 KiB), with room. */
const MAX_HANDLE_BYTES = 1024;
const MAX_ATTRIBUTES_BYTES = 64 * 1024;

export interface SecretName {
	readonly namespace: string;
	readonly name: string;
}

export interface PodFacts {
	readonly uid: string;
	readonly name: string;
	readonly namespace: string;
	readonly serviceAccount: string;
	/** Its fsGroup. */
	readonly group?: number;
	readonly onRootMismatch: boolean;
}

export interface Wanted {
	readonly driver: string;
	readonly handle: string;
	/** Of the PersistentVolume, or of the volume in the pod. */
	readonly name: string;
	/** Lives as long as its pod. */
	readonly ephemeral: boolean;
	readonly attributes: Readonly<Record<string, string>>;
	readonly usage: Usage;
	readonly readOnly: boolean;
	readonly stageSecret?: SecretName;
	readonly publishSecret?: SecretName;
	readonly expandSecret?: SecretName;
}

/** Of a volume that a claim has. Throws VolumeError where no driver could make it out. */
export function ofVolume({ metadata, spec }: PersistentVolume, readOnly: boolean): Wanted {
	const { csi } = spec;
	if (!csi) throw new VolumeError(`the volume ${metadata.name} is none of a CSI driver`);
	return checked({
		driver: csi.driver,
		handle: csi.volumeHandle,
		name: metadata.name,
		ephemeral: false,
		attributes: csi.volumeAttributes ?? {},
		usage: {
			accessModes: spec.accessModes ?? [],
			mode: spec.volumeMode === 'Block' ? 'Block' : 'Filesystem',
			...(csi.fsType && { fsType: csi.fsType }),
			mountOptions: spec.mountOptions ?? [],
		},
		readOnly: readOnly || csi.readOnly === true,
		...secret('stageSecret', csi.nodeStageSecretRef),
		...secret('publishSecret', csi.nodePublishSecretRef),
		...secret('expandSecret', csi.nodeExpandSecretRef),
	});
}

/** Of a volume that a pod has of its own. */
export function ofPod(source: core.CSIVolumeSource, volume: string, { uid, namespace }: PodFacts): Wanted {
	const { nodePublishSecretRef: reference } = source;
	return checked({
		driver: source.driver,
		handle: ephemeralHandle(uid, volume),
		name: volume,
		ephemeral: true,
		attributes: source.volumeAttributes ?? {},
		usage: {
			accessModes: ['ReadWriteOnce'],
			mode: 'Filesystem',
			...(source.fsType && { fsType: source.fsType }),
			mountOptions: [],
		},
		readOnly: source.readOnly === true,
		...secret('publishSecret', reference && { name: reference.name, namespace }),
	});
}

const secret = <Key extends string>(key: Key, reference: core.SecretReference | undefined) =>
	(reference?.name && reference.namespace
		? { [key]: { name: reference.name, namespace: reference.namespace } }
		: {}) as Partial<Record<Key, SecretName>>;

function checked(wanted: Wanted): Wanted {
	if (Buffer.byteLength(wanted.handle) > MAX_HANDLE_BYTES)
		throw new VolumeError(
			`the handle of a volume of CSI driver ${wanted.driver} has more than ${MAX_HANDLE_BYTES} bytes`,
		);
	const size = Object.entries(wanted.attributes).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
	if (size > MAX_ATTRIBUTES_BYTES)
		throw new VolumeError(
			`the attributes of a volume of CSI driver ${wanted.driver} have more than ${MAX_ATTRIBUTES_BYTES} characters`,
		);
	return wanted;
}

/** What a driver's CSIDriver object says; the defaults where it has none. Source: Kubernetes API reference, "CSIDriver". */
export interface DriverRules {
	readonly attachRequired: boolean;
	readonly podInfo: boolean;
	readonly groupPolicy: string;
	readonly republish: boolean;
}

/** Throws VolumeError, in the kubelet's words, where the driver does not have such volumes or asks for what nodes here do not give. */
export function rulesFor(object: CSIDriver | undefined, { driver, ephemeral }: Wanted): DriverRules {
	const mode = ephemeral ? 'Ephemeral' : 'Persistent';
	const modes = object?.spec.volumeLifecycleModes ?? ['Persistent'];
	if (!modes.includes(mode))
		throw new VolumeError(
			`kubernetes.io/csi: mounter.SetUpAt failed to check volume lifecycle mode: volume mode "${mode}" not supported by driver ${driver} ${
				object ? `(only supports ${JSON.stringify(modes)})` : '(no CSIDriver object)'
			}`,
		);
	if (object?.spec.tokenRequests?.length)
		throw new VolumeError(
			`CSI driver ${driver} asks for service account tokens (tokenRequests), which this node does not give`,
		);
	return {
		attachRequired: !ephemeral && object?.spec.attachRequired !== false,
		podInfo: object?.spec.podInfoOnMount === true,
		groupPolicy: object?.spec.fsGroupPolicy ?? 'ReadWriteOnceWithFSType',
		republish: object?.spec.requiresRepublish === true,
	};
}

/** Whether the driver itself gives the volume to the pod's group. */
export const mountsGroup = ({ capabilities }: Driver) => capabilities.has('VOLUME_MOUNT_GROUP');
export const stages = ({ capabilities }: Driver, { ephemeral }: Pick<Wanted, 'ephemeral'>) =>
	!ephemeral && capabilities.has('STAGE_UNSTAGE_VOLUME');

/** What attaching the volume to the node has come to, for the driver. */
export type PublishContext = Readonly<Record<string, string>>;

export function stageRequest(wanted: Wanted, driver: Driver, path: string, context: PublishContext, group?: number) {
	return {
		volumeId: wanted.handle,
		publishContext: context,
		stagingTargetPath: path,
		volumeCapability: capabilityOf(wanted.usage, driver.capabilities, mountsGroup(driver) ? group : undefined),
		volumeContext: wanted.attributes,
	};
}

export function publishRequest(
	wanted: Wanted,
	driver: Driver,
	pod: PodFacts,
	{ path, staging, context, podInfo }: { path: string; staging?: string; context: PublishContext; podInfo: boolean },
) {
	const about = {
		'csi.storage.k8s.io/pod.name': pod.name,
		'csi.storage.k8s.io/pod.namespace': pod.namespace,
		'csi.storage.k8s.io/pod.uid': pod.uid,
		'csi.storage.k8s.io/serviceAccount.name': pod.serviceAccount,
		'csi.storage.k8s.io/ephemeral': String(wanted.ephemeral),
	};
	return {
		volumeId: wanted.handle,
		publishContext: context,
		stagingTargetPath: staging ?? '',
		targetPath: path,
		volumeCapability: capabilityOf(wanted.usage, driver.capabilities, mountsGroup(driver) ? pod.group : undefined),
		readonly: wanted.readOnly,
		volumeContext: podInfo ? { ...wanted.attributes, ...about } : wanted.attributes,
	};
}
