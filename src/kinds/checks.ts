/** Rules that the validations of several kinds share, in the words of apimachinery and Kubernetes. */

import { validateLabels } from './metadata.ts';
import { dnsLabel, type NameCheck, portName, portNumber, qualifiedName } from './names.ts';
import { compareQuantities, isQuantity } from './quantity.ts';
import type { LabelSelector } from './selectors.ts';
import { type FieldError, fieldError } from './status.ts';

const MAX_INT32 = 2 ** 31 - 1;

/** Reports what a name check finds in a field; an absent or empty value is required or left alone. */
export function checkName(
	value: string | undefined,
	field: string,
	check: NameCheck,
	errors: FieldError[],
	presence: 'required' | 'optional' = 'optional',
): void {
	if (!value) {
		if (presence === 'required') errors.push(fieldError.required(field));
		return;
	}
	for (const wrong of check(value)) errors.push(fieldError.invalid(field, value, wrong));
}

/** A value of a closed set; an absent or empty value is left alone. */
export function checkOneOf(
	value: string | undefined,
	field: string,
	supported: readonly string[],
	errors: FieldError[],
): void {
	if (value && !supported.includes(value)) errors.push(fieldError.notSupported(field, value, supported));
}

export function checkNonNegative(value: number | undefined, field: string, errors: FieldError[]): void {
	if (value !== undefined && value < 0)
		errors.push(fieldError.invalid(field, value, 'must be greater than or equal to 0'));
}

/** A number of pods, or a share of them in percent. */
export function checkCountOrPercent(value: number | string | undefined, field: string, errors: FieldError[]): void {
	if (typeof value === 'number') checkNonNegative(value, field, errors);
	else if (value !== undefined && !/^[0-9]+%$/.test(value))
		errors.push(
			fieldError.invalid(
				field,
				value,
				"a valid percent string must be a numeric followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
			),
		);
}

export function checkNotMoreThanAll(value: number | string | undefined, field: string, errors: FieldError[]): void {
	if (typeof value === 'string' && Number.parseInt(value, 10) > 100)
		errors.push(fieldError.invalid(field, value, 'must not be greater than 100%'));
}

export function checkRange(
	value: number | undefined,
	field: string,
	least: number,
	most: number,
	errors: FieldError[],
): void {
	if (value !== undefined && (value < least || value > most))
		errors.push(fieldError.invalid(field, value, `must be between ${least} and ${most}, inclusive`));
}

/** A uid or gid of Linux. */
export function checkId(value: number | undefined, field: string, errors: FieldError[]): void {
	checkRange(value, field, 0, MAX_INT32, errors);
}

export function checkPort(value: number | undefined, field: string, errors: FieldError[]): void {
	for (const wrong of portNumber(value ?? 0)) errors.push(fieldError.invalid(field, value ?? 0, wrong));
}

/** A port by number or by name. */
export function checkPortReference(value: number | string | undefined, field: string, errors: FieldError[]): void {
	if (typeof value === 'string') {
		for (const wrong of portName(value)) errors.push(fieldError.invalid(field, value, wrong));
	} else checkPort(value, field, errors);
}

/** The keys of requests, limits and capacities. */
export function checkQuantities(
	quantities: Readonly<Record<string, string>> | undefined,
	path: string,
	errors: FieldError[],
): void {
	for (const [resource, amount] of Object.entries(quantities ?? {})) {
		const field = `${path}.${resource}`;
		for (const wrong of qualifiedName(resource)) errors.push(fieldError.invalid(path, resource, wrong));
		if (!isQuantity(amount)) continue; // the schema has refused it
		if (compareQuantities(amount, '0') < 0)
			errors.push(fieldError.invalid(field, amount, 'must be greater than or equal to 0'));
	}
}

const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;

/** A LabelSelector of a spec. */
export function checkLabelSelector(selector: LabelSelector | undefined, path: string, errors: FieldError[]): void {
	validateLabels(selector?.matchLabels, `${path}.matchLabels`, errors);
	for (const [index, { key, operator, values }] of (selector?.matchExpressions ?? []).entries()) {
		const at = `${path}.matchExpressions[${index}]`;
		for (const wrong of qualifiedName(key ?? '')) errors.push(fieldError.invalid(`${at}.key`, key ?? '', wrong));
		if (!operators.some((each) => each === operator))
			errors.push(fieldError.invalid(`${at}.operator`, operator ?? '', 'not a valid selector operator'));
		else if (operator === 'In' || operator === 'NotIn') {
			if (!values?.length)
				errors.push(fieldError.required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
		} else if (values?.length) {
			errors.push(
				fieldError.forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
			);
		}
	}
}

/** A name that must differ from those before it in a list. */
export function checkUnique(value: string | undefined, field: string, seen: Set<string>, errors: FieldError[]): void {
	if (!value) return;
	if (seen.has(value)) errors.push(fieldError.duplicate(field, value));
	seen.add(value);
}

/** A required DNS label that is unique in its list: names of containers and volumes. */
export function checkListName(value: string | undefined, field: string, seen: Set<string>, errors: FieldError[]): void {
	checkName(value, field, dnsLabel, errors, 'required');
	checkUnique(value, field, seen, errors);
}
