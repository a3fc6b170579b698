import type * as batch from 'kubernetes-types/batch/v1.js';
import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type { KubeObject, Persisted } from '../object.ts';
import type { Schema, Schemas } from '../schema.ts';
import { CronJob, cronJobColumns, cronJobHealth, defaultCronJob } from './cron-job.ts';

/** The version before 1.21: the same fields, under another name. */
export type CronJobV1beta1 = Persisted<Omit<batch.CronJob, 'apiVersion'> & { apiVersion?: 'batch/v1beta1' }>;

const version = 'io.k8s.api.batch.v1beta1';
const reference = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const text: Schema = { type: 'string' };
const typed = (kind: string): Pick<Schema, 'x-kubernetes-group-version-kind'> => ({
	'x-kubernetes-group-version-kind': [{ group: 'batch', version: 'v1beta1', kind }],
});

/** Its own names, and what lies below them as batch/v1 has it. */
const schemas: Schemas = {
	[`${version}.CronJob`]: {
		description: 'CronJob represents the configuration of a single cron job.',
		type: 'object',
		properties: {
			apiVersion: text,
			kind: text,
			metadata: reference('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'),
			spec: reference('io.k8s.api.batch.v1.CronJobSpec'),
			status: reference('io.k8s.api.batch.v1.CronJobStatus'),
		},
		...typed('CronJob'),
	},
	[`${version}.CronJobList`]: {
		description: 'CronJobList is a collection of cron jobs.',
		type: 'object',
		required: ['items'],
		properties: {
			apiVersion: text,
			kind: text,
			metadata: reference('io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta'),
			items: { type: 'array', items: reference(`${version}.CronJob`) },
		},
		...typed('CronJobList'),
	},
};

/** Source: Kubernetes documentation, "Deprecated API Migration Guide": batch/v1beta1 CronJob has no notable changes in batch/v1. */
export const CronJobV1beta1: Kind<CronJobV1beta1> = kind<CronJobV1beta1>({
	group: 'batch',
	version: 'v1beta1',
	kind: 'CronJob',
	plural: 'cronjobs',
	schema: `${version}.CronJob`,
	schemas,
	shortNames: ['cj'],
	categories: ['all'],
	subresources: { status: true },
	columns: cronJobColumns<CronJob>() as unknown as Kind<CronJobV1beta1>['columns'],
	storedAs: {
		kind: CronJob as unknown as Kind,
		toStored: (object): KubeObject => ({ ...object, apiVersion: 'batch/v1' }) as KubeObject,
		fromStored: (object) => ({ ...object, apiVersion: 'batch/v1beta1' }) as CronJobV1beta1,
	},
	defaults: defaultCronJob,
	warnings: (cronJob) => [
		'batch/v1beta1 CronJob is deprecated in v1.21+, unavailable in v1.25+; use batch/v1 CronJob',
		...CronJob.warnings({ ...cronJob, apiVersion: 'batch/v1' }, undefined),
	],
	health: cronJobHealth,
});
