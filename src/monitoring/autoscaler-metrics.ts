/**
 * Metrics of autoscalers beside those of processors and memory: from a Prometheus, by queries that a ConfigMap names. What is asked
 * for it answers as the adapters of custom.metrics.k8s.io and external.metrics.k8s.io do.
 */
import type { CrossVersionObjectReference, MetricIdentifier } from 'kubernetes-types/autoscaling/v2.js';
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import type { Client } from '../client/index.ts';
import { ApiError, ConfigMap } from '../kinds/index.ts';
import type { Prometheus, PrometheusSample } from './prometheus.ts';

/** The ConfigMap with the queries: `pods.NAME`, `object.NAME` and `external.NAME`. */
export const QUERIES = { namespace: 'kube-system', name: 'driftless-metrics' } as const;
/** The label by which a query of pods tells them apart. */
const POD = 'pod';

const thousandths = (value: number) => Math.ceil(value * 1000);

/** What the reconciler of autoscalers asks; all values are in thousandths. */
export function autoscalerMetrics(client: Client, prometheus: Prometheus) {
	const ask = async (
		source: 'pods' | 'object' | 'external',
		{ name, selector }: MetricIdentifier,
		more: Readonly<Record<string, string>>,
	): Promise<readonly PrometheusSample[]> => {
		const query = await queryOf(client, `${source}.${name}`);
		const samples = await prometheus.query(filledIn(query, { ...more, selector: matchers(selector) }));
		const api = source === 'external' ? 'external' : 'custom';
		if (samples.length === 0) throw new Error(`no metrics returned from ${api} metrics API`);
		return samples;
	};
	return {
		async ofPods(namespace: string, pods: ReadonlySet<string>, metric: MetricIdentifier) {
			const samples = await ask('pods', metric, { namespace });
			if (samples.some(({ labels }) => labels[POD] === undefined))
				throw new Error(`the query pods.${metric.name} gives values without a label ${POD}`);
			const own = samples.filter(({ labels }) => pods.has(labels[POD] ?? ''));
			return new Map(own.map(({ labels, value }) => [labels[POD] ?? '', { milli: thousandths(value) }]));
		},
		async ofObject(namespace: string, about: CrossVersionObjectReference, metric: MetricIdentifier) {
			const [first, ...others] = await ask('object', metric, { namespace, kind: about.kind, name: about.name });
			if (others.length > 0)
				throw new Error(`the query object.${metric.name} gives ${others.length + 1} values for one object`);
			return thousandths(first?.value ?? 0);
		},
		async external(namespace: string, metric: MetricIdentifier) {
			return (await ask('external', metric, { namespace })).map(({ value }) => thousandths(value));
		},
	};
}

async function queryOf(client: Client, key: string): Promise<string> {
	const where = `the ConfigMap ${QUERIES.namespace}/${QUERIES.name}`;
	try {
		const query = (await client.get(ConfigMap, QUERIES)).data?.[key];
		if (query?.trim()) return query;
	} catch (error) {
		if (!(error instanceof ApiError && error.reason === 'NotFound')) throw error;
		throw new Error(`there is no query ${key}: ${where} is missing`);
	}
	throw new Error(`${where} has no query ${key}`);
}

/** The query with what stands for `$namespace`, `$kind`, `$name` and `$selector` in it. */
export const filledIn = (query: string, values: Readonly<Record<string, string>>): string =>
	query.replace(/\$(namespace|kind|name|selector)\b/g, (whole, name: string) => {
		const value = values[name];
		if (value === undefined) return whole;
		// They stand within quotes, but for the matchers.
		return name === 'selector' ? value : escaped(value);
	});

const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
const literal = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** A selector as matchers of PromQL, each with a comma behind it. Throws where a label cannot be one of Prometheus. */
export function matchers(selector: LabelSelector | undefined): string {
	const equal = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => [key, '=', value] as const);
	const rules = (selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
		const any = values.map(literal).join('|');
		if (operator === 'In') return [key, '=~', any] as const;
		if (operator === 'NotIn') return [key, '!~', any] as const;
		return [key, operator === 'Exists' ? '!=' : '=', ''] as const;
	});
	return [...equal, ...rules]
		.map(([key, operator, value]) => {
			if (!/^[a-zA-Z_]\w*$/.test(key))
				throw new Error(`the selector's label ${JSON.stringify(key)} is none of a Prometheus`);
			return `${key}${operator}"${escaped(value)}",`;
		})
		.join('');
}
