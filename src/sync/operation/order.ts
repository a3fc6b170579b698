/**
 * The order in which kinds are applied, so that what others need is there first. Pruning goes the other way.
 * Source: the sync order that Argo CD documents ("Sync Phases and Waves", by kind).
 */
import { type Dynamic, parseApiVersion } from '../../kinds/index.ts';

const first = [
	'Namespace',
	'NetworkPolicy',
	'ResourceQuota',
	'LimitRange',
	'PodSecurityPolicy',
	'PodDisruptionBudget',
	'ServiceAccount',
	'Secret',
	'SecretList',
	'ConfigMap',
	'StorageClass',
	'PersistentVolume',
	'PersistentVolumeClaim',
	'CustomResourceDefinition',
	'ClusterRole',
	'ClusterRoleList',
	'ClusterRoleBinding',
	'ClusterRoleBindingList',
	'Role',
	'RoleList',
	'RoleBinding',
	'RoleBindingList',
	'Service',
	'DaemonSet',
	'Pod',
	'ReplicationController',
	'ReplicaSet',
	'Deployment',
	'HorizontalPodAutoscaler',
	'StatefulSet',
	'Job',
	'CronJob',
	'IngressClass',
	'Ingress',
	'APIService',
];
const rank = new Map(first.map((kind, index) => [kind, index]));

/** The annotation that moves an object to an earlier (negative) or later wave than 0, the default. */
export const waveAnnotation = 'argocd.argoproj.io/sync-wave';

/** The wave of an object: an integer, 0 where it names none or something else. */
export function waveOf(object: Dynamic): number {
	const text = object.metadata.annotations?.[waveAnnotation];
	return text !== undefined && /^[+-]?\d{1,9}$/.test(text) ? Number(text) : 0;
}

/** The rank of a kind within a wave; kinds that the table does not name come last, together. */
export function rankOf(object: Pick<Dynamic, 'apiVersion' | 'kind'>): number {
	const known = rank.get(object.kind);
	// A kind of somebody else's group that happens to be called Service is not ours.
	return known !== undefined && isBuiltinGroup(parseApiVersion(object.apiVersion).group) ? known : first.length;
}

function isBuiltinGroup(group: string): boolean {
	return !group.includes('.') || group.endsWith('.k8s.io');
}
