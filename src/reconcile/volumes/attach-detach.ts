/**
 * Attaches volumes of drivers to the nodes whose pods have them, and takes them away after: by VolumeAttachments, which whoever serves the
 * driver carries out. Keys are `NODE/VOLUME`. Source: Kubernetes API reference, "VolumeAttachment"; the attach/detach controller.
 */
import {
	attachedVolumeName,
	attachmentName,
	CSIDriver,
	type Key,
	keyOf,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	VolumeAttachment,
} from '../../kinds/index.ts';
import { type Context, type Controller, controller, index, watch } from '../runtime/controller.ts';
import { isAlreadyThere, unlessGone } from '../runtime/refusal.ts';
import { isExclusive, planAttachment } from './attachment-plan.ts';
import { podsByClaim, volumesByClaim } from './indexes.ts';
import { claimKeyOf, isFor } from './match.ts';
import { claimKeysOf } from './pod-claims.ts';

/** A node that is not ready and says for so long that it has a volume is taken for dead. Source: kube-controller-manager, maxWaitForUnmountDuration. */
export const UNMOUNT_WAIT_MS = 6 * 60_000;
const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';

type Cache = Context['cache'];

const key = (node: string, volume: string): Key => `${node}/${volume}`;
const volumeOf = ({ spec }: VolumeAttachment) => spec.source?.persistentVolumeName ?? '';

const byVolume = index(VolumeAttachment, 'attached volume', (attachment) => [volumeOf(attachment)]);
const byNode = index(VolumeAttachment, 'node', ({ spec }) => [spec.nodeName]);
const volumesByDriver = index(PersistentVolume, 'csi driver', ({ spec }) => (spec.csi ? [spec.csi.driver] : []));

const isOver = ({ status }: Pod) => status?.phase === 'Succeeded' || status?.phase === 'Failed';

export function attachDetach(): Controller {
	return controller<VolumeAttachment>({
		name: 'attachdetach',
		component: 'attachdetach-controller',
		watches: [
			watch(
				Pod,
				(pod, cache) => {
					const { nodeName } = pod.spec;
					if (!nodeName || !pod.spec.volumes) return [];
					return claimKeysOf(pod).flatMap((claim) => volumesFor(claim, cache).map((name) => key(nodeName, name)));
				},
				{ part: (pod) => [pod.spec.nodeName, isOver(pod)] },
			),
			watch(
				PersistentVolumeClaim,
				(claim, cache) => volumesFor(keyOf(claim), cache).flatMap((name) => keysOf(name, cache)),
				{
					part: ({ spec }) => spec.volumeName,
				},
			),
			watch(PersistentVolume, (volume, cache) => (volume.spec.csi ? keysOf(volume.metadata.name, cache, volume) : [])),
			// Also those that wait until another node has it no more.
			watch(VolumeAttachment, (attachment, cache) => [
				key(attachment.spec.nodeName, volumeOf(attachment)),
				...keysOf(volumeOf(attachment), cache),
			]),
			watch(
				Node,
				({ metadata }, cache) =>
					Array.from(cache.informer(VolumeAttachment).by('node', metadata.name), (attachment) =>
						key(metadata.name, volumeOf(attachment)),
					),
				{ part: ({ spec, status }) => [spec.taints, status?.volumesInUse, status?.volumesAttached, isReady(status)] },
			),
			watch(
				CSIDriver,
				({ metadata }, cache) =>
					[...cache.informer(PersistentVolume).by('csi driver', metadata.name)].flatMap((volume) =>
						keysOf(volume.metadata.name, cache),
					),
				{ part: ({ spec }) => spec.attachRequired },
			),
		],
		indexes: [byVolume, byNode, volumesByDriver, volumesByClaim, podsByClaim],
		open(context) {
			const told = new Map<Key, string>();
			/** Since when nothing but the word of a silent node keeps a volume. */
			const silent = new Map<Key, number>();
			return {
				reconcile: (one) => bring(one, { told, silent }, context),
				[Symbol.dispose]() {
					told.clear();
					silent.clear();
				},
			};
		},
	});
}

/** Volumes that the claim has, by what both say. */
function volumesFor(claim: Key, cache: Cache): string[] {
	return Array.from(cache.informer(PersistentVolume).by('claim', claim), ({ metadata }) => metadata.name);
}

/** The keys of the volume: of the nodes of its pods, and of those that it is attached to. */
function keysOf(name: string, cache: Cache, volume = cache.informer(PersistentVolume).get(name)): Key[] {
	const keys = new Set<Key>();
	const claim = volume && claimKeyOf(volume);
	if (claim)
		for (const { spec } of cache.informer(Pod).by('claim', claim))
			if (spec.nodeName) keys.add(key(spec.nodeName, name));
	for (const { spec } of cache.informer(VolumeAttachment).by('attached volume', name))
		keys.add(key(spec.nodeName, name));
	return [...keys];
}

interface Memory {
	readonly told: Map<Key, string>;
	readonly silent: Map<Key, number>;
}

