/** The rules of a Job's spec, in the words of Kubernetes. Source: Kubernetes API reference, "Job", and the API server's messages. */
import type * as batch from 'kubernetes-types/batch/v1.js';
import type * as core from 'kubernetes-types/core/v1.js';
import { checkLabelSelector, checkNonNegative, checkOneOf } from '../checks.ts';
import { validatePodTemplateSpec } from '../core/pod-validation.ts';
import { deepEqual } from '../equal.ts';
import { dnsSubdomain } from '../names.ts';
import { type FieldError, fieldError } from '../status.ts';
import { matches } from './job-labels.ts';
import { validateFailurePolicy, validateSuccessPolicy } from './job-policies.ts';

/** Limits of Indexed Jobs: what is above makes a status too large to keep. */
export const MOST_INDEXED_PARALLELISM = 100_000;
export const MOST_FAILED_INDEXES = 100_000;
export const MANY_COMPLETIONS = 100_000;
export const MOST_OF_MANY = 10_000;
const LONGEST_MANAGER = 63;

export const isIndexed = (spec: batch.JobSpec): boolean => spec.completionMode === 'Indexed';

/** The rules of a Job's spec and of a CronJob's template alike; the selector is the Job's own. */
export function validateJobSpec(spec: batch.JobSpec, path: string, errors: FieldError[]): void {
	const at = (field: string) => `${path}.${field}`;
	for (const field of [
		'parallelism',
		'completions',
		'activeDeadlineSeconds',
		'backoffLimit',
		'ttlSecondsAfterFinished',
		'backoffLimitPerIndex',
		'maxFailedIndexes',
	] as const)
		checkNonNegative(spec[field], at(field), errors);
	if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined)
		errors.push(fieldError.required(at('backoffLimitPerIndex'), 'when maxFailedIndexes is specified'));
	if (spec.managedBy !== undefined) validateManager(spec.managedBy, at('managedBy'), errors);
	checkOneOf(spec.completionMode, at('completionMode'), ['NonIndexed', 'Indexed'], errors);
	if (isIndexed(spec)) validateIndexed(spec, at, errors);
	else if (!spec.completionMode || spec.completionMode === 'NonIndexed')
		for (const field of ['backoffLimitPerIndex', 'maxFailedIndexes'] as const)
			if (spec[field] !== undefined)
				errors.push(fieldError.invalid(at(field), spec[field], 'requires indexed completion mode'));
	if (spec.podFailurePolicy) validateFailurePolicy(spec, at('podFailurePolicy'), errors);
	if (spec.successPolicy) {
		if (isIndexed(spec)) validateSuccessPolicy(spec, at('successPolicy'), errors);
		else errors.push(fieldError.invalid(at('successPolicy'), spec.successPolicy, 'requires indexed completion mode'));
	}
	const replacements = spec.podFailurePolicy ? ['Failed'] : ['Failed', 'TerminatingOrFailed'];
	checkOneOf(spec.podReplacementPolicy, at('podReplacementPolicy'), replacements, errors);
	validatePodTemplateSpec(spec.template, at('template'), errors);
	validateRestartPolicy(spec, at('template.spec.restartPolicy'), errors);
}

function validateIndexed(spec: batch.JobSpec, at: (field: string) => string, errors: FieldError[]): void {
	const { completions, parallelism = 0, maxFailedIndexes: failed, backoffLimitPerIndex } = spec;
	if (completions === undefined) errors.push(fieldError.required(at('completions'), 'when completion mode is Indexed'));
	const atMost = (field: 'parallelism' | 'maxFailedIndexes', most: number, when: string) => {
		const value = spec[field] ?? 0;
		if (value > most) errors.push(fieldError.invalid(at(field), value, `must be less than or equal to ${most}${when}`));
	};
	atMost('parallelism', MOST_INDEXED_PARALLELISM, ' when completion mode is Indexed');
	if (completions !== undefined && failed !== undefined && failed > completions)
		errors.push(fieldError.invalid(at('maxFailedIndexes'), failed, 'must be less than or equal to completions'));
	atMost('maxFailedIndexes', MOST_FAILED_INDEXES, '');
	if (completions === undefined || completions <= MANY_COMPLETIONS || backoffLimitPerIndex === undefined) return;
	if (failed === undefined)
		errors.push(
			fieldError.required(at('maxFailedIndexes'), `must be specified when completions is above ${MANY_COMPLETIONS}`),
		);
	const when = ` when completions are above ${MANY_COMPLETIONS} and used with backoff limit per index`;
	if (parallelism > MOST_OF_MANY) atMost('parallelism', MOST_OF_MANY, when);
	atMost('maxFailedIndexes', MOST_OF_MANY, when);
}

