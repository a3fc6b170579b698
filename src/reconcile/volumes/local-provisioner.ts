/**
 * Makes volumes on nodes for claims of its classes, and takes them away when nobody needs them. It writes objects only: the directory is
 * made by the agent of the node before the first mount, and removed by it when this controller has said that nobody needs the data.
 * Source: Kubernetes documentation, "Dynamic Volume Provisioning" and "Storage Classes", Local.
 */
import {
	CLONE_OF,
	classOf,
	type Key,
	keyOf,
	LOCAL_FINALIZER,
	LOCAL_PROVISIONER,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	REMOVE_DATA,
	SIZE_LIMIT,
	StorageClass,
	splitKey,
	VOLUME_NODE,
	VOLUME_ROOT,
	VolumeAttachment,
} from '../../kinds/index.ts';
import { type Context, controller, index, watch } from '../runtime/controller.ts';
import { isAlreadyThere, unlessGone } from '../runtime/refusal.ts';
import { PROVISIONED_BY, SELECTED_NODE } from './annotations.ts';
import { viewOf } from './claim-binder.ts';
import { planClaim } from './claim-plan.ts';
import { freeVolumes, podsByClaim, volumesByClaim, waitingClaims } from './indexes.ts';
import { planLocal, planRemoval, type Surroundings } from './local-plan.ts';
import { claimKeyOf, isFor } from './match.ts';

/** Volumes by the node that has them. */
export const volumesByNode = index(PersistentVolume, 'local node', ({ metadata }) =>
	listed(metadata.annotations?.[VOLUME_NODE]),
);
/** Volumes that are to be copies and are not made yet, by what they copy. */
const copiesOf = index(PersistentVolume, 'copy of', ({ metadata: { annotations = {} } }) =>
	annotations[SIZE_LIMIT] === undefined ? listed(annotations[CLONE_OF]) : [],
);
const attachments = index(VolumeAttachment, 'volume', ({ spec }) => listed(spec.source?.persistentVolumeName));

const listed = (value: string | undefined): string[] => (value ? [value] : []);
type Cache = Context['cache'];

export const localProvisioner = controller<PersistentVolumeClaim>({
	name: 'local-provisioner',
	component: LOCAL_PROVISIONER,
	for: PersistentVolumeClaim,
	watches: [
		watch(StorageClass, ({ metadata, provisioner }, cache) =>
			provisioner === LOCAL_PROVISIONER ? waiting(cache, metadata.name) : [],
		),
		// One comes, gets a place for volumes, or goes.
		watch(Node, allWaiting, { part: ({ metadata }) => [metadata.annotations?.[VOLUME_ROOT], metadata.labels] }),
		// A copy waits for what it copies.
		watch(PersistentVolumeClaim, copying, { part: ({ status }) => status?.phase }),
		// One that was promised to the claim is gone.
		watch(PersistentVolume, (volume) => listed(claimKeyOf(volume)), {
			part: ({ metadata }) => metadata.deletionTimestamp,
		}),
	],
	indexes: [waitingClaims, volumesByNode, volumesByClaim, freeVolumes, podsByClaim],
	async reconcile(key, context) {
		const { cache, client, events } = context;
		const claim = cache.informer(PersistentVolumeClaim).get(key);
		if (!claim || claim.metadata.deletionTimestamp) return undefined;
		const wanted = planClaim(claim, viewOf(cache));
		if (wanted.do !== 'make' || wanted.provisioner !== LOCAL_PROVISIONER) return undefined;
		const storageClass = cache.informer(StorageClass).get(classOf(claim) ?? '');
		if (!storageClass) return undefined;
		const step = planLocal(claim, surroundingsOf(claim, storageClass, cache));
		if (step.do !== 'make') {
			const message = `failed to provision volume with StorageClass "${storageClass.metadata.name}": ${step.why}`;
			events.event(claim, 'Warning', 'ProvisioningFailed', message);
			if (step.do === 'choose again') await chooseAgain(claim, context);
			return undefined;
		}
		const { name } = step.volume.metadata;
		try {
			await client.create(PersistentVolume, step.volume);
			events.event(claim, 'Normal', 'ProvisioningSucceeded', `Successfully provisioned volume ${name}`);
		} catch (error) {
			// The name is this claim's alone: it was made before.
			if (!isAlreadyThere(error)) throw error;
		}
		return undefined;
	},
});

