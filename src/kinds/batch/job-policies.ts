/** The rules of a Job's policies of failure and success. Source: Kubernetes API reference, PodFailurePolicy and SuccessPolicy. */
import type * as batch from 'kubernetes-types/batch/v1.js';
import { checkNonNegative } from '../checks.ts';
import { qualifiedName } from '../names.ts';
import { type FieldError, fieldError } from '../status.ts';
import { countIndexes, parseIndexes } from './indexes.ts';

const MOST_RULES = 20;
const MOST_PATTERNS = 20;
const MOST_EXIT_CODES = 255;
/** Bytes of the indexes of a rule. */
const LONGEST_INDEXES = 64 * 1024;

export function validateFailurePolicy(spec: batch.JobSpec, path: string, errors: FieldError[]): void {
	const rules = spec.podFailurePolicy?.rules ?? [];
	if (rules.length > MOST_RULES) errors.push(fieldError.tooMany(`${path}.rules`, rules.length, MOST_RULES));
	const { containers = [], initContainers = [] } = spec.template?.spec ?? {};
	const names = new Set([...containers, ...initContainers].map(({ name }) => name));
	for (const [index, rule] of rules.entries()) {
		const at = `${path}.rules[${index}]`;
		const { action, onExitCodes, onPodConditions = [] } = rule;
		if (action === 'FailIndex' && spec.backoffLimitPerIndex === undefined)
			errors.push(fieldError.invalid(`${at}.action`, action, 'requires the backoffLimitPerIndex to be set'));
		checkChoice(action, `${at}.action`, ['Count', 'FailIndex', 'FailJob', 'Ignore'], errors);
		if (onExitCodes) validateExitCodes(onExitCodes, `${at}.onExitCodes`, names, errors);
		validateConditions(onPodConditions, `${at}.onPodConditions`, errors);
		if (onExitCodes && onPodConditions.length > 0)
			errors.push(wrong(at, 'specifying both OnExitCodes and OnPodConditions is not supported'));
		if (!onExitCodes && onPodConditions.length === 0)
			errors.push(wrong(at, 'specifying one of OnExitCodes and OnPodConditions is required'));
	}
}

function validateExitCodes(
	{ operator, containerName, values = [] }: batch.PodFailurePolicyOnExitCodesRequirement,
	at: string,
	names: ReadonlySet<string>,
	errors: FieldError[],
): void {
	checkChoice(operator, `${at}.operator`, ['In', 'NotIn'], errors);
	if (containerName !== undefined && !names.has(containerName))
		errors.push(
			fieldError.invalid(
				`${at}.containerName`,
				containerName,
				'must be one of the container or initContainer names in the pod template',
			),
		);
	if (values.length === 0) errors.push(fieldError.invalid(`${at}.values`, values, 'at least one value is required'));
	if (values.length > MOST_EXIT_CODES) errors.push(fieldError.tooMany(`${at}.values`, values.length, MOST_EXIT_CODES));
	const seen = new Set<number>();
	for (const [index, code] of values.entries()) {
		if (operator === 'In' && code === 0)
			errors.push(fieldError.invalid(`${at}.values[${index}]`, code, 'must not be 0 for the In operator'));
		if (seen.has(code)) errors.push(fieldError.duplicate(`${at}.values[${index}]`, code));
		seen.add(code);
	}
	if (values.some((code, index) => code < (values[index - 1] ?? code)))
		errors.push(fieldError.invalid(`${at}.values`, values, 'must be ordered'));
}

function validateConditions(
	patterns: readonly batch.PodFailurePolicyOnPodConditionsPattern[],
	at: string,
	errors: FieldError[],
): void {
	if (patterns.length > MOST_PATTERNS) errors.push(fieldError.tooMany(at, patterns.length, MOST_PATTERNS));
	for (const [index, { type, status }] of patterns.entries()) {
		for (const message of qualifiedName(type ?? ''))
			errors.push(fieldError.invalid(`${at}[${index}].type`, type ?? '', message));
		checkChoice(status, `${at}[${index}].status`, ['False', 'True', 'Unknown'], errors);
	}
}

export function validateSuccessPolicy(spec: batch.JobSpec, path: string, errors: FieldError[]): void {
	const rules = spec.successPolicy?.rules ?? [];
	if (rules.length === 0)
		errors.push(
			fieldError.required(`${path}.rules`, 'at least one rules must be specified when the successPolicy is specified'),
		);
	if (rules.length > MOST_RULES) errors.push(fieldError.tooMany(`${path}.rules`, rules.length, MOST_RULES));
	for (const [index, rule] of rules.entries())
		validateSuccessRule(rule, spec.completions ?? 0, `${path}.rules[${index}]`, errors);
}

function validateSuccessRule(
	{ succeededCount: count, succeededIndexes }: batch.SuccessPolicyRule,
	completions: number,
	at: string,
	errors: FieldError[],
): void {
	if (count === undefined && succeededIndexes === undefined)
		errors.push(fieldError.required(at, 'at least one of succeededCount or succeededIndexes must be specified'));
	let named: number | undefined;
	if (succeededIndexes !== undefined) {
		if (succeededIndexes.length > LONGEST_INDEXES)
			errors.push(fieldError.tooLong(`${at}.succeededIndexes`, LONGEST_INDEXES));
		try {
			named = countIndexes(parseIndexes(succeededIndexes, completions));
		} catch (error) {
			named = 0;
			const why = `error parsing succeededIndexes: ${error instanceof Error ? error.message : error}`;
			errors.push(fieldError.invalid(`${at}.succeededIndexes`, succeededIndexes, why));
		}
	}
	if (count === undefined) return;
	const field = `${at}.succeededCount`;
	checkNonNegative(count, field, errors);
	const atMost = (most: number, what: string) => {
		if (count > most)
			errors.push(fieldError.invalid(field, count, `must be less than or equal to ${most} (the number of ${what})`));
	};
	atMost(completions, 'specified completions');
	if (named !== undefined) atMost(named, 'indexes in the specified succeededIndexes field');
}

/** One of a closed set, and not left out. */
function checkChoice(value: string | undefined, field: string, supported: readonly string[], errors: FieldError[]) {
	const list = supported.map((each) => JSON.stringify(each)).join(' ');
	if (!value) errors.push(fieldError.required(field, `valid values: [${list}]`));
	else if (!supported.includes(value)) errors.push(fieldError.notSupported(field, value, supported));
}

/** Of something that has no value of its own to print. */
export const wrong = (field: string, why: string): FieldError => ({
	type: 'FieldValueInvalid',
	field,
	detail: `Invalid value: ${why}`,
});
