import type * as batch from 'kubernetes-types/batch/v1.js';
import { ageOf } from '../age.ts';
import { checkNonNegative, checkOneOf } from '../checks.ts';
import { age, column, kind, wide } from '../declare.ts';
import type { Column, Health, Kind } from '../kind.ts';
import { atomic } from '../merges.ts';
import type { Persisted } from '../object.ts';
import { formatLabelSelector } from '../selectors.ts';
import { type FieldError, fieldError } from '../status.ts';
import { defaultTemplate, jobWarnings } from './job-template.ts';
import { validateJobSpec } from './job-validation.ts';
import { everFires, parseSchedule, timeZoneFault } from './schedule.ts';

export type CronJob = Persisted<batch.CronJob>;

/** Its Jobs are named after it and the minute: 11 characters more, and 63 are a label. */
const LONGEST_NAME = 52;

/** Source: Kubernetes API reference, "CronJob". */
export const CronJob: Kind<CronJob> = kind<CronJob>({
	group: 'batch',
	version: 'v1',
	kind: 'CronJob',
	plural: 'cronjobs',
	schema: 'io.k8s.api.batch.v1.CronJob',
	merges: { 'io.k8s.api.batch.v1.CronJobStatus': { active: atomic } },
	shortNames: ['cj'],
	categories: ['all'],
	subresources: { status: true },
	generation: true,
	columns: cronJobColumns<CronJob>(),
	defaults: defaultCronJob,
	prepare(cronJob, old) {
		if (!old) Object.assign(cronJob, { status: {} });
	},
	validate(cronJob, old) {
		const { spec, metadata } = cronJob;
		if (!spec) return [fieldError.required('spec')];
		const errors: FieldError[] = [];
		validateSpec(spec, old?.spec, errors);
		if (!old && metadata.name.length > LONGEST_NAME)
			errors.push(
				fieldError.invalid('metadata.name', metadata.name, `must be no more than ${LONGEST_NAME} characters`),
			);
		return errors;
	},
	warnings: (cronJob, old) =>
		old && cronJob.metadata.generation === old.metadata.generation ? [] : warningsOf(cronJob),
	health: cronJobHealth,
});

export function defaultCronJob({ spec }: Pick<batch.CronJob, 'spec'>): void {
	if (!spec) return;
	spec.concurrencyPolicy ||= 'Allow';
	spec.suspend ??= false;
	spec.successfulJobsHistoryLimit ??= 3;
	spec.failedJobsHistoryLimit ??= 1;
	if (spec.jobTemplate?.spec) defaultTemplate(spec.jobTemplate.spec);
}

function validateSpec(spec: batch.CronJobSpec, old: batch.CronJobSpec | undefined, errors: FieldError[]): void {
	if (!spec.schedule) errors.push(fieldError.required('spec.schedule'));
	else validateSchedule(spec.schedule, errors);
	checkNonNegative(spec.startingDeadlineSeconds, 'spec.startingDeadlineSeconds', errors);
	// A zone that was known once is for the controller to tell of.
	if (spec.timeZone !== undefined && spec.timeZone !== old?.timeZone) {
		const fault = timeZoneFault(spec.timeZone);
		if (fault) errors.push(fieldError.invalid('spec.timeZone', spec.timeZone, fault));
	}
	if (!spec.concurrencyPolicy) errors.push(fieldError.required('spec.concurrencyPolicy'));
	checkOneOf(spec.concurrencyPolicy, 'spec.concurrencyPolicy', ['Allow', 'Forbid', 'Replace'], errors);
	const template = spec.jobTemplate?.spec;
	if (!template) errors.push(fieldError.required('spec.jobTemplate.spec'));
	else {
		const path = 'spec.jobTemplate.spec';
		validateJobSpec(template, path, errors);
		if (template.selector)
			errors.push(fieldError.invalid(`${path}.selector`, template.selector, '`selector` will be auto-generated'));
		if (template.manualSelector)
			errors.push(fieldError.notSupported(`${path}.manualSelector`, template.manualSelector, ['nil', 'false']));
	}
	checkNonNegative(spec.successfulJobsHistoryLimit, 'spec.successfulJobsHistoryLimit', errors);
	checkNonNegative(spec.failedJobsHistoryLimit, 'spec.failedJobsHistoryLimit', errors);
}