/** What a volume for the claim would be made from. */
export function surroundingsOf(
	{ metadata: { namespace = '' } }: PersistentVolumeClaim,
	storageClass: StorageClass,
	cache: Cache,
): Surroundings {
	return {
		storageClass,
		node: (name) => cache.informer(Node).get(name),
		nodes: () => cache.informer(Node).list(),
		volumesOn: (node) => cache.informer(PersistentVolume).count('local node', node),
		claim: (name) => cache.informer(PersistentVolumeClaim).get(keyOf({ metadata: { namespace, name } })),
		volume: (name) => cache.informer(PersistentVolume).get(name),
	};
}

async function chooseAgain(claim: PersistentVolumeClaim, { client }: Context): Promise<void> {
	const { [SELECTED_NODE]: _gone, ...annotations } = claim.metadata.annotations ?? {};
	await unlessGone(client.update(PersistentVolumeClaim, { ...claim, metadata: { ...claim.metadata, annotations } }));
}

function* waiting(cache: Cache, storageClass: string): Iterable<Key> {
	for (const claim of cache.informer(PersistentVolumeClaim).by('waiting of class', storageClass)) yield keyOf(claim);
}

function* allWaiting(_node: Node, cache: Cache): Iterable<Key> {
	for (const { metadata, provisioner } of cache.informer(StorageClass).list())
		if (provisioner === LOCAL_PROVISIONER) yield* waiting(cache, metadata.name);
}

function* copying(source: PersistentVolumeClaim, cache: Cache): Iterable<Key> {
	for (const claim of cache.informer(PersistentVolumeClaim).by('waiting of class', classOf(source) ?? ''))
		if (claim.spec.dataSourceRef?.name === source.metadata.name) yield keyOf(claim);
}

export const localReclaimer = controller<PersistentVolume>({
	name: 'local-reclaimer',
	component: LOCAL_PROVISIONER,
	for: PersistentVolume,
	watches: [
		watch(PersistentVolume, ({ metadata }) => listed(metadata.annotations?.[CLONE_OF])),
		watch(VolumeAttachment, ({ spec }) => listed(spec.source?.persistentVolumeName)),
		watch(
			Node,
			function* ({ metadata }, cache) {
				if (cache.informer(Node).get(metadata.name)) return;
				for (const volume of cache.informer(PersistentVolume).by('local node', metadata.name))
					yield volume.metadata.name;
			},
			{ part: () => 'there' },
		),
	],
	indexes: [volumesByNode, copiesOf, attachments],
	async reconcile(key, context) {
		const { cache, client } = context;
		const volume = cache.informer(PersistentVolume).get(key);
		if (volume?.metadata.annotations?.[PROVISIONED_BY] !== LOCAL_PROVISIONER) return undefined;
		const { name, uid, resourceVersion, deletionTimestamp } = volume.metadata;
		if (!deletionTimestamp && volume.status?.phase !== 'Released') return undefined;
		const node = volume.metadata.annotations[VOLUME_NODE] ?? '';
		const step = planRemoval(volume, {
			claimed: await isClaimed(volume, context),
			attached: cache.informer(VolumeAttachment).count('volume', name) > 0,
			copied: cache.informer(PersistentVolume).count('copy of', name) > 0,
			nodeExists:
				cache.informer(Node).get(node) !== undefined ||
				(await unlessGone(client.get(Node, { name: node }))) !== undefined,
		});
		switch (step.do) {
			case 'delete':
				await unlessGone(client.delete(PersistentVolume, { name }, { preconditions: { uid, resourceVersion } }));
				break;
			case 'remove data':
				if (volume.metadata.annotations[REMOVE_DATA] === uid) break;
				await unlessGone(client.update(PersistentVolume, annotated(volume, REMOVE_DATA, uid ?? '')));
				break;
			case 'let go': {
				const finalizers = volume.metadata.finalizers?.filter((each) => each !== LOCAL_FINALIZER);
				await unlessGone(client.update(PersistentVolume, { ...volume, metadata: { ...volume.metadata, finalizers } }));
			}
		}
		return undefined;
	},
});

/** Asked of the API itself: a copy that lags must not cost data. */
async function isClaimed(volume: PersistentVolume, { client }: Context): Promise<boolean> {
	const key = claimKeyOf(volume);
	const claim = key === undefined ? undefined : await unlessGone(client.get(PersistentVolumeClaim, splitKey(key)));
	return claim !== undefined && isFor(volume, claim) && claim.spec.volumeName === volume.metadata.name;
}

const annotated = (volume: PersistentVolume, key: string, value: string): PersistentVolume => ({
	...volume,
	metadata: { ...volume.metadata, annotations: { ...volume.metadata.annotations, [key]: value } },
});
