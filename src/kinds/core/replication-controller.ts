import type * as core from 'kubernetes-types/core/v1.js';
import { replicaHealth } from '../apps/replica-set.ts';
import { validateScaleDown } from '../apps/scale-down.ts';
import { containerColumns, templateWarnings, validateReplicaCounts } from '../apps/workload.ts';
import { checkNonNegative } from '../checks.ts';
import { age, column, kind, wide } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { atomicMap, conditions } from '../merges.ts';
import { validateLabels } from '../metadata.ts';
import type { Persisted } from '../object.ts';
import { formatLabelSelector, selectorPredicate } from '../selectors.ts';
import { type FieldError, fieldError } from '../status.ts';
import { defaultPodSpec } from './pod-defaults.ts';
import { validatePodTemplate } from './pod-validation.ts';

export type ReplicationController = Persisted<core.ReplicationController>;

/** Source: Kubernetes API reference, "ReplicationController". */
export const ReplicationController: Kind<ReplicationController> = kind<ReplicationController>({
	group: '',
	version: 'v1',
	kind: 'ReplicationController',
	plural: 'replicationcontrollers',
	schema: 'io.k8s.api.core.v1.ReplicationController',
	merges: {
		'io.k8s.api.core.v1.ReplicationControllerSpec': { selector: atomicMap },
		'io.k8s.api.core.v1.ReplicationControllerStatus': conditions,
	},
	shortNames: ['rc'],
	categories: ['all'],
	subresources: {
		status: true,
		scale: { spec: '.spec.replicas', status: '.status.replicas', selector: '.spec.selector' },
	},
	generation: true,
	// As it was before there was garbage collection: clients that say nothing keep the pods.
	propagation: 'Orphan',
	selectableFields: { 'status.replicas': (controller) => String(controller.status?.replicas ?? 0) },
	columns: [
		column('Desired', 'integer', 'How many pods there shall be.', ({ spec }) => spec.replicas ?? 0),
		column('Current', 'integer', 'How many pods there are.', ({ status }) => status?.replicas ?? 0),
		column('Ready', 'integer', 'How many pods are ready.', ({ status }) => status?.readyReplicas ?? 0),
		age,
		...containerColumns<ReplicationController>(),
		wide('Selector', 'string', 'Which pods belong to the object.', ({ spec }) => {
			return formatLabelSelector({ matchLabels: spec.selector }) || '<none>';
		}),
	],
	defaults({ metadata, spec }) {
		if (!spec) return;
		spec.replicas ??= 1;
		const labels = spec.template?.metadata?.labels;
		if (labels) {
			if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels };
			if (Object.keys(metadata.labels ?? {}).length === 0) metadata.labels = { ...labels };
		}
		if (spec.template?.spec) defaultPodSpec(spec.template.spec);
	},
	prepare(controller, old) {
		if (!old) Object.assign(controller, { status: { replicas: 0 } });
	},
	validate(controller, old) {
		const errors: FieldError[] = [];
		const { spec } = controller;
		if (!spec) return [fieldError.required('spec')];
		checkNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors);
		checkNonNegative(spec.replicas, 'spec.replicas', errors);
		validateSelector(spec, errors);
		validateScaleDown(controller, errors);
		if (!spec.template) errors.push(fieldError.required('spec.template'));
		else validatePodTemplate(spec.template, 'spec.template', 'ReplicationController', errors);
		const parts = ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'] as const;
		validateReplicaCounts(controller.status, old?.status, parts, errors);
		return errors;
	},
	warnings: templateWarnings,
	health: replicaHealth,
});

function validateSelector({ selector, template }: ReplicationController['spec'], errors: FieldError[]): void {
	if (Object.keys(selector ?? {}).length === 0) {
		errors.push(fieldError.required('spec.selector'));
		return;
	}
	validateLabels(selector, 'spec.selector', errors);
	const labels = template?.metadata?.labels;
	if (template && !selectorPredicate({ matchLabels: selector })(labels))
		errors.push(
			fieldError.invalid('spec.template.metadata.labels', labels ?? {}, '`selector` does not match template `labels`'),
		);
}
