/**
 * What an attachment of a driver's volume to a node is called: by everybody alike, so that whoever looks for it finds it.
 * Source: design proposal "CSI Volume Plugins in Kubernetes", "Attaching and Detaching".
 */
import { createHash } from 'node:crypto';

/** The name of the VolumeAttachment. */
export const attachmentName = (driver: string, handle: string, node: string): string =>
	`csi-${createHash('sha256')
		.update(handle + driver + node)
		.digest('hex')}`;

/** What the volume is called in the status of the node: `volumesInUse`, `volumesAttached`. */
export const attachedVolumeName = (driver: string, handle: string): string => `kubernetes.io/csi/${driver}^${handle}`;
