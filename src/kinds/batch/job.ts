import type * as batch from 'kubernetes-types/batch/v1.js';
import { humanDuration } from '../age.ts';
import { workloadColumns } from '../apps/workload.ts';
import { age, column, kind } from '../declare.ts';
import type { Column, Health, Kind } from '../kind.ts';
import { dnsLabel } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { jobCondition, jobEnd } from './finished.ts';
import { generateSelector, validateGeneratedSelector } from './job-labels.ts';
import { validateJobStatus } from './job-status-validation.ts';
import { defaultTemplate, jobMerges, jobWarnings } from './job-template.ts';
import { isIndexed, validateJobSelector, validateJobSpec, validateJobUpdate } from './job-validation.ts';

export type Job = Persisted<batch.Job>;

/** How often pods may fail when a Job does not say. */
const BACKOFF_LIMIT = 6;
const MAX_INT32 = 2 ** 31 - 1;

/** Source: Kubernetes API reference, "Job". */
export const Job: Kind<Job> = kind<Job>({
	group: 'batch',
	version: 'v1',
	kind: 'Job',
	plural: 'jobs',
	schema: 'io.k8s.api.batch.v1.Job',
	merges: jobMerges,
	categories: ['all'],
	subresources: { status: true },
	generation: true,
	// As batch/v1 has it, for those who came before propagation policies; kubectl asks for Background.
	propagation: 'Orphan',
	selectableFields: { 'status.successful': ({ status }) => String(status?.succeeded ?? 0) },
	columns: [
		column('Status', 'string', 'What has become of the Job.', statusOf),
		column('Completions', 'string', 'How many pods have succeeded, of how many.', completionsOf),
		duration(),
		age,
		...workloadColumns<Job>(),
	],
	defaults(job) {
		const { spec } = job;
		if (!spec) return;
		if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
		spec.parallelism ??= 1;
		spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? BACKOFF_LIMIT : MAX_INT32;
		spec.completionMode ??= 'NonIndexed';
		spec.suspend ??= false;
		spec.manualSelector ??= false;
		spec.podReplacementPolicy ??= spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed';
		defaultTemplate(spec);
		const labels = spec.template?.metadata?.labels;
		if (labels && Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = { ...labels };
	},
	prepare(job, old) {
		if (old) return;
		Object.assign(job, { status: {} });
		if (job.spec) generateSelector(job);
	},
	validate(job, old) {
		const errors: FieldError[] = [];
		const { spec } = job;
		if (!spec) return [fieldError.required('spec')];
		if (!old) validateGeneratedSelector(job, errors);
		validateJobSpec(spec, 'spec', errors);
		validateJobSelector(spec, errors);
		if (old) {
			const waiting = old.spec.suspend === true && old.status?.startTime === undefined;
			validateJobUpdate(spec, old.spec, waiting, errors);
		} else if (isIndexed(spec) && (spec.completions ?? 0) > 0) {
			const longest = `${job.metadata.name}-${(spec.completions ?? 0) - 1}`;
			if (dnsLabel(longest).length > 0)
				errors.push(
					fieldError.invalid(
						'metadata.name',
						job.metadata.name,
						`will not able to create pod with invalid DNS label: ${longest}`,
					),
				);
		}
		validateJobStatus(job, old, errors);
		return errors;
	},
	warnings: (job, old) =>
		old && job.metadata.generation === old.metadata.generation ? [] : jobWarnings(job.metadata.name, job.spec, 'spec'),
	health,
});

/** As the column of Kubernetes 1.32 has it. */
function statusOf(job: Job): string {
	if (jobCondition(job, 'Complete')) return 'Complete';
	if (jobCondition(job, 'Failed')) return 'Failed';
	if (job.metadata.deletionTimestamp) return 'Terminating';
	for (const type of ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'] as const)
		if (jobCondition(job, type)) return type;
	return 'Running';
}

function completionsOf({ spec, status }: Job): string {
	const succeeded = status?.succeeded ?? 0;
	if (spec.completions !== undefined) return `${succeeded}/${spec.completions}`;
	const { parallelism = 0 } = spec;
	return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function duration(): Column<Job> {
	return {
		...column<Job>('Duration', 'string', 'How long it has run.', () => ''),
		cell({ status }, now) {
			if (!status?.startTime) return '';
			const end = status.completionTime ? Date.parse(status.completionTime) : now;
			return humanDuration(end - Date.parse(status.startTime));
		},
	};
}

/**
 * A Job that was resumed is on its way again, where Argo CD looks at no more than that there is a condition Suspended.
 * Source: Argo CD documentation, "Resource Health".
 */
function health(job: Job): Health {
	const failed = jobCondition(job, 'Failed');
	if (failed) return { status: 'Degraded', message: failed.message };
	const end = jobEnd(job);
	if (end) return { status: 'Healthy', message: end.message };
	if (jobCondition(job, 'Suspended')) return { status: 'Suspended', message: 'Job is suspended' };
	return { status: 'Progressing', message: 'Waiting for the Job to complete' };
}
