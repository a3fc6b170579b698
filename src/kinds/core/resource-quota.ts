import type * as core from 'kubernetes-types/core/v1.js';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { atomic, wholly } from '../merges.ts';
import type { Persisted } from '../object.ts';
import type { FieldError } from '../status.ts';
import { validateQuotaAmounts, validateQuotaSpec } from './resource-quota-validation.ts';

export type ResourceQuota = Persisted<core.ResourceQuota>;

/** Source: Kubernetes API reference, "ResourceQuota". */
export const ResourceQuota: Kind<ResourceQuota> = kind<ResourceQuota>({
	group: '',
	version: 'v1',
	kind: 'ResourceQuota',
	plural: 'resourcequotas',
	schema: 'io.k8s.api.core.v1.ResourceQuota',
	merges: {
		'io.k8s.api.core.v1.ResourceQuotaSpec': { scopes: atomic },
		'io.k8s.api.core.v1.ScopeSelector': { ...wholly, matchExpressions: atomic },
		'io.k8s.api.core.v1.ScopedResourceSelectorRequirement': { values: atomic },
	},
	shortNames: ['quota'],
	subresources: { status: true },
	// Its answer to a delete is the object, as Kubernetes' strategy says.
	returnsDeleted: true,
	columns: [
		column('Request', 'string', 'What is used and what may be used at most, but for limits.', (quota) =>
			usage(quota, (name) => !isOfLimits(name)),
		),
		column('Limit', 'string', 'What is used and what may be used at most of limits.', (quota) =>
			usage(quota, isOfLimits),
		),
		age,
	],
	prepare(quota, old) {
		if (!old) Object.assign(quota, { status: {} });
	},
	validate(quota, old) {
		const errors: FieldError[] = [];
		validateQuotaSpec(quota.spec ?? {}, old?.spec, errors);
		validateQuotaAmounts(quota.status?.hard, 'status.hard', errors);
		validateQuotaAmounts(quota.status?.used, 'status.used', errors);
		return errors;
	},
});

const isOfLimits = (resource: string) => resource.startsWith('limits');

/** `cpu: 1/4, pods: 2/10`, as kubectl prints it. */
function usage({ status }: ResourceQuota, shown: (resource: string) => boolean): string {
	const names = Object.keys(status?.hard ?? {})
		.filter(shown)
		.sort();
	return names.map((name) => `${name}: ${status?.used?.[name] ?? '0'}/${status?.hard?.[name]}`).join(', ');
}
