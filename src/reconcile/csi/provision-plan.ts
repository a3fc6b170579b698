/**
 * What a driver is asked for by a claim, and what volume its answer makes: pure. Source: the Container Storage Interface, "CreateVolume";
 * Kubernetes CSI documentation, "external-provisioner" and "StorageClass Secrets".
 */
import type * as core from 'kubernetes-types/core/v1.js';
import { type PersistentVolume, type PersistentVolumeClaim, quantity, type StorageClass } from '../../kinds/index.ts';
import { PROVISIONED_BY } from '../volumes/annotations.ts';
import { volumeNameOf } from '../volumes/local-plan.ts';
import { requestOf } from '../volumes/match.ts';
import type { SecretName } from './served.ts';

/** Keeps a volume until what it is made of is gone. */
export const VOLUME_FINALIZER = 'external-provisioner.volume.kubernetes.io/finalizer';
/** Of the volume: the Secret with which it is removed. */
export const DELETION_SECRET = 'volume.kubernetes.io/provisioner-deletion-secret-name';
export const DELETION_SECRET_NAMESPACE = 'volume.kubernetes.io/provisioner-deletion-secret-namespace';

const PREFIX = 'csi.storage.k8s.io/';
/** The longest handle, and all of the context, in bytes: more is no answer. */
const MAX_HANDLE_BYTES = 1024;
const MAX_CONTEXT_BYTES = 64 * 1024;

/** A driver, a class or a claim cannot be served, for a reason that stays. */
export class Unservable extends Error {
	override readonly name = 'Unservable';
}

export interface Segments {
	readonly segments: Readonly<Record<string, string>>;
}

export interface Wish {
	readonly claim: PersistentVolumeClaim;
	readonly storageClass: StorageClass;
	/** From where the volume is to be reached; absent where the driver does not tell. */
	readonly topology?: { readonly requisite: readonly Segments[]; readonly preferred: readonly Segments[] };
	/** The handle of the volume of which it is to be a copy. */
	readonly copyOf?: string;
}

export interface Created {
	readonly volume?: {
		readonly volumeId: string;
		/** int64 as text; 0 where the driver does not say. */
		readonly capacityBytes: string;
		readonly volumeContext: Readonly<Record<string, string>>;
		readonly accessibleTopology: readonly Segments[];
	} | null;
}

const modes: Readonly<Record<string, string>> = {
	ReadWriteOnce: 'SINGLE_NODE_WRITER',
	ReadOnlyMany: 'MULTI_NODE_READER_ONLY',
	ReadWriteMany: 'MULTI_NODE_MULTI_WRITER',
	ReadWriteOncePod: 'SINGLE_NODE_WRITER',
};

export function capabilitiesOf(
	accessModes: readonly string[],
	mode: string | undefined,
	fsType: string,
	flags: readonly string[],
) {
	const access = mode === 'Block' ? { block: {} } : { mount: { fsType, mountFlags: flags } };
	return accessModes.map((each) => ({ ...access, accessMode: { mode: modes[each] ?? 'SINGLE_NODE_WRITER' } }));
}

/** The request, without secrets. Throws Unservable. */
export function createRequest({ claim, storageClass, topology, copyOf }: Wish): object {
	const { accessModes = [], volumeMode, selector, resources } = claim.spec;
	if (selector) throw new Unservable('claim Selector is not supported');
	const parameters: Record<string, string> = {};
	for (const [key, value] of Object.entries(storageClass.parameters ?? {})) {
		if (!key.startsWith(PREFIX)) parameters[key] = value;
		else if (!known.has(key.slice(PREFIX.length)))
			throw new Unservable(`found unknown parameter key "${key}" with reserved namespace ${PREFIX}`);
	}
	const limit = resources?.limits?.storage;
	return {
		name: volumeNameOf(claim),
		capacityRange: {
			requiredBytes: String(Math.ceil(quantity(requestOf(claim)))),
			limitBytes: limit ? String(Math.floor(quantity(limit))) : '0',
		},
		volumeCapabilities: capabilitiesOf(
			accessModes,
			volumeMode,
			fsTypeOf(storageClass),
			storageClass.mountOptions ?? [],
		),
		parameters,
		...(copyOf && { volumeContentSource: { volume: { volumeId: copyOf } } }),
		...(topology && { accessibilityRequirements: topology }),
	};
}

const fsTypeOf = ({ parameters }: StorageClass) => parameters?.[`${PREFIX}fstype`] ?? '';

const secretKinds = [
	'provisioner',
	'controller-publish',
	'node-stage',
	'node-publish',
	'controller-expand',
	'node-expand',
];
const known = new Set([
	'fstype',
	...secretKinds.flatMap((kind) => [`${kind}-secret-name`, `${kind}-secret-namespace`]),
]);

