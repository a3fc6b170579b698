import type * as apps from 'kubernetes-types/apps/v1.js';
import { checkCountOrPercent, checkNonNegative, checkNotMoreThanAll, checkOneOf } from '../checks.ts';
import { defaultPodSpec } from '../core/pod-defaults.ts';
import { validatePodTemplate } from '../core/pod-validation.ts';
import { age, column, kind } from '../declare.ts';
import type { Health, Kind } from '../kind.ts';
import { conditions, patch } from '../merges.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { scaleDownField, validateScaleDown, type WithScaleDown } from './scale-down.ts';
import { isZero, templateWarnings, validateReplicaCounts, validateSelector, workloadColumns } from './workload.ts';

export type Deployment = Persisted<apps.Deployment> & { readonly spec: WithScaleDown };

/** Source: Kubernetes API reference, "Deployment". */
export const Deployment: Kind<Deployment> = kind<Deployment>({
	group: 'apps',
	version: 'v1',
	kind: 'Deployment',
	plural: 'deployments',
	schema: 'io.k8s.api.apps.v1.Deployment',
	merges: {
		'io.k8s.api.apps.v1.DeploymentSpec': { strategy: patch('retainKeys') },
		'io.k8s.api.apps.v1.DeploymentStatus': conditions,
	},
	additions: { 'io.k8s.api.apps.v1.DeploymentSpec': scaleDownField },
	shortNames: ['deploy'],
	categories: ['all'],
	subresources: {
		status: true,
		scale: { spec: '.spec.replicas', status: '.status.replicas', selector: '.spec.selector' },
	},
	generation: true,
	columns: [
		column('Ready', 'string', 'How many of the desired pods are ready.', ({ spec, status }) => {
			return `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`;
		}),
		column('Up-to-date', 'integer', 'How many pods are of the newest template.', ({ status }) => {
			return status?.updatedReplicas ?? 0;
		}),
		column('Available', 'integer', 'How many pods have been ready for long enough.', ({ status }) => {
			return status?.availableReplicas ?? 0;
		}),
		age,
		...workloadColumns<Deployment>(),
	],
	defaults({ spec }) {
		if (!spec) return;
		spec.replicas ??= 1;
		spec.revisionHistoryLimit ??= 10;
		spec.progressDeadlineSeconds ??= 600;
		spec.strategy ??= {};
		spec.strategy.type ||= 'RollingUpdate';
		if (spec.strategy.type === 'RollingUpdate') {
			spec.strategy.rollingUpdate ??= {};
			spec.strategy.rollingUpdate.maxUnavailable ??= '25%';
			spec.strategy.rollingUpdate.maxSurge ??= '25%';
		}
		if (spec.template?.spec) defaultPodSpec(spec.template.spec);
	},
	prepare(deployment, old) {
		if (!old) Object.assign(deployment, { status: {} });
	},
	prepareStatus(deployment, old) {
		deployment.metadata.labels = old.metadata.labels;
	},
	validate(deployment, old) {
		const errors: FieldError[] = [];
		const { spec } = deployment;
		if (!spec) return [fieldError.required('spec')];
		checkNonNegative(spec.replicas, 'spec.replicas', errors);
		validateSelector(deployment, old, 'deployment', errors);
		validatePodTemplate(spec.template, 'spec.template', 'ReplicaSet', errors);
		validateStrategy(spec, errors);
		checkNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors);
		validateScaleDown(deployment, errors);
		checkNonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors);
		const deadline = spec.progressDeadlineSeconds;
		checkNonNegative(deadline, 'spec.progressDeadlineSeconds', errors);
		if (deadline !== undefined && deadline <= (spec.minReadySeconds ?? 0))
			errors.push(fieldError.invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'));
		const parts = ['updatedReplicas', 'readyReplicas', 'availableReplicas'] as const;
		validateReplicaCounts(deployment.status, old?.status, parts, errors);
		return errors;
	},
	warnings: templateWarnings,
	health,
});

function validateStrategy(spec: Deployment['spec'], errors: FieldError[]): void {
	const path = 'spec.strategy';
	const { type, rollingUpdate } = spec.strategy ?? {};
	if (!type) errors.push(fieldError.required(`${path}.type`));
	checkOneOf(type, `${path}.type`, ['Recreate', 'RollingUpdate'], errors);
	if (type === 'Recreate' && rollingUpdate)
		errors.push(
			fieldError.forbidden(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'"),
		);
	if (type !== 'RollingUpdate' || !rollingUpdate) return;
	const { maxUnavailable, maxSurge } = rollingUpdate;
	checkCountOrPercent(maxUnavailable, `${path}.rollingUpdate.maxUnavailable`, errors);
	checkCountOrPercent(maxSurge, `${path}.rollingUpdate.maxSurge`, errors);
	if (isZero(maxUnavailable) && isZero(maxSurge))
		errors.push(
			fieldError.invalid(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable, 'may not be 0 when `maxSurge` is 0'),
		);
	checkNotMoreThanAll(maxUnavailable, `${path}.rollingUpdate.maxUnavailable`, errors);
}

/** Source: Argo CD documentation, "Resource Health". */
function health({ metadata, spec, status }: Deployment): Health {
	if (spec.paused) return { status: 'Suspended', message: 'Deployment is paused' };
	if ((metadata.generation ?? 0) > (status?.observedGeneration ?? 0))
		return {
			status: 'Progressing',
			message: 'Waiting for rollout to finish: observed deployment generation less than desired generation',
		};
	const progressing = status?.conditions?.find((condition) => condition.type === 'Progressing');
	if (progressing?.reason === 'ProgressDeadlineExceeded')
		return { status: 'Degraded', message: `Deployment "${metadata.name}" exceeded its progress deadline` };
	const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status ?? {};
	if (spec.replicas !== undefined && updatedReplicas < spec.replicas)
		return {
			status: 'Progressing',
			message: `Waiting for rollout to finish: ${updatedReplicas} out of ${spec.replicas} new replicas have been updated...`,
		};
	if (replicas > updatedReplicas)
		return {
			status: 'Progressing',
			message: `Waiting for rollout to finish: ${replicas - updatedReplicas} old replicas are pending termination...`,
		};
	if (availableReplicas < updatedReplicas)
		return {
			status: 'Progressing',
			message: `Waiting for rollout to finish: ${availableReplicas} of ${updatedReplicas} updated replicas are available...`,
		};
	return { status: 'Healthy' };
}
