/** The labels and the selector by which a Job knows its pods. Source: Kubernetes documentation, "Jobs", "Specifying your own Pod selector". */
import type * as batch from 'kubernetes-types/batch/v1.js';
import type { KubeObject } from '../object.ts';
import { selectorPredicate } from '../selectors.ts';
import { type FieldError, fieldError } from '../status.ts';

export const CONTROLLER_UID = 'batch.kubernetes.io/controller-uid';
export const JOB_NAME = 'batch.kubernetes.io/job-name';
/** Their names before 1.27, which both stay in use. */
const OLD_CONTROLLER_UID = 'controller-uid';
const OLD_JOB_NAME = 'job-name';

type Labelled = Pick<KubeObject, 'metadata'> & { spec: batch.JobSpec };

const labelsOf = ({ metadata }: Labelled): Record<string, string> => ({
	[OLD_CONTROLLER_UID]: metadata.uid ?? '',
	[OLD_JOB_NAME]: metadata.name,
	[CONTROLLER_UID]: metadata.uid ?? '',
	[JOB_NAME]: metadata.name,
});

/** Gives a new Job its selector, and its template the labels; what is there already stays, and is for the validation to refuse. In place. */
export function generateSelector(job: Labelled): void {
	const { spec } = job;
	if (spec.manualSelector || !spec.template) return;
	spec.template.metadata ??= {};
	spec.template.metadata.labels = { ...labelsOf(job), ...spec.template.metadata.labels };
	spec.selector ??= {};
	spec.selector.matchLabels = { [CONTROLLER_UID]: job.metadata.uid ?? '', ...spec.selector.matchLabels };
}

/** Where selector and labels are generated, a user's own must not contradict them. */
export function validateGeneratedSelector(job: Labelled, errors: FieldError[]): void {
	const { manualSelector, selector, template } = job.spec;
	if (manualSelector || !selector) return;
	const expected = labelsOf(job);
	const labels: Record<string, string> = template?.metadata?.labels ?? {};
	for (const [key, value] of Object.entries(expected)) {
		const field = `spec.template.metadata.labels[${key}]`;
		if (labels[key] === undefined) errors.push(fieldError.required(field, `must be '${value}'`));
		else if (labels[key] !== value) errors.push(fieldError.invalid(field, labels, `must be '${value}'`));
	}
	if (!matches(selector, expected))
		errors.push(fieldError.invalid('spec.selector', selector, '`selector` not auto-generated'));
}

/** Whether a selector is one, and matches. */
export function matches(selector: batch.JobSpec['selector'], labels: Record<string, string> | undefined): boolean {
	try {
		return selectorPredicate(selector as Parameters<typeof selectorPredicate>[0])(labels);
	} catch {
		return true; // an operator that does not exist is refused elsewhere
	}
}