function validateSchedule(schedule: string, errors: FieldError[]): void {
	const zoned = schedule.includes('TZ');
	try {
		parseSchedule(schedule.replace(/^(CRON_)?TZ=\S+\s+/, ''));
	} catch (error) {
		const why = error instanceof Error ? error.message : String(error);
		errors.push(fieldError.invalid('spec.schedule', schedule, why));
	}
	if (zoned)
		errors.push(
			fieldError.invalid('spec.schedule', schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'),
		);
}

function warningsOf({ metadata, spec }: Pick<CronJob, 'metadata' | 'spec'>): string[] {
	const warnings = jobWarnings(metadata.name, spec.jobTemplate?.spec ?? { template: {} }, 'spec.jobTemplate.spec');
	if (!everFires(parseSchedule(spec.schedule)))
		warnings.push(`spec.schedule: ${JSON.stringify(spec.schedule)} names a day that no month has: it never fires`);
	return warnings;
}

/** The columns of Kubernetes 1.32. */
export function cronJobColumns<T extends CronJob>(): readonly Column<T>[] {
	const containers = ({ spec }: T) => spec.jobTemplate?.spec?.template?.spec?.containers ?? [];
	return [
		column('Schedule', 'string', 'When Jobs are made, in the form of cron.', ({ spec }) => spec.schedule),
		column('Timezone', 'string', 'In which time zone.', ({ spec }) => spec.timeZone ?? '<none>'),
		column('Suspend', 'string', 'Whether no Jobs are made at present.', ({ spec }) =>
			spec.suspend === undefined ? '<unset>' : spec.suspend ? 'True' : 'False',
		),
		column('Active', 'integer', 'How many of its Jobs run.', ({ status }) => status?.active?.length ?? 0),
		{
			...column<T>('Last Schedule', 'string', 'For when the last Job was made.', () => ''),
			cell: ({ status }, now) => (status?.lastScheduleTime ? ageOf(status.lastScheduleTime, now) : '<none>'),
		},
		age,
		wide('Containers', 'string', 'Names of the containers of a pod.', (object) =>
			containers(object)
				.map(({ name }) => name)
				.join(','),
		),
		wide('Images', 'string', 'Images of the containers of a pod.', (object) =>
			containers(object)
				.map(({ image }) => image ?? '')
				.join(','),
		),
		wide('Selector', 'string', 'Which pods belong to its Jobs.', ({ spec }) => {
			const { selector } = spec.jobTemplate?.spec ?? {};
			return selector
				? formatLabelSelector(selector as Parameters<typeof formatLabelSelector>[0]) || '<none>'
				: '<none>';
		}),
	];
}

/**
 * What never fires would have no health to tell but its good will; it is degraded, so that its owner hears of it.
 * Source: Argo CD's health of CronJobs.
 */
export function cronJobHealth({ spec, status }: Pick<batch.CronJob, 'spec' | 'status'>): Health {
	const fault = spec && scheduleFault(spec);
	if (fault) return { status: 'Degraded', message: fault };
	if (spec?.suspend) return { status: 'Suspended', message: 'CronJob is Suspended' };
	const { lastScheduleTime, lastSuccessfulTime, active = [] } = status ?? {};
	if (!lastScheduleTime) return { status: 'Healthy', message: 'CronJob has not been scheduled yet' };
	if (!lastSuccessfulTime)
		return { status: 'Healthy', message: 'The Cronjob never completed successfully. It may not be healthy' };
	if (active.length > 0)
		return { status: 'Healthy', message: 'The job is running. Its last execution may not have been successful' };
	if (Date.parse(lastSuccessfulTime) < Date.parse(lastScheduleTime))
		return { status: 'Degraded', message: 'CronJob has not completed its last execution successfully' };
	return { status: 'Healthy', message: 'CronJob has completed its last execution successfully' };
}

/** Why a schedule makes no Jobs, whatever the time; undefined where it does. */
export function scheduleFault({
	schedule,
	timeZone,
}: Pick<batch.CronJobSpec, 'schedule' | 'timeZone'>): string | undefined {
	try {
		if (!everFires(parseSchedule(schedule)))
			return `invalid schedule: ${schedule} : it names a day that no month has, and never fires`;
	} catch (error) {
		return `unparseable schedule: ${JSON.stringify(schedule)} : ${error instanceof Error ? error.message : error}`;
	}
	const fault = timeZone === undefined ? undefined : timeZoneFault(timeZone);
	return fault && `invalid timeZone: ${JSON.stringify(timeZone)}: ${fault}`;
}
