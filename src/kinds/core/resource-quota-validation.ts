/** The rules of a ResourceQuota. Source: Kubernetes documentation, "Resource Quotas", and the API server's messages. */
import type * as core from 'kubernetes-types/core/v1.js';
import { qualifiedName } from '../names.ts';
import { compareQuantities, isQuantity, quantity } from '../quantity.ts';
import { type FieldError, fieldError } from '../status.ts';
import { isCounted, isOfScope, isQuotaResource, isStandardResource, QUOTA_SCOPES } from './quota-resources.ts';

/** Scopes that no pod can be in at once. */
const CONFLICTING = [
	['BestEffort', 'NotBestEffort'],
	['Terminating', 'NotTerminating'],
] as const;
/** Scopes that a pod is in or not: there is nothing to select by. */
const PLAIN: ReadonlySet<string> = new Set([...CONFLICTING.flat(), 'CrossNamespacePodAffinity']);

export function validateQuotaSpec(
	spec: core.ResourceQuotaSpec,
	old: core.ResourceQuotaSpec | undefined,
	errors: FieldError[],
): void {
	validateQuotaAmounts(spec.hard, 'spec.hard', errors);
	const limited = Object.keys(spec.hard ?? {}).sort();
	validateScopes(spec.scopes ?? [], limited, errors);
	if (spec.scopeSelector) validateSelector(spec, limited, errors);
	const [scopes, before] = [new Set(spec.scopes), new Set(old?.scopes)];
	if (old && scopes.symmetricDifference(before).size > 0)
		errors.push(fieldError.invalid('spec.scopes', spec.scopes ?? null, 'field is immutable'));
}

/** Amounts of what a quota counts. */
export function validateQuotaAmounts(
	amounts: Readonly<Record<string, string>> | undefined,
	path: string,
	errors: FieldError[],
): void {
	for (const [resource, amount] of Object.entries(amounts ?? {})) {
		const field = `${path}[${resource}]`;
		const wrong = qualifiedName(resource);
		for (const each of wrong) errors.push(fieldError.invalid(field, resource, each));
		if (wrong.length === 0 && !resource.includes('/')) {
			if (!isStandardResource(resource))
				errors.push(fieldError.invalid(field, resource, 'must be a standard resource type or fully qualified'));
			if (!isQuotaResource(resource))
				errors.push(fieldError.invalid(field, resource, 'must be a standard resource for quota'));
		}
		if (!isQuantity(amount)) continue; // the schema has refused it
		if (compareQuantities(amount, '0') < 0)
			errors.push(fieldError.invalid(field, amount, 'must be greater than or equal to 0'));
		if (isCounted(resource) && !Number.isInteger(quantity(amount)))
			errors.push(fieldError.invalid(field, amount, 'must be an integer'));
	}
}

function validateScopes(scopes: readonly string[], limited: readonly string[], errors: FieldError[]): void {
	for (const scope of scopes) {
		if (!isScope(scope)) errors.push(fieldError.invalid('spec.scopes', scopes, 'unsupported scope'));
		for (const resource of limited)
			if (isQuotaResource(resource) && !isOfScope(scope, resource))
				errors.push(fieldError.invalid('spec.scopes', scopes, 'unsupported scope applied to resource'));
	}
	if (conflicting(scopes)) errors.push(fieldError.invalid('spec.scopes', scopes, 'conflicting scopes'));
}

function validateSelector(spec: core.ResourceQuotaSpec, limited: readonly string[], errors: FieldError[]): void {
	const path = 'spec.scopeSelector.matchExpressions';
	const requirements = spec.scopeSelector?.matchExpressions ?? [];
	for (const { scopeName, operator, values } of requirements) {
		if (!isScope(scopeName)) errors.push(fieldError.invalid(`${path}.scopeName`, scopeName, 'unsupported scope'));
		for (const resource of limited)
			if (isQuotaResource(resource) && !isOfScope(scopeName, resource))
				errors.push(fieldError.invalid(path, spec.scopeSelector, 'unsupported scope applied to resource'));
		if (PLAIN.has(scopeName) && operator !== 'Exists')
			errors.push(
				fieldError.invalid(
					`${path}.operator`,
					operator,
					"must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
				),
			);
		if (operator === 'In' || operator === 'NotIn') {
			if (!values?.length)
				errors.push(
					fieldError.required(
						`${path}.values`,
						"must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
					),
				);
		} else if (operator === 'Exists' || operator === 'DoesNotExist') {
			if (values?.length)
				errors.push(
					fieldError.invalid(
						`${path}.values`,
						values,
						"must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
					),
				);
		} else errors.push(fieldError.invalid(`${path}.operator`, operator, 'not a valid selector operator'));
	}
	if (conflicting(requirements.map(({ scopeName }) => scopeName)))
		errors.push(fieldError.invalid('spec.scopes', spec.scopes ?? null, 'conflicting scopes'));
}

const isScope = (scope: string) => QUOTA_SCOPES.some((each) => each === scope);
const conflicting = (scopes: readonly string[]) =>
	CONFLICTING.some((pair) => pair.every((scope) => scopes.includes(scope)));
