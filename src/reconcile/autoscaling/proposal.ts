/** How many replicas a metric of an autoscaler asks for, and how its status tells what was seen. */

import type { MetricSpec, MetricStatus, MetricTarget } from 'kubernetes-types/autoscaling/v2.js';
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import { canonicalQuantity, milli, type Pod, quantity } from '../../kinds/index.ts';
import type { PodValues } from './pod-groups.ts';
import { byAverage, byShare, byUtilization, byValue } from './ratios.ts';
import { Unmeasured } from './unmeasured.ts';

/** What was read of a metric: a value of each pod, or one of all, in thousandths. */
export type Read = { readonly pods: PodValues } | { readonly value: number };

export interface Proposal {
	readonly replicas: number;
	/** What events call the metric: `cpu resource utilization (percentage of request)`. */
	readonly name: string;
	readonly status: MetricStatus;
}

/** What is scaled, as it is. */
export interface Scaled {
	/** What it should have, and has, of replicas. */
	readonly spec: number;
	readonly status: number;
	/** Those that its selector finds. */
	readonly pods: readonly Pod[];
	readonly now: number;
}

/** Throws Unmeasured with why the metric asks for nothing. */
export function propose(metric: MetricSpec, read: Read, scaled: Scaled): Proposal {
	const { resource, containerResource, pods, object, external } = metric;
	if (resource) return ofResource(resource.name, resource.target, read, scaled, undefined);
	if (containerResource) {
		const { name, container, target } = containerResource;
		return ofResource(name, target, read, scaled, container);
	}
	if (pods) {
		const { replicas, usage } = byAverage(perPod(read, scaled, false), amount(pods.target.averageValue));
		const current = { averageValue: milliText(usage) };
		return {
			replicas,
			name: `pods metric ${pods.metric.name}`,
			status: { type: 'Pods', pods: { metric: pods.metric, current } },
		};
	}
	if (object) {
		const { describedObject, metric: identifier, target } = object;
		const of = (replicas: number, current: MetricStatusOf<'object'>, name: string): Proposal => ({
			replicas,
			name,
			status: { type: 'Object', object: { describedObject, metric: identifier, current } },
		});
		if (target.value !== undefined && target.type !== 'AverageValue') {
			const usage = value(read);
			const replicas = byValue(scaled.spec, usage, amount(target.value), scaled.pods);
			return of(replicas, { value: milliText(usage) }, `${describedObject.kind} metric ${identifier.name}`);
		}
		const { replicas, usage } = byShare(scaled.status, value(read), amount(target.averageValue));
		return of(replicas, { averageValue: milliText(usage) }, externalName(identifier));
	}
	if (external) {
		const { metric: identifier, target } = external;
		const of = (replicas: number, current: MetricStatusOf<'external'>): Proposal => ({
			replicas,
			name: externalName(identifier),
			status: { type: 'External', external: { metric: identifier, current } },
		});
		if (target.averageValue !== undefined) {
			const { replicas, usage } = byShare(scaled.status, value(read), amount(target.averageValue));
			return of(replicas, { averageValue: milliText(usage) });
		}
		const usage = value(read);
		return of(byValue(scaled.spec, usage, amount(target.value), scaled.pods), { value: milliText(usage) });
	}
	throw new Unmeasured(`unknown metric source type ${JSON.stringify(metric.type)}`);
}

type MetricStatusOf<Source extends 'object' | 'external'> = NonNullable<MetricStatus[Source]>['current'];

function ofResource(
	resource: string,
	target: MetricTarget,
	read: Read,
	scaled: Scaled,
	container: string | undefined,
): Proposal {
	const asked = perPod(read, scaled, resource === 'cpu');
	const of = (replicas: number, current: MetricStatusOf<'object'>, name: string): Proposal => ({
		replicas,
		name,
		status:
			container === undefined
				? { type: 'Resource', resource: { name: resource, current } }
				: { type: 'ContainerResource', containerResource: { name: resource, container, current } },
	});
	if (target.averageValue !== undefined) {
		const { replicas, usage } = byAverage(asked, amount(target.averageValue));
		return of(replicas, { averageValue: milliText(usage) }, `${resource} resource`);
	}
	const requests = requestsOf(scaled.pods, resource, container);
	const { replicas, utilization, usage } = byUtilization(asked, requests, target.averageUtilization ?? 0);
	const source = container === undefined ? 'resource' : 'container resource';
	return of(
		replicas,
		{ averageUtilization: utilization, averageValue: milliText(usage) },
		`${resource} ${source} utilization (percentage of request)`,
	);
}

/** What each pod requests of a resource, its sidecars included; of one container where one is named. */
function requestsOf(
	pods: readonly Pod[],
	resource: string,
	container: string | undefined,
): ReadonlyMap<string, number> {
	return new Map(
		pods.map(({ metadata: { name }, spec }) => {
			const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
			const all = [...spec.containers, ...sidecars];
			const counted = container === undefined ? all : all.filter((each) => each.name === container);
			if (counted.length === 0) throw new Unmeasured(`container ${container} not found in Pod ${name}`);
			const sum = counted.reduce((before, each) => {
				const request = each.resources?.requests?.[resource];
				if (request === undefined)
					throw new Unmeasured(`missing request for ${resource} in container ${each.name} of Pod ${name}`);
				return before + amount(request);
			}, 0);
			return [name, sum] as const;
		}),
	);
}

const perPod = (read: Read, { spec, pods, now }: Scaled, ofCpu: boolean) => ({
	replicas: spec,
	pods,
	values: 'pods' in read ? read.pods : new Map<string, never>(),
	ofCpu,
	now,
});

const value = (read: Read) => ('value' in read ? read.value : 0);

/** In thousandths, rounded up. */
export const amount = (text: string | number | undefined): number =>
	text === undefined ? 0 : quantity(text) > Number.MAX_SAFE_INTEGER / 1000 ? quantity(text) * 1000 : milli(text);

export const milliText = (thousandths: number): string => canonicalQuantity(`${Math.trunc(thousandths)}m`);

const externalName = ({ name, selector }: { readonly name: string; readonly selector?: LabelSelector }) =>
	`external metric ${name}(${selectorText(selector)})`;

/** A selector as Kubernetes prints one in messages. */
export function selectorText(selector: LabelSelector | undefined): string {
	if (!selector) return 'nil';
	const labels = Object.entries(selector.matchLabels ?? {})
		.toSorted(([a], [b]) => (a < b ? -1 : 1))
		.map(([key, label]) => `${key}: ${label},`);
	const rules = (selector.matchExpressions ?? []).map(
		({ key, operator, values = [] }) =>
			`LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(' ')}],},`,
	);
	return `&LabelSelector{MatchLabels:map[string]string{${labels.join('')}},MatchExpressions:[]LabelSelectorRequirement{${rules.join('')}},}`;
}
