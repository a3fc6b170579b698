/** The metrics of an autoscaler as its column shows them: `cpu: 40%/80%, memory: 12Mi/100Mi`. */
import type { MetricSpec, MetricTarget, MetricValueStatus } from 'kubernetes-types/autoscaling/v2.js';
import type { HorizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts';

/** As many are shown; of the rest only the number. */
const SHOWN = 2;

export function targetsOf({ spec, status }: HorizontalPodAutoscaler): string {
	const metrics = spec.metrics ?? [];
	if (metrics.length === 0) return '<none>';
	const texts = metrics.map((metric, index) => textOf(metric, currentOf(status?.currentMetrics?.[index])));
	const more = texts.length > SHOWN ? ` + ${texts.length - SHOWN} more...` : '';
	return texts.slice(0, SHOWN).join(', ') + more;
}

function textOf(metric: MetricSpec, current: MetricValueStatus | undefined): string {
	const { resource, containerResource, pods, object, external } = metric;
	const target = (resource ?? containerResource ?? pods ?? object ?? external)?.target;
	if (!target) return '<unknown type>';
	const wanted = amount(target.averageUtilization, target.averageValue ?? target.value, target);
	const seen = amount(current?.averageUtilization, current?.averageValue ?? current?.value, target);
	const text = `${seen}/${wanted}`;
	const name = resource?.name ?? containerResource?.name;
	return name ? `${name}: ${text}` : text;
}

function amount(percent: number | undefined, value: string | undefined, target: MetricTarget): string {
	if (target.averageUtilization !== undefined) return percent === undefined ? '<unknown>' : `${percent}%`;
	return value ?? '<unknown>';
}

type CurrentMetric = NonNullable<NonNullable<HorizontalPodAutoscaler['status']>['currentMetrics']>[number];

function currentOf(metric: CurrentMetric | undefined): MetricValueStatus | undefined {
	return (metric?.resource ?? metric?.containerResource ?? metric?.pods ?? metric?.object ?? metric?.external)?.current;
}
