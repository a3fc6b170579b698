import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { type Measured, measuredColumns, measuredSchemas, schemaName, type Usage, usageSchema } from './usage.ts';

export interface NodeMetrics extends Measured {
	usage: Usage;
}

/** What a node uses, with its labels. Its objects are computed when they are asked for. */
export const NodeMetrics: Kind<NodeMetrics> = kind<NodeMetrics>({
	group: 'metrics.k8s.io',
	version: 'v1beta1',
	kind: 'NodeMetrics',
	plural: 'nodes',
	singular: '',
	namespaced: false,
	schema: schemaName('NodeMetrics'),
	schemas: measuredSchemas('NodeMetrics', 'What a node uses.', 'usage', usageSchema),
	computed: true,
	columns: measuredColumns<NodeMetrics>(({ usage }) => [usage]),
});