async function bring(one: Key, memory: Memory, context: Context) {
	const { cache, client, clock } = context;
	const [nodeName = '', name = ''] = one.split('/');
	const volume = cache.informer(PersistentVolume).get(name);
	const node = cache.informer(Node).get(nodeName);
	const attachments = [...cache.informer(VolumeAttachment).by('attached volume', name)];
	const attachment = attachments.find(({ spec }) => spec.nodeName === nodeName);
	const pods = usersOf(volume, cache);
	const here = pods.filter(({ spec }) => spec.nodeName === nodeName);
	const csi = volume?.spec.csi;
	const named = csi ? attachedVolumeName(csi.driver, csi.volumeHandle) : '';
	const inUse = node?.status?.volumesInUse?.includes(named) === true;
	const lost = !node || node.spec.taints?.some((taint) => taint.key === OUT_OF_SERVICE) === true;
	const quiet = inUse && here.length === 0 && node !== undefined && !isReady(node.status);
	if (!quiet) memory.silent.delete(one);
	else if (!memory.silent.has(one)) memory.silent.set(one, clock.now());
	const waited = quiet ? clock.now() - (memory.silent.get(one) ?? 0) : 0;
	const step = planAttachment({
		wanted: here.length > 0 && node !== undefined,
		required: csi !== undefined && cache.informer(CSIDriver).get(csi.driver)?.spec.attachRequired !== false,
		attachment,
		elsewhere: volume !== undefined && isExclusive(volume) && attachments.some((other) => other !== attachment),
		inUse,
		reported: node?.status?.volumesAttached?.some((each) => each.name === named) === true,
		abandoned: lost || waited >= UNMOUNT_WAIT_MS,
	});
	const say = (type: 'Normal' | 'Warning', reason: string, message: string) => {
		if (memory.told.get(one) === message) return;
		memory.told.set(one, message);
		for (const pod of here) context.events.event(pod, type, reason, message);
	};
	if (!attachment && here.length === 0) memory.told.delete(one);
	const why = attachment?.status?.attachError?.message;
	if (why && here.length > 0 && !attachment.status?.attached)
		say('Warning', 'FailedAttachVolume', `AttachVolume.Attach failed for volume "${name}" : ${why}`);
	switch (step.do) {
		case 'attach':
			if (volume && csi)
				await attach(volume, attachmentName(csi.driver, csi.volumeHandle, nodeName), nodeName, context);
			break;
		case 'wait for another node':
			say('Warning', 'FailedAttachVolume', `Multi-Attach error for volume "${name}" ${takenBy(pods, here)}`);
			break;
		case 'report':
			if (node) await report(node, [...(node.status?.volumesAttached ?? []), { name: named, devicePath: '' }], context);
			say('Normal', 'SuccessfulAttachVolume', `AttachVolume.Attach succeeded for volume "${name}" `);
			break;
		case 'withdraw':
			if (node)
				await report(
					node,
					(node.status?.volumesAttached ?? []).filter((each) => each.name !== named),
					context,
				);
			break;
		case 'detach': {
			const { uid, resourceVersion } = attachment?.metadata ?? {};
			const preconditions = { uid, resourceVersion };
			if (attachment)
				await unlessGone(client.delete(VolumeAttachment, { name: attachment.metadata.name }, { preconditions }));
			break;
		}
		case 'wait for the node':
			if (quiet) return { after: Math.max(UNMOUNT_WAIT_MS - waited, 1) };
	}
	return undefined;
}

/** Pods with a node that have the volume by their claim, and are not over. */
function usersOf(volume: PersistentVolume | undefined, cache: Cache): Pod[] {
	const claimKey = volume && claimKeyOf(volume);
	const claim = claimKey === undefined ? undefined : cache.informer(PersistentVolumeClaim).get(claimKey);
	if (!volume || !claim || claimKey === undefined || !isFor(volume, claim)) return [];
	return [...cache.informer(Pod).by('claim', claimKey)].filter((pod) => pod.spec.nodeName && !isOver(pod));
}

async function attach(volume: PersistentVolume, name: string, nodeName: string, { client }: Context): Promise<void> {
	try {
		await client.create(VolumeAttachment, {
			apiVersion: 'storage.k8s.io/v1',
			kind: 'VolumeAttachment',
			metadata: { name },
			spec: {
				attacher: volume.spec.csi?.driver ?? '',
				nodeName,
				source: { persistentVolumeName: volume.metadata.name },
			},
		});
	} catch (error) {
		if (!isAlreadyThere(error)) throw error;
	}
}

/** As it was looked at: what the node has said since is not overlooked. */
async function report(
	{ metadata }: Node,
	volumesAttached: readonly { readonly name: string; readonly devicePath: string }[],
	{ client }: Context,
): Promise<void> {
	const { name, uid, resourceVersion } = metadata;
	const body = { metadata: { uid, resourceVersion }, status: { volumesAttached } };
	await unlessGone(client.patch(Node, { name }, { type: 'merge', body }, { subresource: 'status' }));
}

const isReady = (status: Node['status']) =>
	status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true;

/** In the words of Kubernetes. */
function takenBy(pods: readonly Pod[], here: readonly Pod[]): string {
	const others = pods.filter((pod) => !here.includes(pod)).map(({ metadata }) => metadata.name);
	return others.length > 0
		? `Volume is already used by pod(s) ${others.sort().join(', ')}`
		: `Volume is already exclusively attached to one node and can't be attached to another`;
}
