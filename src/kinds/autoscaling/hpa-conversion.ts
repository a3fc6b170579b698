/**
 * Autoscalers of autoscaling/v1 and v2, each as the other. v1 knows a cpu utilization and nothing else; the other metrics,
 * the behavior, the conditions and the current metrics lie in annotations, in the form that Kubernetes gives them.
 * Source: Kubernetes documentation, "HorizontalPodAutoscaler Walkthrough", appendix; API reference, autoscaling/v1.
 */
import type {
	HorizontalPodAutoscalerSpec,
	MetricSpec,
	MetricStatus,
	MetricTarget,
	MetricValueStatus,
} from 'kubernetes-types/autoscaling/v2.js';
import type { KubeObject } from '../object.ts';
import type { HorizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts';
import type { HorizontalPodAutoscalerV1 } from './horizontal-pod-autoscaler-v1.ts';

const prefix = 'autoscaling.alpha.kubernetes.io/';
const kept = ['metrics', 'behavior', 'conditions', 'current-metrics'] as const;

/** JSON data whose shape another program has made. */
type Loose = { readonly [field: string]: unknown };

export function toStored({ metadata, spec, status, ...rest }: HorizontalPodAutoscalerV1): HorizontalPodAutoscaler {
	const said = (name: (typeof kept)[number]) => parsed(metadata?.annotations?.[prefix + name]);
	const { targetCPUUtilizationPercentage: percent, ...others } = spec ?? {};
	const metrics = listOf(said('metrics')).map((metric) => metricToStored(metric, 'target'));
	if (percent !== undefined) metrics.push(cpuMetric(percent));
	const behavior = said('behavior');
	const { currentCPUUtilizationPercentage: current, ...seen } = status ?? {};
	const conditions = said('conditions');
	const currentMetrics = listOf(said('current-metrics')).map((metric) => metricToStored(metric, 'current'));
	if (current !== undefined) currentMetrics.push(cpuStatus(current));
	return {
		...rest,
		metadata: withoutKept(metadata),
		...(spec && {
			spec: {
				...others,
				...(metrics.length > 0 && { metrics }),
				...(isLoose(behavior) && { behavior: lowerFirst(behavior) }),
			},
		}),
		...(status && {
			status: {
				...seen,
				currentMetrics: currentMetrics.length > 0 ? currentMetrics : null,
				...(Array.isArray(conditions) && { conditions }),
			},
		}),
		// The edge where the text of annotations becomes data: it is checked as every stored object is.
	} as unknown as HorizontalPodAutoscaler;
}

export function fromStored(object: KubeObject): HorizontalPodAutoscalerV1 {
	const { metadata, spec, status, ...rest } = object as HorizontalPodAutoscaler;
	const { metrics = [], behavior, ...others } = spec ?? ({} as Partial<HorizontalPodAutoscalerSpec>);
	const cpu = metrics.find(isCpuPercent);
	const { currentMetrics, conditions, ...seen } = status ?? {};
	const current = (currentMetrics ?? []).find(isCpuStatus);
	const annotations = { ...metadata.annotations };
	const say = (name: (typeof kept)[number], value: unknown) => {
		if (Array.isArray(value) ? value.length > 0 : value !== undefined)
			annotations[prefix + name] = JSON.stringify(value);
	};
	say(
		'metrics',
		metrics.filter((metric) => metric !== cpu).map((metric) => metricFromStored(metric, 'target')),
	);
	say('behavior', behavior && upperFirst(behavior as Loose));
	say('conditions', conditions);
	say(
		'current-metrics',
		(currentMetrics ?? []).filter((metric) => metric !== current).map((metric) => metricFromStored(metric, 'current')),
	);
	return {
		...rest,
		metadata: { ...metadata, ...(Object.keys(annotations).length > 0 && { annotations }) },
		...(spec && {
			spec: { ...others, ...(cpu && { targetCPUUtilizationPercentage: cpu.resource?.target.averageUtilization }) },
		}),
		...(status && {
			status: {
				...seen,
				...(current && { currentCPUUtilizationPercentage: current.resource?.current.averageUtilization }),
			},
		}),
	} as unknown as HorizontalPodAutoscalerV1;
}

const isCpuPercent = ({ type, resource }: MetricSpec) =>
	type === 'Resource' && resource?.name === 'cpu' && resource.target?.averageUtilization !== undefined;

/** A reading that v1's own field says wholly. */
const isCpuStatus = ({ type, resource }: MetricStatus) =>
	type === 'Resource' &&
	resource?.name === 'cpu' &&
	resource.current?.averageUtilization !== undefined &&
	resource.current.averageValue === undefined &&
	resource.current.value === undefined;

const cpuMetric = (averageUtilization: number): MetricSpec => ({
	type: 'Resource',
	resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } },
});
const cpuStatus = (averageUtilization: number): MetricStatus => ({
	type: 'Resource',
	resource: { name: 'cpu', current: { averageUtilization } },
});

/** What a metric is to be, and what it is: the same fields under two words. */
type Side = 'target' | 'current';
type Amount<S extends Side> = S extends 'target' ? MetricTarget : MetricValueStatus;
type Metric<S extends Side> = S extends 'target' ? MetricSpec : MetricStatus;
/** The same of both versions' metric, with its amount under either word. */
type Sided = { readonly [S in Side]?: Partial<Amount<S>> };