/** `acme.io/foo`. */
function validateManager(manager: string, field: string, errors: FieldError[]): void {
	const [, host = '', path = ''] = /^([^/]*)\/(.*)$/s.exec(manager) ?? [];
	if (!manager) errors.push(fieldError.required(field));
	else if (!host || !path)
		errors.push(fieldError.invalid(field, manager, 'must be a domain-prefixed path (such as "acme.io/foo")'));
	else {
		for (const wrong of dnsSubdomain(host)) errors.push(fieldError.invalid(field, host, wrong));
		const characters = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
		if (!new RegExp(`^${characters}$`).test(path))
			errors.push(fieldError.invalid(field, path, `Invalid path (regex used for validation is '${characters}')`));
	}
	if (manager.length > LONGEST_MANAGER) errors.push(fieldError.tooLong(field, LONGEST_MANAGER));
}

function validateRestartPolicy({ template, podFailurePolicy }: batch.JobSpec, field: string, errors: FieldError[]) {
	const policy = template?.spec?.restartPolicy;
	// What is left out is filled in as Always, which a Job's pods cannot have.
	if (!policy || policy === 'Always') errors.push(fieldError.required(field, 'valid values: "OnFailure", "Never"'));
	else if (policy !== 'OnFailure' && policy !== 'Never')
		errors.push(fieldError.notSupported(field, policy, ['OnFailure', 'Never']));
	else if (podFailurePolicy && policy !== 'Never')
		errors.push(fieldError.invalid(field, policy, 'only "Never" is supported when podFailurePolicy is specified'));
}

/** The selector of a Job, generated or its user's own: it must match the Job's pods. */
export function validateJobSelector({ selector, template }: batch.JobSpec, errors: FieldError[]): void {
	if (!selector) {
		errors.push(fieldError.required('spec.selector'));
		return;
	}
	checkLabelSelector(selector as Parameters<typeof checkLabelSelector>[0], 'spec.selector', errors);
	const labels = template?.metadata?.labels;
	if (!matches(selector, labels))
		errors.push(
			fieldError.invalid('spec.template.metadata.labels', labels ?? {}, '`selector` does not match template `labels`'),
		);
}

/** What may change in a Job that exists. `waiting`: it is suspended and has never begun, and may still be told where to run. */
export function validateJobUpdate(
	spec: batch.JobSpec,
	old: batch.JobSpec,
	waiting: boolean,
	errors: FieldError[],
): void {
	const fixed = (field: string, value: unknown, before: unknown) => {
		if (!deepEqual(value, before)) errors.push(fieldError.invalid(field, value ?? null, 'field is immutable'));
	};
	if (!isIndexed(spec)) fixed('spec.completions', spec.completions, old.completions);
	else if (
		spec.completions !== undefined &&
		spec.completions !== old.completions &&
		spec.completions !== spec.parallelism
	)
		errors.push(
			fieldError.invalid('spec.completions', spec.completions, 'can only be modified in tandem with spec.parallelism'),
		);
	fixed('spec.selector', spec.selector, old.selector);
	fixed('spec.template', spec.template, waiting ? directed(old.template, spec.template) : old.template);
	for (const field of [
		'completionMode',
		'podFailurePolicy',
		'backoffLimitPerIndex',
		'managedBy',
		'successPolicy',
	] as const)
		fixed(`spec.${field}`, spec[field], old[field]);
}

/** The template with the scheduling directives of another. Source: Kubernetes documentation, "Jobs", "Mutable Scheduling Directives". */
function directed(template: core.PodTemplateSpec, by: core.PodTemplateSpec): core.PodTemplateSpec {
	const { nodeAffinity: _, ...others } = template.spec?.affinity ?? {};
	const nodeAffinity = by.spec?.affinity?.nodeAffinity;
	const affinity = { ...others, ...(nodeAffinity && { nodeAffinity }) };
	const keep = by.spec?.affinity !== undefined || Object.keys(affinity).length > 0;
	const { nodeSelector, tolerations, schedulingGates, containers = [] } = by.spec ?? {};
	return given({
		...template,
		metadata: given({ ...template.metadata, labels: by.metadata?.labels, annotations: by.metadata?.annotations }),
		spec: given({
			...(template.spec ?? { containers }),
			affinity: keep ? affinity : undefined,
			nodeSelector,
			tolerations,
			schedulingGates,
		}),
	});
}

/** Without the fields that are undefined. */
const given = <T extends object>(object: T): T =>
	Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
