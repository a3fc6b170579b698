/** Objects as tests of the workload controllers need them: whole, and short to write. Times are seconds before `NOW`. */
import type { PodSpec, PodTemplateSpec } from 'kubernetes-types/core/v1.js';
import type { Deployment, Node, Pod, ReplicaSet, Service } from '../../src/kinds/index.ts';

export const NOW = Date.parse('2030-01-01T00:00:00Z');
export const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString().replace('.000Z', 'Z');

const controlledBy = (kind: string, name: string) => [
	{ apiVersion: 'apps/v1', kind, name, uid: `uid-${name}`, controller: true, blockOwnerDeletion: true },
];

export interface PodShape {
	owner?: string;
	labels?: Record<string, string>;
	node?: string;
	phase?: string;
	/** Ready for so many seconds. */
	ready?: number;
	age?: number;
	restarts?: number;
	cost?: string;
	terminating?: boolean;
	ip?: string;
	spec?: Partial<PodSpec>;
}

export function pod(name: string, shape: PodShape = {}): Pod {
	const { owner, labels = { app: 'web' }, node, ready, age = 1000, restarts = 0, cost, terminating, ip, spec } = shape;
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			name,
			namespace: 'default',
			uid: `uid-${name}`,
			labels,
			creationTimestamp: ago(age),
			...(cost && { annotations: { 'controller.kubernetes.io/pod-deletion-cost': cost } }),
			...(owner && { ownerReferences: controlledBy('ReplicaSet', owner) }),
			...(terminating && { deletionTimestamp: ago(1) }),
		},
		spec: { containers: [{ name: 'main', image: 'example' }], ...(node && { nodeName: node }), ...spec },
		status: {
			phase: shape.phase ?? 'Running',
			...(ip && { podIP: ip, podIPs: [{ ip }] }),
			conditions: [
				ready === undefined
					? { type: 'Ready', status: 'False' }
					: { type: 'Ready', status: 'True', lastTransitionTime: ago(ready) },
			],
			containerStatuses: [{ name: 'main', image: '', imageID: '', ready: true, restartCount: restarts }],
		},
	};
}

export const template = (version: string, labels: Record<string, string> = { app: 'web' }): PodTemplateSpec => ({
	metadata: { labels },
	spec: { containers: [{ name: 'main', image: `example:${version}` }] },
});

export interface SetShape {
	version?: string;
	age?: number;
	/** Pods that are; default all. */
	has?: number;
	available?: number;
	annotations?: Record<string, string>;
	selector?: Record<string, string>;
	minReadySeconds?: number;
}

export function replicaSet(name: string, replicas: number, shape: SetShape = {}): ReplicaSet {
	const { version = '1', age = 1000, has = replicas, available = has, annotations, selector, minReadySeconds } = shape;
	return {
		apiVersion: 'apps/v1',
		kind: 'ReplicaSet',
		metadata: {
			name,
			namespace: 'default',
			uid: `uid-${name}`,
			generation: 1,
			creationTimestamp: ago(age),
			annotations,
			ownerReferences: controlledBy('Deployment', 'web'),
		},
		spec: {
			replicas,
			minReadySeconds,
			selector: { matchLabels: selector ?? { app: 'web' } },
			template: template(version),
		},
		status: { replicas: has, readyReplicas: available, availableReplicas: available, observedGeneration: 1 },
	};
}

export function deployment(replicas: number, spec: Partial<Deployment['spec']> = {}, version = '1'): Deployment {
	return {
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web', namespace: 'default', uid: 'uid-web', generation: 1 },
		spec: {
			replicas,
			selector: { matchLabels: { app: 'web' } },
			template: template(version),
			strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
			progressDeadlineSeconds: 600,
			revisionHistoryLimit: 10,
			...spec,
		},
	};
}

export function node(name: string, spec: Node['spec'] = {}, labels: Record<string, string> = {}): Node {
	const resources = { cpu: '4', memory: '8Gi', pods: '110', 'ephemeral-storage': '100Gi' };
	return {
		apiVersion: 'v1',
		kind: 'Node',
		metadata: { name, uid: `uid-${name}`, labels: { 'kubernetes.io/hostname': name, ...labels } },
		spec,
		status: { capacity: resources, allocatable: resources },
	};
}

export function service(spec: Partial<Service['spec']> = {}, labels?: Record<string, string>): Service {
	return {
		apiVersion: 'v1',
		kind: 'Service',
		metadata: { name: 'web', namespace: 'default', uid: 'uid-service', labels },
		spec: {
			clusterIP: '10.96.1.1',
			selector: { app: 'web' },
			ports: [{ port: 80, targetPort: 8080, protocol: 'TCP' }],
			...spec,
		},
	};
}
