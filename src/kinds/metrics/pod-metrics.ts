import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { type Measured, measuredColumns, measuredSchemas, schemaName, type Usage, usageSchema } from './usage.ts';

export interface PodMetrics extends Measured {
	containers: readonly { readonly name: string; readonly usage: Usage }[];
}

const container = schemaName('ContainerMetrics');

/** What the containers of a pod use, with the labels of the pod. Its objects are computed when they are asked for. */
export const PodMetrics: Kind<PodMetrics> = kind<PodMetrics>({
	group: 'metrics.k8s.io',
	version: 'v1beta1',
	kind: 'PodMetrics',
	plural: 'pods',
	singular: '',
	schema: schemaName('PodMetrics'),
	schemas: {
		...measuredSchemas('PodMetrics', 'What a pod uses.', 'containers', {
			type: 'array',
			description: 'What each of its containers uses.',
			items: { $ref: `#/components/schemas/${container}` },
		}),
		[container]: {
			type: 'object',
			description: 'What a container uses.',
			required: ['name', 'usage'],
			properties: { name: { type: 'string' }, usage: usageSchema },
		},
	},
	computed: true,
	columns: measuredColumns<PodMetrics>(({ containers }) => containers.map(({ usage }) => usage)),
});
