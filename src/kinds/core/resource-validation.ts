/**
 * What containers may ask for, and at most have. Source: Kubernetes documentation, "Resource Management for Pods and
 * Containers" and "Extended resources", and the API server's messages.
 */
import type * as core from 'kubernetes-types/core/v1.js';
import { qualifiedName } from '../names.ts';
import { compareQuantities, isQuantity, milli } from '../quantity.ts';
import { type FieldError, fieldError } from '../status.ts';
import { isExtendedResource, isStandardResource } from './quota-resources.ts';

const ofContainers = new Set(['cpu', 'memory', 'ephemeral-storage']);
const HUGE_PAGES = 'hugepages-';

/** Names of Kubernetes' own: without a domain, or of kubernetes.io. */
const isNative = (name: string) => !name.includes('/') || name.includes('kubernetes.io/');

/** Of what there are whole ones only, a node gives away no more than it has. */
const mayExceed = (name: string) => isNative(name) && !name.startsWith(HUGE_PAGES);

/** The requests and limits of a container. */
export function validateResources(
	resources: core.ResourceRequirements | undefined,
	path: string,
	errors: FieldError[],
): void {
	const { limits = {}, requests = {} } = resources ?? {};
	for (const [list, amounts] of Object.entries({ limits, requests }))
		for (const [name, amount] of Object.entries(amounts)) {
			const field = `${path}.${list}[${name}]`;
			validateName(name, field, errors);
			checkAmount(name, amount, field, errors);
		}
	for (const [name, request] of Object.entries(requests)) {
		const limit = limits[name];
		if (limit === undefined) {
			if (!mayExceed(name))
				errors.push(fieldError.required(`${path}.limits`, 'Limit must be set for non overcommitable resources'));
			continue;
		}
		if (!isQuantity(limit) || !isQuantity(request)) continue;
		const difference = compareQuantities(request, limit);
		const wrong = (how: string) =>
			errors.push(fieldError.invalid(`${path}.requests`, request, `must be ${how} ${name} limit of ${limit}`));
		if (difference !== 0 && !mayExceed(name)) wrong('equal to');
		else if (difference > 0) wrong('less than or equal to');
	}
}

function validateName(name: string, field: string, errors: FieldError[]): void {
	const wrong = (message: string) => errors.push(fieldError.invalid(field, name, message));
	qualifiedName(name).forEach(wrong);
	if (!name.includes('/')) {
		if (!isStandardResource(name)) wrong('must be a standard resource type or fully qualified');
		if (!ofContainers.has(name) && !name.startsWith(HUGE_PAGES)) wrong('must be a standard resource for containers');
	} else if (!isNative(name) && !isExtendedResource(name)) wrong("doesn't follow extended resource name standard");
}

/** An amount of a resource: of devices and their like there are whole ones only. */
export function checkAmount(name: string, amount: string, field: string, errors: FieldError[]): void {
	if (!isQuantity(amount)) return; // the schema has refused it
	if (compareQuantities(amount, '0') < 0)
		errors.push(fieldError.invalid(field, amount, 'must be greater than or equal to 0'));
	if (isExtendedResource(name) && milli(amount) % 1000 !== 0)
		errors.push(fieldError.invalid(field, amount, 'must be an integer'));
}
