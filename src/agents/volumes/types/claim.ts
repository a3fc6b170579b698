/**
 * persistentVolumeClaim, and ephemeral, whose claim is made for the pod: what the claim's volume is made of.
 * Source: Kubernetes documentation, "Persistent Volumes", Claims As Volumes; "Ephemeral Volumes".
 */
import { lstat, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { PersistentVolume, PersistentVolumeClaim } from '../../../kinds/index.ts';
import { ofVolume } from '../../csi/index.ts';
import { within } from '../deadline.ts';
import { VolumeError } from '../error.ts';
import { LINKS, link, linked, podsWith } from '../links.ts';
import { isLocal } from '../local/index.ts';
import { takeOver } from '../ownership.ts';
import type { PodView, Source, VolumeContext, VolumeType } from '../type.ts';
import { driversOf, factsOf } from './csi.ts';
import { hostPath } from './host-path.ts';

type ClaimKey = 'persistentVolumeClaim' | 'ephemeral';

const nameOf: { readonly [Key in ClaimKey]: (source: Source<Key>, pod: PodView) => string } = {
	persistentVolumeClaim: ({ claimName }) => claimName,
	ephemeral: (source, { name, volumes }) => `${name}-${volumes.find((volume) => volume.ephemeral === source)?.name}`,
};

function claimType<Key extends ClaimKey>(key: Key, isReadOnly: (source: Source<Key>) => boolean): VolumeType<Key> {
	return {
		key,
		folder: LINKS.slice('kubernetes.io~'.length),
		isReadOnly,
		ownDeadlines: true,
		path(source, pod) {
			const name = nameOf[key](source, pod);
			return linked(pod.root, name) ?? join(pod.root, 'volumes', LINKS, name);
		},
		async prepare(context) {
			const name = nameOf[key](context.source, context.pod);
			const has = linked(context.pod.root, name);
			if (has !== undefined) {
				// The machine may have been another since: what a driver mounts is asked for anew.
				if (await context.pod.storage.csi?.remount(context.pod.uid, has)) return;
				return stillThere(context);
			}
			const { claim, volume } = await boundVolume(context.pod, name);
			const { group, groupChange } = context.pod;
			const readOnly = isReadOnly(context.source);
			await mountVolume(volume, context.pod, readOnly, async (path) => {
				await refuseShared(claim, path, context.pod);
				if (group !== undefined && isOwnable(volume) && !readOnly) await takeOver(path, group, groupChange);
				// Last: what has it is not looked at again.
				await link(context.pod.root, name, path);
			});
		},
	};
}

/** What the pod has already is its: the claim may be on its way out since. */
async function stillThere({ path }: VolumeContext): Promise<void> {
	const found = await stat(path).catch(() => undefined);
	if (!found) throw new VolumeError(`path ${JSON.stringify(path)} does not exist`);
}

/** The claim and its volume. Throws VolumeError, in the kubelet's words, where it may not be used. */
async function boundVolume(
	pod: PodView,
	name: string,
): Promise<{ claim: PersistentVolumeClaim; volume: PersistentVolume }> {
	const claim = await pod.storage.claim(name);
	if (!claim) throw new VolumeError(`persistentvolumeclaim "${name}" not found`);
	const { namespace, uid, deletionTimestamp } = claim.metadata;
	if (deletionTimestamp) throw new VolumeError(`can't use PVC ${namespace}/${name} because it is being deleted`);
	const { volumeName } = claim.spec;
	if (claim.status?.phase !== 'Bound' || !volumeName) throw new VolumeError(`PVC ${namespace}/${name} is not bound`);
	const volume = await pod.storage.volume(volumeName);
	if (!volume) throw new VolumeError(`failed to fetch PV "${volumeName}" from API server: not found`);
	if (volume.spec.claimRef?.uid !== uid)
		throw new VolumeError(
			`PV ${volumeName} spec.claimRef.uid ${volume.spec.claimRef?.uid ?? ''} does not match pvc.UID ${uid}`,
		);
	if (volume.spec.volumeMode === 'Block')
		throw new VolumeError(`PV ${volumeName} has volumeMode Block: this node makes directories only, use Filesystem`);
	return { claim, volume };
}

/** Makes the volume ready on this machine, and calls `use` with where it is. */
async function mountVolume(
	volume: PersistentVolume,
	pod: PodView,
	readOnly: boolean,
	use: (path: string) => Promise<void>,
): Promise<void> {
	if (volume.spec.csi) return use(await driversOf(pod).mount(ofVolume(volume, readOnly), factsOf(pod)));
	return within(`volume ${volume.metadata.name} of ${pod.root}`, () => mountOwn(volume, pod, use), pod.signal);
}

/** One that no driver has to be asked for. */
async function mountOwn(volume: PersistentVolume, pod: PodView, use: (path: string) => Promise<void>): Promise<void> {
	const { local, hostPath: host } = volume.spec;
	if (local && isLocal(volume)) return pod.storage.local.prepare(volume, use);
	if (local) {
		const found = await lstat(local.path).catch(() => undefined);
		if (!found) throw new VolumeError(`path ${JSON.stringify(local.path)} does not exist`);
		if (!found.isDirectory()) throw new VolumeError(`path ${JSON.stringify(local.path)} is not a directory`);
		return use(local.path);
	}
	if (host) {
		await hostPath.prepare({ source: host, path: host.path, pod });
		return use(host.path);
	}
	const source = Object.keys(volume.spec).find((field) => !described.has(field)) ?? 'unknown';
	throw new VolumeError(`persistent volumes of type ${source} are not supported: use local, hostPath or csi`);
}

/** What a volume says beside what it is made of. */
const described: ReadonlySet<string> = new Set([
	...['accessModes', 'capacity', 'claimRef', 'mountOptions', 'nodeAffinity', 'persistentVolumeReclaimPolicy'],
	...['storageClassName', 'volumeAttributesClassName', 'volumeMode'],
]);

/** A directory of the machine that was given as it is keeps its owner. */
const isOwnable = ({ spec }: PersistentVolume) => spec.local !== undefined;

/** A claim for one pod is that of one pod. */
async function refuseShared({ spec }: PersistentVolumeClaim, path: string, pod: PodView): Promise<void> {
	if (!spec.accessModes?.includes('ReadWriteOncePod')) return;
	const others = await podsWith(join(pod.root, '..'), path);
	if (others.some((uid) => uid !== pod.uid))
		throw new VolumeError('volume uses the ReadWriteOncePod access mode and is already in use by another pod');
}

export const persistentVolumeClaim = claimType('persistentVolumeClaim', ({ readOnly }) => readOnly === true);
export const ephemeral = claimType('ephemeral', () => false);
