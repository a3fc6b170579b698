/**
 * Carries out VolumeAttachments of drivers that the platform serves. An attachment stays until the driver has taken the volume away.
 * Source: Kubernetes CSI documentation, "external-attacher"; Kubernetes API reference, "VolumeAttachment".
 */
import { CSIDriver, CSINode, Node, PersistentVolume, timestamp, VolumeAttachment } from '../../kinds/index.ts';
import { type Context, type Controller, controller, index, watch } from '../runtime/controller.ts';
import { unlessGone } from '../runtime/refusal.ts';
import { capabilitiesOf } from './provision-plan.ts';
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

/** What the driver calls the node, for when the node is not there any more. */
const NODE_ID = 'csi.alpha.kubernetes.io/node-id';
const finalizerOf = (driver: string) => `external-attacher/${driver.replaceAll('.', '-')}`;
/** The longest error that is kept. */
const MAX_ERROR = 1024;

const byAttacher = index(VolumeAttachment, 'attacher', ({ spec }) => [spec.attacher]);
type Cache = Context['cache'];
const ofDriver = (cache: Cache, driver: string) =>
	Array.from(cache.informer(VolumeAttachment).by('attacher', driver), ({ metadata }) => metadata.name);

export function csiAttacher(calls: DriverCalls): Controller {
	return controller<VolumeAttachment>({
		name: 'csi-attacher',
		for: VolumeAttachment,
		watches: [
			watch(CSIDriver, ({ metadata }, cache) => ofDriver(cache, metadata.name)),
			watch(CSINode, ({ spec }, cache) => (spec.drivers ?? []).flatMap(({ name }) => ofDriver(cache, name))),
			watch(
				Node,
				({ metadata }, cache) =>
					(cache.informer(CSINode).get(metadata.name)?.spec.drivers ?? []).flatMap(({ name }) => ofDriver(cache, name)),
				{ part: partOfNode },
			),
			watch(PersistentVolume, () => []),
		],
		indexes: [byAttacher, nodesByDriver],
		async reconcile(key, context) {
			const attachment = context.cache.informer(VolumeAttachment).get(key);
			if (!attachment || !isServed(attachment.spec.attacher, context.cache)) return undefined;
			const { deletionTimestamp, finalizers = [] } = attachment.metadata;
			const held = finalizers.includes(finalizerOf(attachment.spec.attacher));
			if (deletionTimestamp) {
				if (held) await detach(attachment, calls, context);
			} else if (!attachment.status?.attached) await attach(attachment, calls, context);
			return undefined;
		},
	});
}

async function attach(attachment: VolumeAttachment, calls: DriverCalls, context: Context): Promise<void> {
	const { cache, client } = context;
	const { attacher: driver, nodeName } = attachment.spec;
	const volume = volumeOf(attachment, cache);
	const nodeId = cache
		.informer(CSINode)
		.get(nodeName)
		?.spec.drivers?.find(({ name }) => name === driver)?.nodeID;
	try {
		if (!volume?.spec.csi) throw new DriverError('NOT_FOUND', `the volume of the attachment is not there`, false);
		if (!nodeId) throw new DriverError('NOT_FOUND', `CSINode ${nodeName} does not contain driver ${driver}`, false);
		const held = await hold(attachment, nodeId, context);
		const { accessModes = [], volumeMode, csi, mountOptions = [] } = volume.spec;
		const request = {
			volumeId: csi.volumeHandle,
			nodeId,
			volumeCapability: capabilitiesOf(accessModes.slice(0, 1), volumeMode, csi.fsType ?? '', mountOptions)[0],
			readonly: csi.readOnly === true,
			volumeContext: csi.volumeAttributes ?? {},
			secrets: await secretOf(referenceOf(csi.controllerPublishSecretRef), context),
		};
		const node = nodeFor(driver, cache);
		const answer = await ask<{ publishContext?: Record<string, string> }>(
			...([calls, node, { driver, method: 'ControllerPublishVolume', request }, context] as const),
		).catch(withoutAttaching);
		const status = { attached: true, attachmentMetadata: answer.publishContext ?? {} };
		await unlessGone(client.update(VolumeAttachment, { ...held, status }, { subresource: 'status' }));
	} catch (error) {
		if (error instanceof DriverError) await tell(attachment, 'attachError', error.message, context);
		throw error;
	}
}

async function detach(attachment: VolumeAttachment, calls: DriverCalls, context: Context): Promise<void> {
	const { cache, client } = context;
	const { attacher: driver, nodeName } = attachment.spec;
	const csi = volumeOf(attachment, cache)?.spec.csi;
	const nodeId =
		attachment.metadata.annotations?.[NODE_ID] ??
		cache
			.informer(CSINode)
			.get(nodeName)
			?.spec.drivers?.find(({ name }) => name === driver)?.nodeID;
	try {
		// Without either nobody could have been asked to attach it.
		if (csi && nodeId) {
			const secrets = await secretOf(referenceOf(csi.controllerPublishSecretRef), context);
			const request = { volumeId: csi.volumeHandle, nodeId, secrets };
			const call = { driver, method: 'ControllerUnpublishVolume', request };
			await ask(calls, nodeFor(driver, cache), call, context).catch(withoutAttaching);
		}
	} catch (error) {
		if (error instanceof DriverError) await tell(attachment, 'detachError', error.message, context);
		throw error;
	}
	const finalizers = attachment.metadata.finalizers?.filter((each) => each !== finalizerOf(driver));
	await unlessGone(
		client.update(VolumeAttachment, { ...attachment, metadata: { ...attachment.metadata, finalizers } }),
	);
}

/** A driver without that call needs none: its volumes are reached from everywhere. */
function withoutAttaching(error: unknown): { publishContext?: Record<string, string> } {
	if (error instanceof DriverError && error.code === 'UNIMPLEMENTED') return {};
	throw error;
}

/** The attachment stays from now on until the driver has taken the volume away. */
async function hold(attachment: VolumeAttachment, nodeId: string, { client }: Context): Promise<VolumeAttachment> {
	const { finalizers = [], annotations = {} } = attachment.metadata;
	const finalizer = finalizerOf(attachment.spec.attacher);
	if (finalizers.includes(finalizer) && annotations[NODE_ID] === nodeId) return attachment;
	const metadata = {
		...attachment.metadata,
		finalizers: [...finalizers.filter((each) => each !== finalizer), finalizer],
		annotations: { ...annotations, [NODE_ID]: nodeId },
	};
	return client.update(VolumeAttachment, { ...attachment, metadata });
}

async function tell(
	{ metadata, status }: VolumeAttachment,
	field: 'attachError' | 'detachError',
	why: string,
	{ client, now }: Context,
): Promise<void> {
	const message = why.slice(0, MAX_ERROR);
	if (status?.[field]?.message === message) return;
	const body = { status: { attached: status?.attached ?? false, [field]: { message, time: timestamp(now()) } } };
	await unlessGone(client.patch(VolumeAttachment, metadata, { type: 'merge', body }, { subresource: 'status' }));
}

const volumeOf = ({ spec }: VolumeAttachment, cache: Cache) =>
	cache.informer(PersistentVolume).get(spec.source.persistentVolumeName ?? '');

const referenceOf = (reference: { readonly name?: string; readonly namespace?: string } | undefined) =>
	reference?.name && reference.namespace ? { name: reference.name, namespace: reference.namespace } : undefined;
