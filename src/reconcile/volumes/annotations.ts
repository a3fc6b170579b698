/** What controllers of volumes say of claims and volumes. Source: Kubernetes documentation, "Well-Known Labels, Annotations and Taints". */

/** Of a claim whose binding is done: it has its volume for good. */
export const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed';
/** Of a claim and of a volume that the controller has brought together; it may part them. */
export const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller';
/** Of a volume that was made for a claim: by whom. */
export const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by';
/** Of a claim that waits for a volume: who is to make it. */
export const PROVISIONER = 'volume.kubernetes.io/storage-provisioner';
/** The same, as provisioners of old read it. */
export const OLD_PROVISIONER = 'volume.beta.kubernetes.io/storage-provisioner';
/** Of a claim that waits for its first consumer: the node on which that will run. */
export const SELECTED_NODE = 'volume.kubernetes.io/selected-node';

export const CLAIM_PROTECTION = 'kubernetes.io/pvc-protection';
export const VOLUME_PROTECTION = 'kubernetes.io/pv-protection';
