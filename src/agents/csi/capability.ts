/** How a volume is wanted of a driver: pure. Source: the Container Storage Interface, "VolumeCapability"; the kubelet's CSI plugin. */

/** How a volume is used, as its PersistentVolume or the pod says it. */
export interface Usage {
	/** Of the volume; those of Kubernetes. */
	readonly accessModes: readonly string[];
	readonly mode: 'Filesystem' | 'Block';
	readonly fsType?: string;
	readonly mountOptions: readonly string[];
}

export interface VolumeCapability {
	readonly block?: object;
	readonly mount?: {
		readonly fsType: string;
		readonly mountFlags: readonly string[];
		readonly volumeMountGroup?: string;
	};
	readonly accessMode: { readonly mode: string };
}

/** @param multiWriter - whether the driver tells volumes for one pod from those for one node. */
export function accessModeOf(accessModes: readonly string[], multiWriter: boolean): string {
	// Of several the first counts: a node cannot know which one the pod means.
	switch (accessModes[0]) {
		case 'ReadOnlyMany':
			return 'MULTI_NODE_READER_ONLY';
		case 'ReadWriteMany':
			return 'MULTI_NODE_MULTI_WRITER';
		case 'ReadWriteOncePod':
			return multiWriter ? 'SINGLE_NODE_SINGLE_WRITER' : 'SINGLE_NODE_WRITER';
		default:
			return multiWriter ? 'SINGLE_NODE_MULTI_WRITER' : 'SINGLE_NODE_WRITER';
	}
}

/** @param group - where the driver itself gives the volume to a group. */
export function capabilityOf(usage: Usage, capabilities: ReadonlySet<string>, group?: number): VolumeCapability {
	const mode = accessModeOf(usage.accessModes, capabilities.has('SINGLE_NODE_MULTI_WRITER'));
	const { fsType = '', mountOptions } = usage;
	return {
		...(usage.mode === 'Block'
			? { block: {} }
			: {
					mount: {
						fsType,
						mountFlags: mountOptions,
						...(group !== undefined && { volumeMountGroup: String(group) }),
					},
				}),
		accessMode: { mode },
	};
}

/**
 * Whether the files of a volume are given to the pod's group by this node.
 * Source: Kubernetes documentation, "CSI Driver fsGroup Support"; API reference, "CSIDriver", fsGroupPolicy.
 */
export function givesToGroup(policy: string, usage: Usage, readOnly: boolean): boolean {
	if (readOnly || usage.mode === 'Block' || policy === 'None') return false;
	if (policy === 'File') return true;
	return (
		Boolean(usage.fsType) && usage.accessModes.some((mode) => mode === 'ReadWriteOnce' || mode === 'ReadWriteOncePod')
	);
}