/**
 * The Secret that a class names for a purpose, its templates filled in. Throws Unservable where one cannot be.
 *
 * @param kind - `provisioner`, `node-stage`.
 */
export function secretFor(
	kind: string,
	{ parameters = {}, metadata }: StorageClass,
	claim: PersistentVolumeClaim,
): SecretName | undefined {
	const [name, namespace] = ['name', 'namespace'].map((part) => parameters[`${PREFIX}${kind}-secret-${part}`]);
	if (!name && !namespace) return undefined;
	if (!name || !namespace)
		throw new Unservable(`class ${metadata.name} must name both name and namespace of its ${kind} secret`);
	const values = new Map([
		['pv.name', volumeNameOf(claim)],
		['pvc.namespace', claim.metadata.namespace ?? ''],
		['pvc.name', claim.metadata.name],
	]);
	const fill = (text: string, own: boolean) =>
		text.replace(/\$\{([^}]*)\}/g, (_, token: string) => {
			const annotation = /^pvc\.annotations\['([^']+)'\]$/.exec(token)?.[1];
			// A claim must not choose whose namespace it reads from.
			const value =
				annotation && own && kind !== 'provisioner'
					? claim.metadata.annotations?.[annotation]
					: token === 'pvc.name' && !own
						? undefined
						: values.get(token);
			if (value === undefined) throw new Unservable(`error resolving value "${text}": invalid tokens: ["${token}"]`);
			return value;
		});
	return { name: fill(name, true), namespace: fill(namespace, false) };
}

/** The volume that the driver has made. Throws Unservable where its answer is none. */
export function volumeOf(driver: string, { claim, storageClass }: Wish, { volume }: Created): PersistentVolume {
	const handle = volume?.volumeId ?? '';
	const context = volume?.volumeContext ?? {};
	if (!volume || !handle) throw new Unservable(`CSI driver ${driver} gives no handle of the volume`);
	if (Buffer.byteLength(handle) > MAX_HANDLE_BYTES)
		throw new Unservable(`CSI driver ${driver} gives a handle of more than ${MAX_HANDLE_BYTES} bytes`);
	if (Object.entries(context).reduce((sum, [key, value]) => sum + key.length + value.length, 0) > MAX_CONTEXT_BYTES)
		throw new Unservable(`CSI driver ${driver} gives a context of more than ${MAX_CONTEXT_BYTES} characters`);
	const wanted = Math.ceil(quantity(requestOf(claim)));
	const got = Number(volume.capacityBytes) || wanted;
	if (got < wanted) throw new Unservable(`created volume capacity ${got} less than requested capacity ${wanted}`);
	const { namespace, name, uid, resourceVersion } = claim.metadata;
	const deletion = secretFor('provisioner', storageClass, claim);
	const secret = (field: string, kind: string) => {
		const found = secretFor(kind, storageClass, claim);
		return found ? { [field]: found } : {};
	};
	const fsType = claim.spec.volumeMode === 'Block' ? '' : fsTypeOf(storageClass);
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolume',
		metadata: {
			name: volumeNameOf(claim),
			annotations: {
				[PROVISIONED_BY]: driver,
				...(deletion && { [DELETION_SECRET]: deletion.name, [DELETION_SECRET_NAMESPACE]: deletion.namespace }),
			},
			finalizers: [VOLUME_FINALIZER],
		},
		spec: {
			accessModes: claim.spec.accessModes,
			capacity: { storage: got === wanted ? requestOf(claim) : String(got) },
			claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid, resourceVersion },
			csi: {
				driver,
				volumeHandle: handle,
				...(fsType && { fsType }),
				...(Object.keys(context).length > 0 && { volumeAttributes: { ...context } }),
				...secret('controllerPublishSecretRef', 'controller-publish'),
				...secret('nodeStageSecretRef', 'node-stage'),
				...secret('nodePublishSecretRef', 'node-publish'),
				...secret('controllerExpandSecretRef', 'controller-expand'),
				...secret('nodeExpandSecretRef', 'node-expand'),
			},
			...affinityOf(volume.accessibleTopology),
			persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
			storageClassName: storageClass.metadata.name,
			...(storageClass.mountOptions?.length && { mountOptions: storageClass.mountOptions }),
			volumeMode: claim.spec.volumeMode ?? 'Filesystem',
		},
	};
}

function affinityOf(topologies: readonly Segments[]): { nodeAffinity?: core.VolumeNodeAffinity } {
	const terms = topologies
		.map(({ segments }) => Object.entries(segments))
		.filter((entries) => entries.length > 0)
		.map((entries) => ({
			matchExpressions: entries.map(([key, value]) => ({ key, operator: 'In', values: [value] })),
		}));
	return terms.length > 0 ? { nodeAffinity: { required: { nodeSelectorTerms: terms } } } : {};
}
