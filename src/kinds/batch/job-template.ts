/** What Jobs and the templates of CronJobs have in common. */
import type * as batch from 'kubernetes-types/batch/v1.js';
import { defaultPodSpec } from '../core/pod-defaults.ts';
import { podWarnings } from '../core/pod-warnings.ts';
import { atomic, type Merges, patch, set } from '../merges.ts';
import { dnsLabel } from '../names.ts';
import { isIndexed, MANY_COMPLETIONS, MOST_OF_MANY } from './job-validation.ts';

export const jobMerges: Merges = {
	'io.k8s.api.batch.v1.JobStatus': { conditions: { ...patch('merge', 'type'), ...atomic } },
	'io.k8s.api.batch.v1.UncountedTerminatedPods': { failed: set, succeeded: set },
	'io.k8s.api.batch.v1.PodFailurePolicy': { rules: atomic },
	'io.k8s.api.batch.v1.PodFailurePolicyRule': { onPodConditions: atomic },
	'io.k8s.api.batch.v1.PodFailurePolicyOnExitCodesRequirement': { values: set },
	'io.k8s.api.batch.v1.SuccessPolicy': { rules: atomic },
};

/** The defaults of the pods, which a CronJob's template has as well; the others come when its Jobs are made. */
export function defaultTemplate(spec: batch.JobSpec): void {
	if (spec.template?.spec) defaultPodSpec(spec.template.spec);
	for (const rule of spec.podFailurePolicy?.rules ?? [])
		for (const pattern of rule.onPodConditions ?? []) pattern.status ||= 'True';
}

/** What is accepted of a Job or a CronJob, and hardly meant so. */
export function jobWarnings(name: string, spec: batch.JobSpec, path: string): string[] {
	const warnings: string[] = [];
	const wrong = dnsLabel(name);
	if (wrong.length > 0)
		warnings.push(
			`metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [${wrong.join(', ')}]`,
		);
	const { completions = 0, parallelism = 0 } = spec;
	if (isIndexed(spec) && completions > MANY_COMPLETIONS && parallelism > MOST_OF_MANY)
		warnings.push(
			'In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail',
		);
	return [...warnings, ...podWarnings(spec.template ?? {}, `${path}.template.`)];
}
