/** Reads what an autoscaler scales by. What cannot be read throws Unmeasured with why, in the words of Kubernetes. */
import type { CrossVersionObjectReference, MetricIdentifier, MetricSpec } from 'kubernetes-types/autoscaling/v2.js';
import type { Client } from '../../client/index.ts';
import { type Pod, PodMetrics } from '../../kinds/index.ts';
import { messageOf } from '../runtime/refusal.ts';
import type { PodValue, PodValues } from './pod-groups.ts';
import { amount, type Read, selectorText } from './proposal.ts';
import { Unmeasured } from './unmeasured.ts';

/** Metrics beside those of processors and memory. All values are in thousandths; each call throws with why there are none. */
export interface OtherMetrics {
	/** Of the pods of a namespace with these names. */
	ofPods(namespace: string, pods: ReadonlySet<string>, metric: MetricIdentifier): Promise<PodValues>;
	ofObject(namespace: string, about: CrossVersionObjectReference, metric: MetricIdentifier): Promise<number>;
	/** One or more values, which add up. */
	external(namespace: string, metric: MetricIdentifier): Promise<readonly number[]>;
}

export interface Reading {
	readonly client: Client;
	/** Absent: there are none. */
	readonly others: OtherMetrics | undefined;
	readonly namespace: string;
	/** The text of the target's selector, and the pods that it finds. */
	readonly selector: string;
	readonly pods: readonly Pod[];
}

/** A reader of one look at an autoscaler: what several metrics need is asked for once. */
export function createReader({
	client,
	others,
	namespace,
	selector,
	pods,
}: Reading): (metric: MetricSpec) => Promise<Read> {
	let known: Promise<readonly PodMetrics[]> | undefined;
	const podMetrics = () => {
		known ??= client.list(PodMetrics, { namespace, labelSelector: selector }).then(({ items }) => items);
		return known;
	};
	const resource = async (name: string, container: string | undefined): Promise<Read> => {
		try {
			const all = await podMetrics().catch((error: unknown) => {
				throw new Unmeasured(`unable to fetch metrics from resource metrics API: ${messageOf(error)}`);
			});
			if (all.length === 0) throw new Unmeasured('no metrics returned from resource metrics API');
			return { pods: valuesOf(all, name, container) };
		} catch (error) {
			throw new Unmeasured(`unable to get metrics for resource ${name}: ${messageOf(error)}`);
		}
	};
	/** `api` is what of the metrics Kubernetes would ask. */
	const other = async <T>(api: 'custom' | 'external', ask: (others: OtherMetrics) => Promise<T>): Promise<T> => {
		try {
			if (!others) throw new Error('the server is not connected to a Prometheus');
			return await ask(others);
		} catch (error) {
			throw new Unmeasured(`unable to fetch metrics from ${api} metrics API: ${messageOf(error)}`);
		}
	};
	return async (spec) => {
		if (spec.resource) return resource(spec.resource.name, undefined);
		if (spec.containerResource) return resource(spec.containerResource.name, spec.containerResource.container);
		if (spec.pods) {
			const { metric } = spec.pods;
			const values = await prefixed(`unable to get metric ${metric.name}`, () =>
				other('custom', (asked) => asked.ofPods(namespace, new Set(pods.map(({ metadata }) => metadata.name)), metric)),
			);
			return { pods: values };
		}
		if (spec.object) {
			const { metric, describedObject } = spec.object;
			const { kind, name } = describedObject;
			const value = await prefixed(`unable to get metric ${metric.name} of ${kind} ${namespace}/${name}`, () =>
				other('custom', (asked) => asked.ofObject(namespace, describedObject, metric)),
			);
			return { value };
		}
		if (spec.external) {
			const { metric } = spec.external;
			const what = `unable to get external metric ${namespace}/${metric.name}/${selectorText(metric.selector)}`;
			const values = await prefixed(what, () => other('external', (asked) => asked.external(namespace, metric)));
			return { value: values.reduce((sum, each) => sum + each, 0) };
		}
		throw new Unmeasured(`unknown metric source type ${JSON.stringify(spec.type)}`);
	};
}

async function prefixed<T>(what: string, read: () => Promise<T>): Promise<T> {
	try {
		return await read();
	} catch (error) {
		throw new Unmeasured(`${what}: ${messageOf(error)}`);
	}
}

/** A pod of which a container has no such amount has no value: a part would be taken for the whole. */
function valuesOf(all: readonly PodMetrics[], resource: string, container: string | undefined): PodValues {
	const values = new Map<string, PodValue>();
	for (const { metadata, containers, timestamp, window } of all) {
		const counted = container === undefined ? containers : containers.filter(({ name }) => name === container);
		if (counted.length === 0)
			throw new Unmeasured(
				`container ${container} not present in metrics for pod ${metadata.namespace}/${metadata.name}`,
			);
		const amounts = counted.map(({ usage }) => usage[resource]);
		if (amounts.includes(undefined)) continue;
		const milli = amounts.reduce((sum, each) => sum + amount(each), 0);
		values.set(metadata.name, { milli, at: Date.parse(timestamp), window: Number.parseFloat(window) * 1_000 });
	}
	return values;
}

/** How Kubernetes tells of a metric that could not be read or counted. `why` is what was thrown for it. */
export function failureOf(spec: MetricSpec, why: string): { reason: string; message: string; detail: string } {
	const { resource, containerResource, external } = spec;
	const about = resource ?? containerResource;
	const what = about?.target.averageValue !== undefined ? 'usage' : 'utilization';
	const told = about ? `failed to get ${about.name} ${what}: ${why}` : why;
	const value = resource
		? `${resource.name} resource metric value`
		: containerResource
			? `${containerResource.name} container metric value`
			: external
				? `${external.metric.name} external metric value`
				: `${spec.type.toLowerCase()} metric value`;
	return { reason: `FailedGet${spec.type}Metric`, message: told, detail: `failed to get ${value}: ${told}` };
}
