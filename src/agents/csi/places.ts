/**
 * Where the volumes of drivers lie on a node, and what they are called: as with the kubelet, since drivers mount these folders
 * into their own containers. Source: Kubernetes documentation, "Local Files And Paths Used By The Kubelet"; design proposal
 * "CSI Volume Plugins in Kubernetes".
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** What a volume is called among all drivers. Both parts are bounded by whoever takes them in. */
export const volumeKey = (driver: string, handle: string) => `${driver}^${handle}`;

/** The handle of a volume that lives as long as its pod. */
export const ephemeralHandle = (uid: string, volume: string) => `csi-${sha256(uid + volume)}`;

/** Where drivers register. */
export const registryFolder = (kubeletDir: string) => join(kubeletDir, 'plugins_registry');

/** Where a volume is staged, once for all pods of the node. */
export const stagingPath = (kubeletDir: string, driver: string, handle: string) =>
	join(kubeletDir, 'plugins/kubernetes.io/csi', driver, sha256(handle), 'globalmount');

/** Where a volume is published for one pod. `name`: of the PersistentVolume, or of the volume in the pod. */
export const publishPath = (kubeletDir: string, uid: string, name: string) =>
	join(kubeletDir, 'pods', uid, 'volumes/kubernetes.io~csi', name, 'mount');

/** A record's file among others of its sort. */
export const recordName = (key: string) => `${sha256(key)}.json`;
