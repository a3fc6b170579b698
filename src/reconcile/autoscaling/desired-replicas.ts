/**
 * How many replicas an autoscaler wants, and what its conditions say of it. Pure: everything that was seen comes in, and what is
 * remembered goes out. Source: Kubernetes documentation, "Horizontal Pod Autoscaling"; the words are those of Kubernetes.
 */
import type { MetricStatus } from 'kubernetes-types/autoscaling/v2.js';
import type { HorizontalPodAutoscaler } from '../../kinds/index.ts';
import { allow, type History } from './behavior.ts';
import type { Proposal } from './proposal.ts';

/** What came of one metric. */
export type Considered =
	| { readonly proposal: Proposal }
	/** `reason` is that of condition and event; `message` says why, `detail` where the first such failure is told of. */
	| { readonly reason: string; readonly message: string; readonly detail: string };

export interface Situation {
	readonly spec: Pick<HorizontalPodAutoscaler['spec'], 'minReplicas' | 'maxReplicas' | 'behavior'>;
	/** The replicas that the target should have now. */
	readonly current: number;
	/** One for each metric; none where `needsMetrics` says so. */
	readonly metrics: readonly Considered[];
	readonly history: History;
	/** Milliseconds of a clock that is not set. */
	readonly now: number;
}

export type Condition = {
	readonly type: 'AbleToScale' | 'ScalingActive' | 'ScalingLimited';
	readonly status: 'True' | 'False';
	readonly reason: string;
	readonly message: string;
};

export interface Decision {
	/** The same as there are where nothing is to be done. */
	readonly replicas: number;
	/** Why there are to be others. */
	readonly reason: string;
	readonly conditions: readonly Condition[];
	/** What was seen of each metric. */
	readonly seen: readonly MetricStatus[];
	/** What is wrong with the metrics; where nothing can be decided by them, `undecided` is true. */
	readonly fault?: string;
	readonly undecided: boolean;
	readonly history: History;
}

/** Whether metrics decide: not where the target is switched off, or is out of the range. */
export function needsMetrics({ minReplicas = 1, maxReplicas }: Situation['spec'], current: number): boolean {
	return !isOff(minReplicas, current) && current <= maxReplicas && current >= minReplicas;
}

/** A target that was set to no replicas is left alone. */
const isOff = (minReplicas: number, current: number) => current === 0 && minReplicas !== 0;

export function desiredReplicas(situation: Situation): Decision {
	const { spec, current, history } = situation;
	const { minReplicas = 1, maxReplicas } = spec;
	const unmeasured = { conditions: [], seen: [], undecided: false, history };
	if (isOff(minReplicas, current)) {
		const message = 'scaling is disabled since the replica count of the target is zero';
		return { ...unmeasured, replicas: current, reason: '', conditions: [active('False', 'ScalingDisabled', message)] };
	}
	if (current > maxReplicas)
		return { ...unmeasured, replicas: maxReplicas, reason: 'Current number of replicas above Spec.MaxReplicas' };
	if (current < minReplicas)
		return { ...unmeasured, replicas: minReplicas, reason: 'Current number of replicas below Spec.MinReplicas' };
	return byMetrics(situation, minReplicas);
}

function byMetrics({ spec, current, metrics, history, now }: Situation, minReplicas: number): Decision {
	const proposals = metrics.flatMap((each) => ('proposal' in each ? [each.proposal] : []));
	const failures = metrics.flatMap((each) => ('proposal' in each ? [] : [each]));
	// Where a metric could not be read its place is empty, so that the others are where their metrics are.
	const seen = metrics.map((each) => ('proposal' in each ? each.proposal.status : { type: '' }));
	const [highest] = proposals.toSorted((a, b) => b.replicas - a.replicas);
	const [failed] = failures;
	const counted = `invalid metrics (${failures.length} invalid out of ${metrics.length})`;
	const fault = failed && `${counted}, first error is: ${failed.detail}`;
	// A metric that is not known might ask for more: less is not wanted without it.
	if (!highest || (failed && highest.replicas < current)) {
		const why = `the HPA was unable to compute the replica count: ${failed?.message}`;
		const conditions = failed ? [active('False', failed.reason, why)] : [];
		return { replicas: current, reason: '', conditions, seen, fault, undecided: true, history };
	}
	const found = `the HPA was able to successfully calculate a replica count from ${highest.name}`;
	const { behavior, maxReplicas: max } = spec;
	const wanted = highest.replicas;
	const allowed = allow({ current, wanted, min: minReplicas, max, behavior, history, now });
	const { replicas, stabilized, limit } = allowed;
	const able = stabilized ?? { reason: 'ReadyForNewScale', message: 'recommended size matches current size' };
	return {
		replicas,
		reason: wanted > current ? `${highest.name} above target` : wanted < current ? 'All metrics below target' : '',
		conditions: [
			active('True', 'ValidMetricFound', found),
			{ type: 'AbleToScale', status: 'True', ...able },
			{
				type: 'ScalingLimited',
				status: limit.limited ? 'True' : 'False',
				reason: limit.reason,
				message: limit.message,
			},
		],
		seen,
		fault,
		undecided: false,
		history: allowed.history,
	};
}

const active = (status: Condition['status'], reason: string, message: string): Condition => ({
	type: 'ScalingActive',
	status,
	reason,
	message,
});
