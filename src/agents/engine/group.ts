/**
 * How the control groups of pods are named, under either way in which engines make groups: by files (cgroupfs) or as slices of
 * systemd. As the kubelet names them, so that tools find them. Source: Kubernetes design document "Pod level resource management".
 */
import type { QosClass } from '../../kinds/index.ts';

export type { QosClass };

/** The control group of all pods of the machine. */
export const POD_GROUP = 'kubepods';
export const QOS_CLASSES: readonly QosClass[] = ['Guaranteed', 'Burstable', 'BestEffort'];

/** Of all pods of a class. Those of Guaranteed ones lie beside the groups of the others. */
export const classGroup = (qos: QosClass): string =>
	qos === 'Guaranteed' ? `/${POD_GROUP}` : `/${POD_GROUP}/${qos.toLowerCase()}`;

/** Of one pod, where groups are made by files. */
export const podGroupPath = (qos: QosClass, uid: string): string => `${classGroup(qos)}/pod${uid}`;

/** Of one pod, as a slice: the dashes of its name are its place. */
export const podSlice = (qos: QosClass, uid: string): string =>
	`${classGroup(qos).slice(1).replaceAll('/', '-')}-pod${uid.replaceAll('-', '_')}.slice`;
