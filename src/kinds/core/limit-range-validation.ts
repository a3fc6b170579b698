/** The rules of a LimitRange. Source: Kubernetes documentation, "Limit Ranges", and the API server's messages. */
import type * as core from 'kubernetes-types/core/v1.js';
import { qualifiedName } from '../names.ts';
import { compareQuantities, isQuantity, quantity } from '../quantity.ts';
import { type FieldError, fieldError } from '../status.ts';
import { isStandardResource } from './quota-resources.ts';

const TYPES: ReadonlySet<string> = new Set(['Container', 'Pod', 'PersistentVolumeClaim']);
const OF_CONTAINERS = /^(cpu|memory|ephemeral-storage|hugepages-.+)$/;

type Amounts = Readonly<Record<string, string>>;

export function validateLimits(limits: readonly core.LimitRangeItem[], path: string, errors: FieldError[]): void {
	const types = new Set<string>();
	for (const [index, limit] of limits.entries()) {
		const at = `${path}[${index}]`;
		const wrong = qualifiedName(limit.type ?? '');
		for (const each of wrong) errors.push(fieldError.invalid(`${at}.type`, limit.type, each));
		if (wrong.length === 0 && !limit.type.includes('/') && !TYPES.has(limit.type))
			errors.push(fieldError.invalid(`${at}.type`, limit.type, 'must be a standard limit type or fully qualified'));
		if (types.has(limit.type)) errors.push(fieldError.duplicate(`${at}.type`, limit.type));
		types.add(limit.type);
		validateLimit(limit, at, errors);
	}
}

function validateLimit(limit: core.LimitRangeItem, at: string, errors: FieldError[]): void {
	const { type, min = {}, max = {}, default: fallback = {}, defaultRequest = {}, maxLimitRequestRatio = {} } = limit;
	const lists: Record<string, Amounts> = { max, min };
	if (type === 'Pod') {
		if (limit.default && Object.keys(fallback).length > 0)
			errors.push(fieldError.forbidden(`${at}.default`, "may not be specified when `type` is 'Pod'"));
		if (limit.defaultRequest && Object.keys(defaultRequest).length > 0)
			errors.push(fieldError.forbidden(`${at}.defaultRequest`, "may not be specified when `type` is 'Pod'"));
	} else {
		lists.default = fallback;
		lists.defaultRequest = defaultRequest;
	}
	lists.maxLimitRequestRatio = maxLimitRequestRatio;
	if (type === 'PersistentVolumeClaim' && !min.storage && !max.storage)
		errors.push(
			fieldError.required(
				`${at}.limits`,
				'either minimum or maximum storage value is required, but neither was provided',
			),
		);
	for (const [list, amounts] of Object.entries(lists))
		for (const resource of Object.keys(amounts))
			for (const wrong of resourceName(type, resource))
				errors.push(fieldError.invalid(`${at}.${list}[${resource}]`, resource, wrong));
	const resources = new Set(Object.values(lists).flatMap((amounts) => Object.keys(amounts)));
	for (const resource of resources) validateOrder(limit, resource, at, errors);
}

function resourceName(type: string, resource: string): string[] {
	const wrong = qualifiedName(resource);
	if (wrong.length > 0 || resource.includes('/')) return wrong;
	if (type !== 'Pod' && type !== 'Container')
		return isStandardResource(resource) ? [] : ['must be a standard resource type or fully qualified'];
	return OF_CONTAINERS.test(resource) ? [] : ['must be a standard resource for containers'];
}

/** min <= defaultRequest <= default <= max, and a ratio that these leave room for. */
function validateOrder(limit: core.LimitRangeItem, resource: string, at: string, errors: FieldError[]): void {
	const pod = limit.type === 'Pod';
	const amountOf = (amounts: Amounts | undefined) => {
		const amount = amounts?.[resource];
		return amount !== undefined && isQuantity(amount) ? String(amount) : undefined;
	};
	const [min, max] = [amountOf(limit.min), amountOf(limit.max)];
	const fallback = pod ? undefined : amountOf(limit.default);
	const request = pod ? undefined : amountOf(limit.defaultRequest);
	const ratio = amountOf(limit.maxLimitRequestRatio);
	const inOrder = (
		low: string | undefined,
		high: string | undefined,
		list: string,
		shown: string | undefined,
		[lowName, highName]: readonly [string, string],
	) => {
		if (low === undefined || high === undefined || compareQuantities(low, high) <= 0) return;
		const message = `${lowName} value ${low} is greater than ${highName} value ${high}`;
		errors.push(fieldError.invalid(`${at}.${list}[${resource}]`, shown, message));
	};
	inOrder(min, max, 'min', min, ['min', 'max']);
	inOrder(min, request, 'defaultRequest', request, ['min', 'default request']);
	inOrder(request, max, 'defaultRequest', request, ['default request', 'max']);
	inOrder(request, fallback, 'defaultRequest', request, ['default request', 'default limit']);
	inOrder(min, fallback, 'default', min, ['min', 'default']);
	inOrder(fallback, max, 'default', max, ['default', 'max']);
	if (ratio === undefined) return;
	const field = `${at}.maxLimitRequestRatio[${resource}]`;
	if (compareQuantities(ratio, '1') < 0) errors.push(fieldError.invalid(field, ratio, `ratio ${ratio} is less than 1`));
	if (min === undefined || max === undefined || quantity(min) === 0) return;
	const widest = quantity(max) / quantity(min);
	if (quantity(ratio) > widest)
		errors.push(fieldError.invalid(field, ratio, `ratio ${ratio} is greater than max/min = ${widest.toFixed(6)}`));
}
