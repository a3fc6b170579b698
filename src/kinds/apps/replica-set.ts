import type * as apps from 'kubernetes-types/apps/v1.js';
import { checkNonNegative } from '../checks.ts';
import { defaultPodSpec } from '../core/pod-defaults.ts';
import { validatePodTemplate } from '../core/pod-validation.ts';
import { age, column, kind } from '../declare.ts';
import type { Health, Kind } from '../kind.ts';
import { conditions } from '../merges.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { scaleDownField, validateScaleDown, type WithScaleDown } from './scale-down.ts';
import { templateWarnings, validateReplicaCounts, validateSelector, workloadColumns } from './workload.ts';

export type ReplicaSet = Persisted<apps.ReplicaSet> & { readonly spec: WithScaleDown };

/** Source: Kubernetes API reference, "ReplicaSet". */
export const ReplicaSet: Kind<ReplicaSet> = kind<ReplicaSet>({
	group: 'apps',
	version: 'v1',
	kind: 'ReplicaSet',
	plural: 'replicasets',
	schema: 'io.k8s.api.apps.v1.ReplicaSet',
	merges: {
		'io.k8s.api.apps.v1.ReplicaSetStatus': conditions,
	},
	additions: { 'io.k8s.api.apps.v1.ReplicaSetSpec': scaleDownField },
	shortNames: ['rs'],
	categories: ['all'],
	subresources: {
		status: true,
		scale: { spec: '.spec.replicas', status: '.status.replicas', selector: '.spec.selector' },
	},
	generation: true,
	selectableFields: { 'status.replicas': (replicaSet) => String(replicaSet.status?.replicas ?? 0) },
	columns: [
		column('Desired', 'integer', 'How many pods there shall be.', ({ spec }) => spec.replicas ?? 0),
		column('Current', 'integer', 'How many pods there are.', ({ status }) => status?.replicas ?? 0),
		column('Ready', 'integer', 'How many pods are ready.', ({ status }) => status?.readyReplicas ?? 0),
		age,
		...workloadColumns<ReplicaSet>(),
	],
	defaults({ spec }) {
		if (!spec) return;
		spec.replicas ??= 1;
		if (spec.template?.spec) defaultPodSpec(spec.template.spec);
	},
	prepare(replicaSet, old) {
		if (!old) Object.assign(replicaSet, { status: { replicas: 0 } });
	},
	validate(replicaSet, old) {
		const errors: FieldError[] = [];
		const { spec } = replicaSet;
		if (!spec) return [fieldError.required('spec')];
		checkNonNegative(spec.replicas, 'spec.replicas', errors);
		checkNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors);
		validateScaleDown(replicaSet, errors);
		validateSelector(replicaSet, old, 'replicaset', errors);
		if (!spec.template) errors.push(fieldError.required('spec.template'));
		else validatePodTemplate(spec.template, 'spec.template', 'ReplicaSet', errors);
		const parts = ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'] as const;
		validateReplicaCounts(replicaSet.status, old?.status, parts, errors);
		return errors;
	},
	warnings: templateWarnings,
	health: replicaHealth,
});

/** Of a set, or of what is one by another name. Source: Argo CD documentation, "Resource Health". */
export function replicaHealth({
	metadata,
	spec,
	status,
}: Pick<ReplicaSet, 'metadata' | 'status'> & { readonly spec: { readonly replicas?: number } }): Health {
	if ((metadata.generation ?? 0) > (status?.observedGeneration ?? 0))
		return {
			status: 'Progressing',
			message: 'Waiting for rollout to finish: observed replica set generation less than desired generation',
		};
	const failure = status?.conditions?.find((each) => each.type === 'ReplicaFailure' && each.status === 'True');
	if (failure) return { status: 'Degraded', message: failure.message };
	const available = status?.availableReplicas ?? 0;
	if (spec.replicas !== undefined && available < spec.replicas)
		return {
			status: 'Progressing',
			message: `Waiting for rollout to finish: ${available} out of ${spec.replicas} new replicas are available...`,
		};
	return { status: 'Healthy' };
}
