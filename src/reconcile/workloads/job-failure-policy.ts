/** What the failure of a pod means to its Job. Source: Kubernetes documentation, "Jobs", "Pod failure policy". */
import type {
	PodFailurePolicyOnExitCodesRequirement,
	PodFailurePolicyOnPodConditionsPattern,
	PodFailurePolicyRule,
} from 'kubernetes-types/batch/v1.js';
import type { Job, Pod } from '../../kinds/index.ts';
import { indexFailures } from './job-pods.ts';

export interface Failure {
	/** Whether it counts towards the limits. */
	readonly counts: boolean;
	/** Why the whole Job fails by it. */
	readonly failsJob?: string;
	/** Whether its index fails by it, whatever its limit. */
	readonly failsIndex: boolean;
}

const COUNTED: Failure = { counts: true, failsIndex: false };

/** The first rule that matches decides. An action that is not known is no rule. */
export function failureOf(pod: Pod, job: Job): Failure {
	for (const [index, rule] of (job.spec.podFailurePolicy?.rules ?? []).entries()) {
		const what = matchOf(pod, rule);
		if (what === undefined) continue;
		switch (rule.action) {
			case 'Ignore':
				return { counts: false, failsIndex: false };
			case 'Count':
				return COUNTED;
			case 'FailIndex':
				return { counts: true, failsIndex: true };
			case 'FailJob':
				return { counts: true, failsIndex: false, failsJob: `${what} matching FailJob rule at index ${index}` };
		}
	}
	return COUNTED;
}

/** Whether the index of a failed pod has failed with it. */
export function failsIndex(pod: Pod, job: Job): boolean {
	const failure = failureOf(pod, job);
	return failure.failsIndex || (failure.counts && indexFailures(pod) >= (job.spec.backoffLimitPerIndex ?? Infinity));
}

/** What of the pod matches, in the words of the message. */
function matchOf(pod: Pod, { onExitCodes, onPodConditions }: PodFailurePolicyRule): string | undefined {
	const { name, namespace } = pod.metadata;
	if (onExitCodes) {
		const found = exitOf(pod, onExitCodes);
		return found && `Container ${found.name} for pod ${namespace}/${name} failed with exit code ${found.code}`;
	}
	const type = conditionOf(pod, onPodConditions ?? []);
	return type && `Pod ${namespace}/${name} has condition ${type}`;
}

/** The first container whose exit code the requirement names. Success is no failure, whatever the operator. */
function exitOf({ status }: Pod, { containerName, operator, values }: PodFailurePolicyOnExitCodesRequirement) {
	for (const { name, state } of [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])]) {
		const code = state?.terminated?.exitCode;
		if (!code || (containerName !== undefined && containerName !== name)) continue;
		if ((operator === 'In' && values.includes(code)) || (operator === 'NotIn' && !values.includes(code)))
			return { name, code };
	}
	return undefined;
}

function conditionOf({ status }: Pod, patterns: readonly PodFailurePolicyOnPodConditionsPattern[]) {
	const matches = patterns.find((pattern) =>
		status?.conditions?.some(({ type, status: is }) => type === pattern.type && is === (pattern.status || 'True')),
	);
	return matches?.type;
}
