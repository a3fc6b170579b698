import type * as apps from 'kubernetes-types/apps/v1.js';
import { checkCountOrPercent, checkNonNegative, checkNotMoreThanAll } from '../checks.ts';
import { defaultPodSpec } from '../core/pod-defaults.ts';
import { validatePodTemplate } from '../core/pod-validation.ts';
import { age, column, kind } from '../declare.ts';
import { deepEqual } from '../equal.ts';
import type { Health, Kind } from '../kind.ts';
import { conditions } from '../merges.ts';
import type { Persisted } from '../object.ts';
import { formatLabelSelector } from '../selectors.ts';
import { type FieldError, fieldError } from '../status.ts';
import { isZero, templateWarnings, validateSelector, workloadColumns } from './workload.ts';

export type DaemonSet = Persisted<apps.DaemonSet>;

const count = (name: string, description: string, field: keyof NonNullable<DaemonSet['status']>) =>
	column<DaemonSet>(name, 'integer', description, ({ status }) => Number(status?.[field] ?? 0));

/** Source: Kubernetes API reference, "DaemonSet". */
export const DaemonSet: Kind<DaemonSet> = kind<DaemonSet>({
	group: 'apps',
	version: 'v1',
	kind: 'DaemonSet',
	plural: 'daemonsets',
	schema: 'io.k8s.api.apps.v1.DaemonSet',
	merges: { 'io.k8s.api.apps.v1.DaemonSetStatus': conditions },
	shortNames: ['ds'],
	categories: ['all'],
	subresources: { status: true },
	generation: true,
	columns: [
		count('Desired', 'How many nodes are to run the pod.', 'desiredNumberScheduled'),
		count('Current', 'How many nodes have the pod and are to.', 'currentNumberScheduled'),
		count('Ready', 'How many nodes have a ready pod.', 'numberReady'),
		count('Up-to-date', 'How many nodes have a pod of the newest template.', 'updatedNumberScheduled'),
		count('Available', 'How many nodes have a pod that has been ready for long enough.', 'numberAvailable'),
		column('Node Selector', 'string', 'Which nodes are to run the pod.', ({ spec }) => {
			return formatLabelSelector({ matchLabels: spec.template?.spec?.nodeSelector }) || '<none>';
		}),
		age,
		...workloadColumns<DaemonSet>(),
	],
	defaults({ spec }) {
		if (!spec) return;
		spec.updateStrategy ??= {};
		spec.updateStrategy.type ||= 'RollingUpdate';
		if (spec.updateStrategy.type === 'RollingUpdate') {
			spec.updateStrategy.rollingUpdate ??= {};
			spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1;
			spec.updateStrategy.rollingUpdate.maxSurge ??= 0;
		}
		spec.revisionHistoryLimit ??= 10;
		if (spec.template?.spec) defaultPodSpec(spec.template.spec);
	},
	prepare(set, old) {
		const none = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 };
		if (!old) Object.assign(set, { status: none });
	},
	validate(set, old) {
		const errors: FieldError[] = [];
		const { spec } = set;
		if (!spec) return [fieldError.required('spec')];
		validateSelector(set, old, 'daemonset', errors);
		validatePodTemplate(spec.template, 'spec.template', 'DaemonSet', errors);
		checkNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors);
		checkNonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors);
		validateStrategy(spec, errors);
		if (!deepEqual(set.status, old?.status))
			for (const [field, value] of Object.entries(set.status ?? {}))
				if (typeof value === 'number') checkNonNegative(value, `status.${field}`, errors);
		return errors;
	},
	warnings: templateWarnings,
	health,
});

function validateStrategy({ updateStrategy }: DaemonSet['spec'], errors: FieldError[]): void {
	const path = 'spec.updateStrategy';
	const { type, rollingUpdate } = updateStrategy ?? {};
	if (type !== 'RollingUpdate') {
		if (type !== 'OnDelete')
			errors.push(fieldError.notSupported(path, updateStrategy ?? {}, ['RollingUpdate', 'OnDelete']));
		return;
	}
	const { maxUnavailable, maxSurge } = rollingUpdate ?? {};
	for (const [field, value] of Object.entries({ maxUnavailable, maxSurge })) {
		checkCountOrPercent(value, `${path}.rollingUpdate.${field}`, errors);
		checkNotMoreThanAll(value, `${path}.rollingUpdate.${field}`, errors);
	}
	if (!isZero(maxUnavailable) && !isZero(maxSurge))
		errors.push(
			fieldError.invalid(`${path}.rollingUpdate.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero'),
		);
	if (isZero(maxUnavailable) && isZero(maxSurge))
		errors.push(fieldError.required(`${path}.rollingUpdate.maxUnavailable`, 'cannot be 0 when maxSurge is 0'));
}

/** Source: Argo CD documentation, "Resource Health". */
function health({ metadata, spec, status }: DaemonSet): Health {
	if ((metadata.generation ?? 0) > (status?.observedGeneration ?? 0))
		return {
			status: 'Progressing',
			message: 'Waiting for rollout to finish: observed daemon set generation less than desired generation',
		};
	const { desiredNumberScheduled = 0, updatedNumberScheduled = 0, numberAvailable = 0 } = status ?? {};
	if (spec.updateStrategy?.type === 'OnDelete')
		return {
			status: 'Healthy',
			message: `daemon set ${updatedNumberScheduled} out of ${desiredNumberScheduled} new pods have been updated`,
		};
	const waiting = `Waiting for daemon set "${metadata.name}" rollout to finish:`;
	if (updatedNumberScheduled < desiredNumberScheduled)
		return {
			status: 'Progressing',
			message: `${waiting} ${updatedNumberScheduled} out of ${desiredNumberScheduled} new pods have been updated...`,
		};
	if (numberAvailable < desiredNumberScheduled)
		return {
			status: 'Progressing',
			message: `${waiting} ${numberAvailable} of ${desiredNumberScheduled} updated pods are available...`,
		};
	return { status: 'Healthy' };
}
