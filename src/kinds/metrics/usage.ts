/** What NodeMetrics and PodMetrics of metrics.k8s.io/v1beta1 have in common. Source: k8s.io/metrics, pkg/apis/metrics/v1beta1. */
import { column } from '../declare.ts';
import type { Column } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import { formatQuantity, quantity } from '../quantity.ts';
import type { Schema, Schemas } from '../schema.ts';

/** Amounts of resources in use: `{ cpu: "12m", memory: "3Mi" }`. */
export type Usage = Readonly<Record<string, string>>;

/** An object that tells what was in use. */
export interface Measured extends KubeObject {
	/** The end of the interval in which it was measured, RFC 3339. */
	timestamp: string;
	/** Its length, as Go writes durations: `10s`. */
	window: string;
}

export const usageSchema: Schema = {
	type: 'object',
	description: 'Amounts of resources in use, by the name of the resource.',
	additionalProperties: { $ref: '#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity' },
};

const group = { group: 'metrics.k8s.io', version: 'v1beta1' };
const types = 'io.k8s.metrics.pkg.apis.metrics.v1beta1';

/** The name of the schema of one of its types. */
export const schemaName = (type: string) => `${types}.${type}`;

/** The schemas of a kind whose objects are measured and of its lists, with what it has beside. */
export function measuredSchemas(kind: string, description: string, name: string, field: Schema): Schemas {
	const ref = (to: string): Schema => ({ $ref: `#/components/schemas/${to}` });
	const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';
	const text: Schema = { type: 'string' };
	const type = (of: string, required: readonly string[], properties: Schema['properties']): Schema => ({
		type: 'object',
		description,
		required,
		properties: { apiVersion: text, kind: text, ...properties },
		'x-kubernetes-group-version-kind': [{ ...group, kind: of }],
	});
	return {
		[schemaName(kind)]: type(kind, ['timestamp', 'window', name], {
			metadata: ref(`${meta}.ObjectMeta`),
			timestamp: ref(`${meta}.Time`),
			window: { ...text, description: 'The length of the interval in which it was measured, which ends at timestamp.' },
			[name]: field,
		}),
		[schemaName(`${kind}List`)]: type(`${kind}List`, ['items'], {
			metadata: ref(`${meta}.ListMeta`),
			items: { type: 'array', items: ref(schemaName(kind)) },
		}),
	};
}

/** The columns of metrics-server: CPU, memory, window. `usagesOf` are summed. */
export function measuredColumns<T extends Measured>(usagesOf: (object: T) => readonly Usage[]): readonly Column<T>[] {
	const total = (name: string, format: 'DecimalSI' | 'BinarySI') => (object: T) =>
		formatQuantity(
			usagesOf(object).reduce((sum, usage) => sum + quantity(usage[name] ?? 0), 0),
			format,
		);
	return [
		column<T>('cpu', 'string', 'Processors in use.', total('cpu', 'DecimalSI')),
		column<T>('memory', 'string', 'Memory in use.', total('memory', 'BinarySI')),
		column<T>('Window', 'string', 'The interval in which it was measured.', ({ window }) => window),
	];
}
