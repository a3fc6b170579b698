/** What the control plane and the agent of a node tell each other about directories of the node that are volumes. */

/** Who makes such volumes. */
export const LOCAL_PROVISIONER = 'driftless.io/local';
/** Of a Node: the folder in which its volumes lie. A node without it has none. */
export const VOLUME_ROOT = 'driftless.io/volume-root';
/** Of a volume: the node that has it. */
export const VOLUME_NODE = 'driftless.io/node';
/** Of a volume: that of which it is a copy. */
export const CLONE_OF = 'driftless.io/clone-of';
/** Of a volume, written by the agent: what its directory is held to, in bytes, or `none: WHY`. It says as well that the directory is there. */
export const SIZE_LIMIT = 'driftless.io/size-limit';
/** Of a volume that is being deleted, written by the control plane: nobody needs the data any more. */
export const REMOVE_DATA = 'driftless.io/remove-data';
/** Keeps a volume until its directory is gone. */
export const LOCAL_FINALIZER = 'driftless.io/local-volume';
