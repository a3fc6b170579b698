import type * as autoscaling from 'kubernetes-types/autoscaling/v1.js';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { wholly } from '../merges.ts';
import type { Persisted } from '../object.ts';
import { HorizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts';
import { fromStored, toStored } from './hpa-conversion.ts';
import { scaleIntervalField, type WithScaleInterval } from './scale-interval.ts';

export type HorizontalPodAutoscalerV1 = Persisted<autoscaling.HorizontalPodAutoscaler> & { spec: WithScaleInterval };

const percent = (value: number | undefined) => (value === undefined ? '<unknown>' : `${value}%`);

/**
 * The first version, which knows the cpu alone: all else of the stored object lies in annotations.
 *
 * Source: Kubernetes API reference, "HorizontalPodAutoscaler" of autoscaling/v1.
 */
export const HorizontalPodAutoscalerV1: Kind<HorizontalPodAutoscalerV1> = kind<HorizontalPodAutoscalerV1>({
	group: 'autoscaling',
	version: 'v1',
	kind: 'HorizontalPodAutoscaler',
	plural: 'horizontalpodautoscalers',
	schema: 'io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler',
	additions: { 'io.k8s.api.autoscaling.v1.HorizontalPodAutoscalerSpec': scaleIntervalField },
	shortNames: ['hpa'],
	categories: ['all'],
	subresources: { status: true },
	merges: { 'io.k8s.api.autoscaling.v1.CrossVersionObjectReference': wholly },
	columns: [
		column('Reference', 'string', 'What is scaled.', ({ spec }) => {
			return `${spec.scaleTargetRef?.kind ?? ''}/${spec.scaleTargetRef?.name ?? ''}`;
		}),
		column('Targets', 'string', 'The cpu that is used, and should be.', ({ spec, status }) => {
			return `cpu: ${percent(status?.currentCPUUtilizationPercentage)}/${percent(spec.targetCPUUtilizationPercentage)}`;
		}),
		column('MinPods', 'string', 'The fewest replicas.', ({ spec }) => String(spec.minReplicas ?? '<unset>')),
		column('MaxPods', 'integer', 'The most replicas.', ({ spec }) => spec.maxReplicas ?? 0),
		column('Replicas', 'integer', 'How many there are.', ({ status }) => status?.currentReplicas ?? 0),
		age,
	],
	storedAs: { kind: HorizontalPodAutoscaler as unknown as Kind, toStored, fromStored },
	defaults({ spec }) {
		if (spec) spec.minReplicas ??= 1;
	},
	health: (autoscaler) => HorizontalPodAutoscaler.health(toStored(autoscaler)),
});
