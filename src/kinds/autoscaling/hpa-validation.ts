/** The rules of autoscalers. Source: Kubernetes API reference, "HorizontalPodAutoscaler" of autoscaling/v2. */
import type { HPAScalingRules, MetricSpec, MetricTarget } from 'kubernetes-types/autoscaling/v2.js';
import { quantity } from '../quantity.ts';
import { type FieldError, fieldError } from '../status.ts';
import type { HorizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts';

/** The longest time that recommendations are looked back at, and the longest period of a policy, in seconds. */
const LONGEST_WINDOW = 3600;
const LONGEST_PERIOD = 1800;

export function validateAutoscaler({ spec }: HorizontalPodAutoscaler): FieldError[] {
	const errors: FieldError[] = [];
	if (!spec) return [fieldError.required('spec')];
	if (spec.minReplicas !== undefined && spec.minReplicas < 1)
		errors.push(fieldError.invalid('spec.minReplicas', spec.minReplicas, 'must be greater than or equal to 1'));
	if (spec.maxReplicas === undefined || spec.maxReplicas < 1)
		errors.push(fieldError.invalid('spec.maxReplicas', spec.maxReplicas ?? 0, 'must be greater than 0'));
	else if (spec.minReplicas !== undefined && spec.maxReplicas < spec.minReplicas)
		errors.push(
			fieldError.invalid('spec.maxReplicas', spec.maxReplicas, 'must be greater than or equal to `minReplicas`'),
		);
	const target: Partial<NonNullable<typeof spec.scaleTargetRef>> = spec.scaleTargetRef ?? {};
	for (const field of ['kind', 'name'] as const) {
		const text = target[field];
		if (!text) errors.push(fieldError.required(`spec.scaleTargetRef.${field}`));
		else checkSegment(text, `spec.scaleTargetRef.${field}`, errors);
	}
	for (const [index, metric] of (spec.metrics ?? []).entries()) checkMetric(metric, `spec.metrics[${index}]`, errors);
	for (const field of ['scaleUp', 'scaleDown'] as const) {
		const rules = spec.behavior?.[field];
		if (rules) checkRules(rules, `spec.behavior.${field}`, errors);
	}
	return errors;
}

/** A name that becomes a part of the path of a request. */
function checkSegment(text: string, path: string, errors: FieldError[]): void {
	if (text === '.' || text === '..') errors.push(fieldError.invalid(path, text, `may not be '${text}'`));
	for (const character of ['/', '%'])
		if (text.includes(character)) errors.push(fieldError.invalid(path, text, `may not contain '${character}'`));
}

const sources = {
	Object: 'object',
	Pods: 'pods',
	Resource: 'resource',
	ContainerResource: 'containerResource',
	External: 'external',
} as const;

function checkMetric(metric: MetricSpec, path: string, errors: FieldError[]): void {
	const wanted = Object.hasOwn(sources, metric.type ?? '') ? sources[metric.type as keyof typeof sources] : undefined;
	if (!metric.type) errors.push(fieldError.required(`${path}.type`, 'must specify a metric source type'));
	else if (!wanted) errors.push(fieldError.notSupported(`${path}.type`, metric.type, Object.keys(sources)));
	for (const source of Object.values(sources))
		if (source !== wanted && metric[source])
			errors.push(
				fieldError.forbidden(`${path}.${source}`, `must populate information for the given metric source only`),
			);
	if (!wanted) return;
	const source = metric[wanted];
	const here = `${path}.${wanted}`;
	if (!source) {
		errors.push(fieldError.required(here, `must populate information for the given metric source`));
		return;
	}
	if ('name' in source || wanted === 'resource' || wanted === 'containerResource') {
		const { name } = source as { name?: string };
		if (!name) errors.push(fieldError.required(`${here}.name`, 'must specify a resource name'));
	}
	if (wanted === 'containerResource' && !metric.containerResource?.container)
		errors.push(fieldError.required(`${here}.container`, 'must specify a container'));
	if ('metric' in source || wanted === 'pods' || wanted === 'object' || wanted === 'external') {
		const { metric: identifier } = source as { metric?: { name?: string } };
		if (!identifier?.name) errors.push(fieldError.required(`${here}.metric.name`, 'must specify a metric name'));
		else checkSegment(identifier.name, `${here}.metric.name`, errors);
	}
	if (wanted === 'object') {
		const about = metric.object?.describedObject;
		for (const field of ['kind', 'name'] as const)
			if (!about?.[field]) errors.push(fieldError.required(`${here}.describedObject.${field}`));
	}
	checkTarget(wanted, source.target, `${here}.target`, errors);
}

function checkTarget(
	source: string,
	target: Partial<MetricTarget> | undefined,
	path: string,
	errors: FieldError[],
): void {
	const { type, averageUtilization, averageValue, value } = target ?? {};
	if (!type) errors.push(fieldError.required(`${path}.type`, 'must specify a metric target type'));
	else if (type !== 'Utilization' && type !== 'Value' && type !== 'AverageValue')
		errors.push(fieldError.invalid(`${path}.type`, type, 'must be either Utilization, Value, or AverageValue'));
	if (averageUtilization !== undefined && averageUtilization < 1)
		errors.push(fieldError.invalid(`${path}.averageUtilization`, averageUtilization, 'must be greater than 0'));
	for (const [field, amount] of [
		['value', value],
		['averageValue', averageValue],
	] as const)
		if (amount !== undefined && quantity(amount) <= 0)
			errors.push(fieldError.invalid(`${path}.${field}`, amount, 'must be positive'));
	if (source === 'resource' || source === 'containerResource') {
		if (averageUtilization === undefined && averageValue === undefined)
			errors.push(
				fieldError.required(`${path}.averageUtilization`, 'must set either a target raw value or a target utilization'),
			);
		if (averageUtilization !== undefined && averageValue !== undefined)
			errors.push(
				fieldError.forbidden(`${path}.averageValue`, 'may not set both a target raw value and a target utilization'),
			);
	} else if (source === 'pods') {
		if (averageValue === undefined)
			errors.push(fieldError.required(`${path}.averageValue`, 'must specify a positive target averageValue'));
	} else {
		if (value === undefined && averageValue === undefined)
			errors.push(fieldError.required(`${path}.averageValue`, 'must set either a target value or averageValue'));
		if (source === 'external' && value !== undefined && averageValue !== undefined)
			errors.push(
				fieldError.forbidden(`${path}.value`, 'may not set both a target value for metric and a per-pod target'),
			);
	}
}

function checkRules(rules: HPAScalingRules, path: string, errors: FieldError[]): void {
	const window = rules.stabilizationWindowSeconds;
	if (window !== undefined && window < 0)
		errors.push(
			fieldError.invalid(`${path}.stabilizationWindowSeconds`, window, 'must be greater than or equal to zero'),
		);
	if (window !== undefined && window > LONGEST_WINDOW)
		errors.push(
			fieldError.invalid(
				`${path}.stabilizationWindowSeconds`,
				window,
				`must be less than or equal to ${LONGEST_WINDOW}`,
			),
		);
	if (rules.selectPolicy && !['Max', 'Min', 'Disabled'].includes(rules.selectPolicy))
		errors.push(fieldError.notSupported(`${path}.selectPolicy`, rules.selectPolicy, ['Disabled', 'Max', 'Min']));
	if (!rules.policies?.length) errors.push(fieldError.required(`${path}.policies`, 'must specify at least one Policy'));
	for (const [index, policy] of (rules.policies ?? []).entries()) {
		const here = `${path}.policies[${index}]`;
		if (policy.type !== 'Pods' && policy.type !== 'Percent')
			errors.push(fieldError.notSupported(`${here}.type`, policy.type, ['Percent', 'Pods']));
		if (policy.value <= 0) errors.push(fieldError.invalid(`${here}.value`, policy.value, 'must be greater than zero'));
		if (policy.periodSeconds <= 0)
			errors.push(fieldError.invalid(`${here}.periodSeconds`, policy.periodSeconds, 'must be greater than zero'));
		else if (policy.periodSeconds > LONGEST_PERIOD)
			errors.push(
				fieldError.invalid(
					`${here}.periodSeconds`,
					policy.periodSeconds,
					`must be less than or equal to ${LONGEST_PERIOD}`,
				),
			);
	}
}
