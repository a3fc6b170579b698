/**
 * Removes the volumes of drivers that the platform serves, once nobody needs them: the volume is released, its policy says so, no claim
 * has it and it is attached nowhere. That is asked of the API itself: data is at stake. Source: Kubernetes CSI documentation,
 * "external-provisioner"; Kubernetes documentation, "Persistent Volumes", PersistentVolume deletion protection finalizer.
 */
import {
	CSIDriver,
	CSINode,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	splitKey,
	VolumeAttachment,
} from '../../kinds/index.ts';
import { type Context, type Controller, controller, index, watch } from '../runtime/controller.ts';
import { unlessGone } from '../runtime/refusal.ts';
import { PROVISIONED_BY, VOLUME_PROTECTION } from '../volumes/annotations.ts';
import { claimKeyOf, isFor } from '../volumes/match.ts';
import { isReachableFrom } from '../volumes/topology.ts';
import { DELETION_SECRET, DELETION_SECRET_NAMESPACE, VOLUME_FINALIZER } from './provision-plan.ts';
import {
	ask,
	type DriverCalls,
	DriverError,
	isServed,
	nodeFor,
	nodesByDriver,
	partOfNode,
	secretOf,
} from './served.ts';

const madeBy = index(PersistentVolume, 'provisioned by', ({ metadata }) => {
	const driver = metadata.annotations?.[PROVISIONED_BY];
	return driver ? [driver] : [];
});

export interface Needs {
	/** The claim that the volume names is there and has it. */
	readonly claimed: boolean;
	readonly attached: boolean;
}

export type Removal =
	| 'nothing'
	/** The object is to be deleted: its finalizer keeps it until the volume is gone. */
	| 'delete'
	/** The driver is to remove the volume; the object goes after. */
	| 'remove'
	/** The object goes, and what it stands for stays. */
	| 'let go';

/** What becomes of a volume: pure. */
export function planRemoval({ metadata, spec, status }: PersistentVolume, { claimed, attached }: Needs): Removal {
	const { deletionTimestamp, finalizers = [] } = metadata;
	const deletes = spec.persistentVolumeReclaimPolicy === 'Delete';
	if (claimed || attached) return 'nothing';
	if (!deletionTimestamp) return deletes && status?.phase === 'Released' ? 'delete' : 'nothing';
	if (!finalizers.includes(VOLUME_FINALIZER) || finalizers.includes(VOLUME_PROTECTION)) return 'nothing';
	return deletes ? 'remove' : 'let go';
}

type Cache = Context['cache'];
const ofDriver = (cache: Cache, driver: string) =>
	Array.from(cache.informer(PersistentVolume).by('provisioned by', driver), ({ metadata }) => metadata.name);

export function csiReclaimer(calls: DriverCalls): Controller {
	return controller<PersistentVolume>({
		name: 'csi-reclaimer',
		component: 'csi-provisioner-controller',
		for: PersistentVolume,
		watches: [
			watch(VolumeAttachment, ({ spec }) =>
				spec.source.persistentVolumeName ? [spec.source.persistentVolumeName] : [],
			),
			watch(CSIDriver, ({ metadata }, cache) => ofDriver(cache, metadata.name)),
			watch(CSINode, ({ spec }, cache) => (spec.drivers ?? []).flatMap(({ name }) => ofDriver(cache, name))),
			watch(
				Node,
				({ metadata }, cache) =>
					(cache.informer(CSINode).get(metadata.name)?.spec.drivers ?? []).flatMap(({ name }) => ofDriver(cache, name)),
				{ part: partOfNode },
			),
		],
		indexes: [madeBy, nodesByDriver],
		async reconcile(key, context) {
			const { cache, client, events } = context;
			const seen = cache.informer(PersistentVolume).get(key);
			const driver = seen?.metadata.annotations?.[PROVISIONED_BY];
			if (!seen?.spec.csi || seen.spec.csi.driver !== driver || !isServed(driver, cache)) return undefined;
			if (!seen.metadata.deletionTimestamp && seen.status?.phase !== 'Released') return undefined;
			const volume = await unlessGone(client.get(PersistentVolume, { name: key }));
			if (!volume?.spec.csi || volume.metadata.uid !== seen.metadata.uid) return undefined;
			const { name, uid, resourceVersion } = volume.metadata;
			const step = planRemoval(volume, {
				claimed: await isClaimed(volume, client),
				attached: await isAttached(volume, client),
			});
			if (step === 'delete') {
				const preconditions = { uid, resourceVersion };
				await unlessGone(client.delete(PersistentVolume, { name }, { preconditions }));
			}
			if (step === 'remove') {
				const { annotations = {} } = volume.metadata;
				const [secret, namespace] = [annotations[DELETION_SECRET], annotations[DELETION_SECRET_NAMESPACE]];
				const secrets = await secretOf(secret && namespace ? { name: secret, namespace } : undefined, context);
				const request = { volumeId: volume.spec.csi.volumeHandle, secrets };
				const node = nodeFor(driver, cache, (one) => isReachableFrom(volume, one));
				try {
					await ask(calls, node, { driver, method: 'DeleteVolume', request }, context);
				} catch (error) {
					if (error instanceof DriverError) events.event(volume, 'Warning', 'VolumeFailedDelete', error.message);
					throw error;
				}
			}
			if (step === 'remove' || step === 'let go') {
				const finalizers = volume.metadata.finalizers?.filter((each) => each !== VOLUME_FINALIZER);
				await unlessGone(client.update(PersistentVolume, { ...volume, metadata: { ...volume.metadata, finalizers } }));
			}
			return undefined;
		},
	});
}

async function isClaimed(volume: PersistentVolume, client: Context['client']): Promise<boolean> {
	const key = claimKeyOf(volume);
	const claim = key === undefined ? undefined : await unlessGone(client.get(PersistentVolumeClaim, splitKey(key)));
	return (
		claim !== undefined &&
		isFor(volume, claim) &&
		(!claim.spec.volumeName || claim.spec.volumeName === volume.metadata.name)
	);
}

async function isAttached({ metadata }: PersistentVolume, client: Context['client']): Promise<boolean> {
	const { items } = await client.list(VolumeAttachment);
	return items.some(({ spec }) => spec.source.persistentVolumeName === metadata.name);
}
