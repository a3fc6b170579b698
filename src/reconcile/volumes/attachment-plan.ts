/**
 * Whether a driver's volume is to be attached to a node: a pure decision. Nothing is taken away that the node says is in use, and a
 * volume for one node is given to another only once the first has it no more. Source: Kubernetes documentation, "Persistent Volumes",
 * Access Modes; "Nodes", Non-graceful node shutdown; design proposal "CSI Volume Plugins in Kubernetes".
 */
import type { PersistentVolume, VolumeAttachment } from '../../kinds/index.ts';

export interface AttachmentView {
	/** Pods on the node that have the volume, or will, and are not over. */
	readonly wanted: boolean;
	/** The driver attaches volumes. */
	readonly required: boolean;
	readonly attachment: VolumeAttachment | undefined;
	/** The volume is for one node, and another has it. */
	readonly elsewhere: boolean;
	/** The node says that it has it mounted, or is about to. */
	readonly inUse: boolean;
	/** The node's status says that it is attached. */
	readonly reported: boolean;
	/** What the node says counts no more: it is gone, out of service, or was silent for too long. */
	readonly abandoned: boolean;
}

export type AttachmentStep =
	| { readonly do: 'nothing' }
	/** The driver is to attach it. */
	| { readonly do: 'attach' }
	/** Another node has it: it is said, and waited for. */
	| { readonly do: 'wait for another node' }
	/** The node may use it. */
	| { readonly do: 'report' }
	/** The node may use it no more. This comes first, so that a node that begins to use it meanwhile is seen. */
	| { readonly do: 'withdraw' }
	/** The driver is to take it away. */
	| { readonly do: 'detach' }
	/** The node has it mounted still. */
	| { readonly do: 'wait for the node' };

export function planAttachment(view: AttachmentView): AttachmentStep {
	const { wanted, required, attachment, elsewhere, inUse, reported, abandoned } = view;
	if (!attachment || attachment.metadata.deletionTimestamp) {
		if (reported) return { do: 'withdraw' };
		if (attachment || !wanted || !required) return { do: 'nothing' };
		return elsewhere ? { do: 'wait for another node' } : { do: 'attach' };
	}
	if (wanted) return attachment.status?.attached && !reported ? { do: 'report' } : { do: 'nothing' };
	if (inUse && !abandoned) return { do: 'wait for the node' };
	return reported && !abandoned ? { do: 'withdraw' } : { do: 'detach' };
}

/** Whether only one node may have the volume. */
export const isExclusive = ({ spec }: PersistentVolume): boolean =>
	!(spec.accessModes ?? []).some((mode) => mode === 'ReadWriteMany' || mode === 'ReadOnlyMany');
