import type * as autoscaling from 'kubernetes-types/autoscaling/v2.js';
import { age, column, kind } from '../declare.ts';
import type { Health, Kind } from '../kind.ts';
import { atomic, merge, wholly } from '../merges.ts';
import type { Persisted } from '../object.ts';
import { targetsOf } from './hpa-targets.ts';
import { validateAutoscaler } from './hpa-validation.ts';
import { checkScaleInterval, scaleIntervalField, type WithScaleInterval } from './scale-interval.ts';

export type HorizontalPodAutoscaler = Persisted<autoscaling.HorizontalPodAutoscaler> & { spec: WithScaleInterval };

/** The cpu utilization that is aimed at where no metric is named, in percent of the requests. */
const CPU_PERCENT = 80;

type Rules = autoscaling.HPAScalingRules;

/** How fast an autoscaler with a `behavior` that does not say so scales. Source: Kubernetes documentation, "Horizontal Pod Autoscaling", "Default Behavior". */
const upwards: Rules = {
	stabilizationWindowSeconds: 0,
	selectPolicy: 'Max',
	policies: [
		{ type: 'Pods', value: 4, periodSeconds: 15 },
		{ type: 'Percent', value: 100, periodSeconds: 15 },
	],
};
const downwards: Rules = { selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] };

const withDefaults = (rules: Rules | undefined, defaults: Rules): Rules => ({
	...structuredClone(defaults),
	...Object.fromEntries(Object.entries(rules ?? {}).filter(([, value]) => value !== undefined && value !== null)),
});

/** Source: Kubernetes API reference, "HorizontalPodAutoscaler" of autoscaling/v2. */
export const HorizontalPodAutoscaler: Kind<HorizontalPodAutoscaler> = kind<HorizontalPodAutoscaler>({
	group: 'autoscaling',
	version: 'v2',
	kind: 'HorizontalPodAutoscaler',
	plural: 'horizontalpodautoscalers',
	schema: 'io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler',
	additions: { 'io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec': scaleIntervalField },
	shortNames: ['hpa'],
	categories: ['all'],
	subresources: { status: true },
	merges: {
		'io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec': { metrics: atomic },
		'io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus': {
			conditions: merge('type'),
			currentMetrics: atomic,
		},
		'io.k8s.api.autoscaling.v2.HPAScalingRules': { policies: atomic },
		'io.k8s.api.autoscaling.v2.CrossVersionObjectReference': wholly,
	},
	columns: [
		column('Reference', 'string', 'What is scaled.', ({ spec }) => {
			return `${spec.scaleTargetRef?.kind ?? ''}/${spec.scaleTargetRef?.name ?? ''}`;
		}),
		column('Targets', 'string', 'Each metric: what it is, and what it should be.', targetsOf),
		column('MinPods', 'string', 'The fewest replicas.', ({ spec }) => String(spec.minReplicas ?? '<unset>')),
		column('MaxPods', 'integer', 'The most replicas.', ({ spec }) => spec.maxReplicas ?? 0),
		column('Replicas', 'integer', 'How many there are.', ({ status }) => status?.currentReplicas ?? 0),
		age,
	],
	defaults({ spec }) {
		if (!spec) return;
		spec.minReplicas ??= 1;
		if (!spec.metrics?.length)
			spec.metrics = [
				{
					type: 'Resource',
					resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: CPU_PERCENT } },
				},
			];
		if (!spec.behavior) return;
		spec.behavior.scaleUp = withDefaults(spec.behavior.scaleUp, upwards);
		spec.behavior.scaleDown = withDefaults(spec.behavior.scaleDown, downwards);
	},
	prepare(autoscaler, old) {
		if (!old) Object.assign(autoscaler, { status: { currentMetrics: null, desiredReplicas: 0 } });
	},
	validate: (autoscaler) => [...validateAutoscaler(autoscaler), ...checkScaleInterval(autoscaler)],
	health,
});

/**
 * Source: Argo CD, the health of HorizontalPodAutoscaler: a failed condition is Degraded, one that was met Healthy. Here any metric
 * that cannot be had counts as failed, and so does a second autoscaler of the same pods.
 */
function health({ status }: HorizontalPodAutoscaler): Health {
	const conditions = status?.conditions ?? [];
	const waiting: Health = { status: 'Progressing', message: 'Waiting to Autoscale' };
	const failed = conditions.find(
		({ type, status, reason }) =>
			(type === 'AbleToScale' && status === 'False' && reason !== 'SucceededGetScale') ||
			(type === 'ScalingActive' && status === 'False' && reason !== 'ScalingDisabled'),
	);
	if (failed) return { status: 'Degraded', message: failed.message };
	const able = conditions.find(
		({ type, status }) => (type === 'AbleToScale' || type === 'ScalingLimited') && status === 'True',
	);
	return able ? { status: 'Healthy', message: able.message } : waiting;
}
