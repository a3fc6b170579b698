import type * as policy from 'kubernetes-types/policy/v1.js';
import {
	checkCountOrPercent,
	checkLabelSelector,
	checkNonNegative,
	checkNotMoreThanAll,
	checkOneOf,
} from '../checks.ts';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { conditions, patch } from '../merges.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type PodDisruptionBudget = Persisted<policy.PodDisruptionBudget>;

/** Source: Kubernetes API reference, "PodDisruptionBudget". */
export const PodDisruptionBudget: Kind<PodDisruptionBudget> = kind<PodDisruptionBudget>({
	group: 'policy',
	version: 'v1',
	kind: 'PodDisruptionBudget',
	plural: 'poddisruptionbudgets',
	schema: 'io.k8s.api.policy.v1.PodDisruptionBudget',
	merges: {
		'io.k8s.api.policy.v1.PodDisruptionBudgetSpec': { selector: patch('replace') },
		'io.k8s.api.policy.v1.PodDisruptionBudgetStatus': conditions,
	},
	shortNames: ['pdb'],
	subresources: { status: true },
	generation: true,
	columns: [
		column('Min Available', 'string', 'How many pods must stay, or which share.', ({ spec }) => {
			return String(spec?.minAvailable ?? 'N/A');
		}),
		column('Max Unavailable', 'string', 'How many pods may be away, or which share.', ({ spec }) => {
			return String(spec?.maxUnavailable ?? 'N/A');
		}),
		column('Allowed Disruptions', 'integer', 'How many pods may be evicted now.', ({ status }) => {
			return status?.disruptionsAllowed ?? 0;
		}),
		age,
	],
	prepare(budget, old) {
		// What nobody has looked at yet allows nothing.
		if (!old)
			Object.assign(budget, {
				status: { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 },
			});
	},
	validate({ spec = {}, status }) {
		const errors: FieldError[] = [];
		const { minAvailable, maxUnavailable, unhealthyPodEvictionPolicy } = spec;
		if (minAvailable !== undefined && maxUnavailable !== undefined)
			errors.push(fieldError.invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set'));
		for (const field of ['minAvailable', 'maxUnavailable'] as const) {
			checkCountOrPercent(spec[field], `spec.${field}`, errors);
			checkNotMoreThanAll(spec[field], `spec.${field}`, errors);
		}
		checkOneOf(
			unhealthyPodEvictionPolicy,
			'spec.unhealthyPodEvictionPolicy',
			['AlwaysAllow', 'IfHealthyBudget'],
			errors,
		);
		checkLabelSelector(spec.selector, 'spec.selector', errors);
		for (const field of ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const)
			checkNonNegative(status?.[field], `status.${field}`, errors);
		return errors;
	},
	/** Source: Argo CD, the health of a PodDisruptionBudget. That nothing may be evicted is often what is meant. */
	health({ status }) {
		const [condition] = status?.conditions ?? [];
		if (!condition) return { status: 'Progressing', message: 'Waiting for status' };
		const message = `PodDisruptionBudget has ${condition.reason}`;
		const failed = condition.status === 'False' && condition.reason !== 'InsufficientPods';
		return { status: failed ? 'Degraded' : 'Healthy', message };
	},
});
