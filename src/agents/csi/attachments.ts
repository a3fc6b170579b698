/**
 * Whether volumes are attached to this node. The attach/detach controller says so in the node's status, once the driver has; and it
 * takes nothing away that the status says is in use, so that is waited for first. Both are in one object: neither can miss the other.
 * Source: the kubelet's volume manager, "VerifyControllerAttachedVolume".
 */
import type { Cache, Client } from '../../client/index.ts';
import { ApiError, attachedVolumeName, attachmentName, Node, VolumeAttachment } from '../../kinds/index.ts';
import { VolumeError } from '../volumes/error.ts';
import type { PublishContext } from './request.ts';

/** How long a pod waits in a row; it is tried again after that, and when the status changes. */
export const ATTACH_WAIT_MS = 10_000;

export interface Attachments {
	/** Waits until the volume is attached, and gives what the driver is to be told of that. Throws VolumeError. */
	attached(driver: string, handle: string): Promise<PublishContext>;
}

export function createAttachments(options: {
	readonly client: Client;
	readonly cache: Cache;
	readonly node: string;
	/** A volume was attached to the node. */
	readonly changed: () => void;
	readonly signal: AbortSignal;
}): Attachments {
	const { client, cache, node, signal } = options;
	const informer = cache.informer(Node);
	const attachedIn = (object: Node | undefined) => object?.status?.volumesAttached ?? [];
	informer.on(({ key, object, old }) => {
		if (key !== node) return;
		const before = new Set(attachedIn(old).map(({ name }) => name));
		if (attachedIn(object).some(({ name }) => !before.has(name))) options.changed();
	});

	const told = async (name: string): Promise<boolean> => {
		const holds = () => {
			const { volumesInUse = [] } = informer.get(node)?.status ?? {};
			return volumesInUse.includes(name) && attachedIn(informer.get(node)).some((one) => one.name === name);
		};
		if (holds()) return true;
		const { promise, resolve } = Promise.withResolvers<boolean>();
		const look = informer.on(({ key }) => {
			if (key === node && holds()) resolve(true);
		});
		const timer = setTimeout(() => resolve(false), ATTACH_WAIT_MS);
		const stop = () => resolve(false);
		signal.addEventListener('abort', stop, { once: true });
		try {
			return await promise;
		} finally {
			look[Symbol.dispose]();
			clearTimeout(timer);
			signal.removeEventListener('abort', stop);
		}
	};
	return {
		async attached(driver, handle) {
			const failed = (why: string) => new VolumeError(why, 'MountVolume.WaitForAttach');
			const name = attachmentName(driver, handle, node);
			const seen = await told(attachedVolumeName(driver, handle));
			signal.throwIfAborted();
			const late = `timed out waiting for external-attacher of ${driver} CSI driver to attach volume ${handle}`;
			if (!seen) throw failed(late);
			const attachment = await client.get(VolumeAttachment, { name }).catch((error: unknown) => {
				if (error instanceof ApiError && (error.code === 404 || error.code === 403))
					throw failed(`volume ${handle} has GET error for volume attachment ${name}: ${error.message}`);
				throw error;
			});
			const { status, metadata } = attachment;
			if (metadata.deletionTimestamp) throw failed(`volume attachment is being deleted`);
			if (status?.attachError) throw failed(status.attachError.message ?? 'attach failed');
			if (!status?.attached) throw failed(late);
			return status.attachmentMetadata ?? {};
		},
	};
}
