/**
 * How many replicas one metric asks for, by the ratio of what it is to what it should be. All amounts are in thousandths.
 * Source: Kubernetes documentation, "Horizontal Pod Autoscaling", section "Algorithm details".
 */
import type { Pod } from '../../kinds/index.ts';
import { isReady } from '../workloads/pod-state.ts';
import { groupPods, type PodValue, type PodValues } from './pod-groups.ts';
import { Unmeasured } from './unmeasured.ts';

/** A ratio that is so near to 1 changes nothing (horizontal-pod-autoscaler-tolerance). */
const TOLERANCE = 0.1;
/** A pod of which nothing is known counts, when less is needed, as one that uses what it has requested, in percent. */
const WHOLE_REQUEST = 100;

const isNear = (ratio: number) => Math.abs(1 - ratio) <= TOLERANCE;

export interface PerPod {
	readonly replicas: number;
	readonly pods: readonly Pod[];
	readonly values: PodValues;
	/** Whether it is processor time, of which that of starting pods does not count. */
	readonly ofCpu: boolean;
	readonly now: number;
}

/** An average over pods, in thousandths: as it is wanted. `usage` is what it is. */
export function byAverage(asked: PerPod, target: number): { readonly replicas: number; readonly usage: number } {
	const average = (values: PodValues) => Math.trunc(total(values) / values.size);
	return perPod(asked, {
		ratio: (values) => average(values) / target,
		whenMissing: () => target,
		seen: (values) => ({ usage: average(values) }),
	});
}

/** A share of what the pods request, in percent: as it is wanted. */
export function byUtilization(
	asked: PerPod,
	requests: ReadonlyMap<string, number>,
	target: number,
): { readonly replicas: number; readonly utilization: number; readonly usage: number } {
	const known = (values: PodValues) => new Map([...values].filter(([name]) => requests.has(name)));
	const utilization = (values: PodValues) => {
		const counted = known(values);
		const requested = [...counted.keys()].reduce((sum, name) => sum + (requests.get(name) ?? 0), 0);
		if (requested === 0) throw new Unmeasured('no metrics returned matched known pods');
		return Math.trunc((total(counted) * 100) / requested);
	};
	return perPod(asked, {
		ratio: (values) => utilization(values) / target,
		whenMissing: (name) => Math.trunc(((requests.get(name) ?? 0) * Math.max(WHOLE_REQUEST, target)) / 100),
		seen: (values) => {
			const counted = known(values);
			return { utilization: utilization(values), usage: Math.trunc(total(counted) / counted.size) };
		},
	});
}

interface Measure<Seen> {
	ratio(values: PodValues): number;
	/** What a pod of which nothing is known counts for, when less is needed. */
	whenMissing(name: string): number;
	seen(values: PodValues): Seen;
}

function perPod<Seen>(
	asked: PerPod,
	{ ratio, whenMissing, seen }: Measure<Seen>,
): Seen & { readonly replicas: number } {
	const { replicas, pods, now } = asked;
	if (pods.length === 0) throw new Unmeasured('no pods returned by selector while calculating replica count');
	const { ready, unready, missing, values } = groupPods(pods, asked.values, asked.ofCpu, now);
	if (values.size === 0) throw new Unmeasured('did not receive metrics for targeted pods (pods might be unready)');
	const first = ratio(values);
	const answer = (count: number) => ({ ...seen(values), replicas: count });
	const withUnready = unready.length > 0 && first > 1;
	if (!withUnready && missing.length === 0) return answer(isNear(first) ? replicas : Math.ceil(first * ready));
	// What is not known is guessed so that it dampens the change: all of it when less is needed, nothing when more is.
	const guessed = new Map<string, PodValue>(values);
	for (const name of missing) guessed.set(name, { milli: first < 1 ? whenMissing(name) : 0 });
	if (withUnready) for (const name of unready) guessed.set(name, { milli: 0 });
	const second = ratio(guessed);
	const turned = (first < 1 && second > 1) || (first > 1 && second < 1);
	if (isNear(second) || turned) return answer(replicas);
	const count = Math.ceil(second * guessed.size);
	const backwards = (second < 1 && count > replicas) || (second > 1 && count < replicas);
	return answer(backwards ? replicas : count);
}

const total = (values: PodValues) => [...values.values()].reduce((sum, { milli }) => sum + milli, 0);

/** One value against what it should be: as many replicas more or less as the ratio says, of those that are ready. */
export function byValue(replicas: number, usage: number, target: number, pods: readonly Pod[]): number {
	const ratio = usage / target;
	if (replicas === 0) return Math.ceil(ratio);
	if (isNear(ratio)) return replicas;
	if (pods.length === 0)
		throw new Unmeasured(
			'unable to calculate ready pods: no pods returned by selector while calculating replica count',
		);
	const ready = pods.filter((pod) => pod.status?.phase === 'Running' && isReady(pod)).length;
	return Math.ceil(ratio * ready);
}

/** One value that all replicas share: as many as give each the target. `usage` is the part of each one that there is. */
export function byShare(
	replicas: number,
	usage: number,
	target: number,
): { readonly replicas: number; readonly usage: number } {
	const ratio = usage / (target * replicas);
	return {
		// Without a replica the ratio is infinite, or nothing.
		replicas: Number.isNaN(ratio) ? 0 : isNear(ratio) ? replicas : Math.ceil(usage / target),
		usage: replicas === 0 ? 0 : Math.ceil(usage / replicas),
	};
}