/** The fields of a metric of v1: the amount and what is measured, side by side. */
function metricFromStored<S extends Side>(metric: Metric<S>, side: S): Loose {
	const { type, resource, containerResource, pods, object, external } = metric;
	const amountOf = (source: Sided): Partial<Amount<S>> => (source[side] ?? {}) as Partial<Amount<S>>;
	// A reading is no pointer there: what was not read is a zero.
	const unread = side === 'current' ? '0' : undefined;
	const own = (source: Sided & { readonly name: string }) => ({
		name: source.name,
		[`${side}AverageUtilization`]: amountOf(source).averageUtilization,
		[`${side}AverageValue`]: amountOf(source).averageValue ?? unread,
	});
	return {
		type,
		resource: resource && own(resource),
		containerResource: containerResource && { ...own(containerResource), container: containerResource.container },
		pods: pods && {
			metricName: pods.metric.name,
			[`${side}AverageValue`]: amountOf(pods).averageValue,
			selector: pods.metric.selector,
		},
		object: object && {
			target: object.describedObject,
			metricName: object.metric.name,
			[`${side}Value`]: amountOf(object).value ?? '0',
			selector: object.metric.selector,
			averageValue: amountOf(object).averageValue,
		},
		external: external && {
			metricName: external.metric.name,
			metricSelector: external.metric.selector,
			[`${side}Value`]: amountOf(external).value ?? unread,
			[`${side}AverageValue`]: amountOf(external).averageValue,
		},
	};
}

function metricToStored<S extends Side>(metric: Loose, side: S): Metric<S> {
	const at = (name: string) => (isLoose(metric[name]) ? metric[name] : undefined);
	const amount = (averageUtilization: unknown, value: unknown, averageValue: unknown): Loose => {
		const type = averageUtilization !== undefined ? 'Utilization' : value !== undefined ? 'Value' : 'AverageValue';
		return { ...(side === 'target' && { type }), averageUtilization, value, averageValue };
	};
	const own = (source: Loose) => ({
		name: source.name,
		[side]: amount(source[`${side}AverageUtilization`], undefined, source[`${side}AverageValue`]),
	});
	const resource = at('resource');
	const containerResource = at('containerResource');
	const pods = at('pods');
	const object = at('object');
	const external = at('external');
	// The value of a target is no pointer there: beside an average it is a zero that says nothing.
	const isZero = side === 'target' && object?.averageValue !== undefined;
	const whole = {
		type: metric.type,
		resource: resource && own(resource),
		containerResource: containerResource && { ...own(containerResource), container: containerResource.container },
		pods: pods && {
			metric: { name: pods.metricName, selector: pods.selector },
			[side]: amount(undefined, undefined, pods[`${side}AverageValue`]),
		},
		object: object && {
			describedObject: object.target,
			metric: { name: object.metricName, selector: object.selector },
			[side]: amount(undefined, isZero ? undefined : object[`${side}Value`], object.averageValue),
		},
		external: external && {
			metric: { name: external.metricName, selector: external.metricSelector },
			[side]: amount(undefined, external[`${side}Value`], external[`${side}AverageValue`]),
		},
	};
	return defined(whole) as unknown as Metric<S>;
}

function withoutKept(metadata: KubeObject['metadata']): KubeObject['metadata'] {
	if (!metadata?.annotations) return metadata;
	const { annotations, ...others } = metadata;
	const rest = Object.entries(annotations).filter(([key]) => !kept.some((name) => key === prefix + name));
	return { ...others, ...(rest.length > 0 && { annotations: Object.fromEntries(rest) }) };
}

/** No annotation that Kubernetes writes is nested so deep. */
const MAX_DEPTH = 32;

/** The data of an annotation; what is no JSON says nothing, as upstream. */
function parsed(text: string | undefined): unknown {
	try {
		const value = text === undefined ? undefined : (JSON.parse(text) as unknown);
		return isDeeper(value, MAX_DEPTH) ? undefined : value;
	} catch {
		return undefined;
	}
}

function isDeeper(value: unknown, depth: number): boolean {
	if (typeof value !== 'object' || value === null) return false;
	return depth === 0 || Object.values(value).some((member) => isDeeper(member, depth - 1));
}

const isLoose = (value: unknown): value is Loose =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

const listOf = (value: unknown): readonly Loose[] => (Array.isArray(value) ? value.filter(isLoose) : []);

/** Data without members that are undefined, as its JSON has it. */
const defined = (value: Loose): Loose => JSON.parse(JSON.stringify(value)) as Loose;

/** The behavior is written with the names of Go's fields, and read however they are written. */
const renamed = (value: unknown, rename: (name: string) => string): unknown => {
	if (Array.isArray(value)) return value.map((item) => renamed(item, rename));
	if (!isLoose(value)) return value;
	const members = Object.entries(value).filter(([, member]) => member !== null && member !== undefined);
	return Object.fromEntries(members.map(([name, member]) => [rename(name), renamed(member, rename)]));
};
const upperFirst = (value: Loose) => renamed(value, (name) => `${name.charAt(0).toUpperCase()}${name.slice(1)}`);
const lowerFirst = (value: Loose) => renamed(value, (name) => `${name.charAt(0).toLowerCase()}${name.slice(1)}`);
