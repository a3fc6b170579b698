import { checkListName, checkOneOf } from '../checks.ts';
import { age, kind, wide } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import type { Schemas } from '../schema.ts';
import { type FieldError, fieldError } from '../status.ts';

/** How the scheduler chooses among the nodes that a pod fits on. */
export const SCHEDULING_STRATEGIES = ['least-allocated', 'most-allocated', 'round-robin'] as const;
export type SchedulingStrategy = (typeof SCHEDULING_STRATEGIES)[number];

/** The name of the one that counts. */
export const SCHEDULER_CONFIG = 'default';

export interface SchedulerConfig extends KubeObject {
	spec?: { profiles?: { schedulerName: string; strategy?: SchedulingStrategy }[] };
}

const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const name = 'io.driftless.v1.SchedulerConfig';
const reference = (to: string) => ({ allOf: [{ $ref: `#/components/schemas/${to}` }] });
const gvk = (kindName: string) => ({
	'x-kubernetes-group-version-kind': [{ group: 'driftless.io', version: 'v1', kind: kindName }],
});

const schemas: Schemas = {
	[name]: {
		description: 'Which strategy places which pods. The one named default counts.',
		type: 'object',
		properties: {
			apiVersion: { type: 'string' },
			kind: { type: 'string' },
			metadata: reference(`${meta}.ObjectMeta`),
			spec: {
				type: 'object',
				properties: {
					profiles: {
						type: 'array',
						description: 'Pods whose schedulerName is that of a profile are placed by it.',
						'x-kubernetes-list-type': 'map',
						'x-kubernetes-list-map-keys': ['schedulerName'],
						items: {
							type: 'object',
							properties: {
								schedulerName: { type: 'string', description: 'What pods say as their schedulerName.' },
								strategy: {
									type: 'string',
									description: 'least-allocated, most-allocated or round-robin; that of the server where absent.',
								},
							},
							required: ['schedulerName'],
						},
					},
				},
			},
		},
		...gvk('SchedulerConfig'),
	},
	[`${name}List`]: {
		description: 'A list of SchedulerConfigs.',
		type: 'object',
		properties: {
			apiVersion: { type: 'string' },
			kind: { type: 'string' },
			metadata: reference(`${meta}.ListMeta`),
			items: { type: 'array', items: { $ref: `#/components/schemas/${name}` } },
		},
		required: ['items'],
		...gvk('SchedulerConfigList'),
	},
};

/** Strategies of scheduling by the schedulerName of pods, as the profiles of KubeSchedulerConfiguration are. */
export const SchedulerConfig: Kind<SchedulerConfig> = kind<SchedulerConfig>({
	group: 'driftless.io',
	version: 'v1',
	kind: 'SchedulerConfig',
	plural: 'schedulerconfigs',
	schema: name,
	schemas,
	namespaced: false,
	generation: true,
	columns: [
		age,
		wide('Profiles', 'string', 'The strategy of each scheduler name.', ({ spec }) =>
			(spec?.profiles ?? []).map(({ schedulerName, strategy }) => `${schedulerName}=${strategy ?? ''}`).join(','),
		),
	],
	validate({ metadata, spec }) {
		const errors: FieldError[] = [];
		if (metadata.name !== SCHEDULER_CONFIG)
			errors.push(fieldError.notSupported('metadata.name', metadata.name, [SCHEDULER_CONFIG]));
		const names = new Set<string>();
		for (const [index, { schedulerName, strategy }] of (spec?.profiles ?? []).entries()) {
			const at = `spec.profiles[${index}]`;
			checkListName(schedulerName, `${at}.schedulerName`, names, errors);
			checkOneOf(strategy, `${at}.strategy`, SCHEDULING_STRATEGIES, errors);
		}
		return errors;
	},
});
