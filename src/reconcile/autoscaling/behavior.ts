/**
 * How fast an autoscaler may go: recommendations are stabilized over a window, and changes limited by policies over periods.
 * Source: Kubernetes documentation, "Horizontal Pod Autoscaling", sections "Configurable scaling behavior" and "Default Behavior";
 * KEP-853.
 */
import type { HorizontalPodAutoscalerBehavior, HPAScalingRules } from 'kubernetes-types/autoscaling/v2.js';

/** How long a recommendation to have more keeps an autoscaler from having less, where it does not say so, in seconds. */
const DOWNSCALE_WINDOW_S = 300;
/** Without a behavior replicas are at most doubled at once, and so many are always possible. */
const FACTOR = 2;
const LEAST_LIMIT = 4;
const SECOND_MS = 1_000;

/** What was found to be needed, at a time in ms of a clock that is not set. */
export interface Recommendation {
	readonly at: number;
	readonly replicas: number;
}

/** A change that was made: by how many, in which direction. */
export interface Change {
	readonly at: number;
	readonly by: number;
}

/** What an autoscaler remembers of its own past. */
export interface History {
	readonly recommendations: readonly Recommendation[];
	readonly ups: readonly Change[];
	readonly downs: readonly Change[];
}

/** Of an autoscaler that was not looked at before: what there is was recommended, so that nothing shrinks at once. */
export const firstHistory = (replicas: number, at: number): History => ({
	recommendations: [{ at, replicas }],
	ups: [],
	downs: [],
});

export interface Wanted {
	readonly current: number;
	/** What the metrics ask for. */
	readonly wanted: number;
	readonly min: number;
	readonly max: number;
	readonly behavior: HorizontalPodAutoscalerBehavior | undefined;
	readonly history: History;
	readonly now: number;
}

export interface Because {
	readonly reason: string;
	readonly message: string;
}

export interface Allowed {
	readonly replicas: number;
	/** Why it is something else than what the metrics ask for. */
	readonly stabilized: Because | undefined;
	readonly limit: Because & { readonly limited: boolean };
	/** With this recommendation, without those that are too old to count. */
	readonly history: History;
}

export function allow(wanted: Wanted): Allowed {
	const { behavior } = wanted;
	const { stable, stabilized, recommendations } = stabilize(wanted, windowsOf(behavior));
	const { replicas, ...limit } = behavior
		? limitByPolicies(wanted, stable, behavior)
		: limitByRange(wanted, stable, Math.max(FACTOR * wanted.current, LEAST_LIMIT), wanted.min, upText, fewText);
	const history = { ...wanted.history, recommendations };
	return { replicas, stabilized, limit: { ...limit, limited: replicas !== stable }, history };
}

/** The history with a change that was made, without those that no policy looks back to. */
export function changed(
	history: History,
	behavior: HorizontalPodAutoscalerBehavior | undefined,
	{ from, to }: { readonly from: number; readonly to: number },
	at: number,
): History {
	if (!behavior || from === to) return history;
	// Both are looked back to by the policies of either direction.
	const longest = Math.max(longestPeriod(behavior.scaleUp), longestPeriod(behavior.scaleDown));
	const recent = (changes: readonly Change[]) => changes.filter((change) => change.at > at - longest);
	const ups = recent(history.ups);
	const downs = recent(history.downs);
	const change = { at, by: Math.abs(to - from) };
	return to > from ? { ...history, ups: [...ups, change], downs } : { ...history, ups, downs: [...downs, change] };
}

const longestPeriod = (rules: HPAScalingRules | undefined) =>
	Math.max(0, ...(rules?.policies ?? []).map(({ periodSeconds }) => periodSeconds * SECOND_MS));

interface Windows {
	readonly up: number;
	readonly down: number;
}

const windowsOf = (behavior: HorizontalPodAutoscalerBehavior | undefined): Windows => ({
	up: (behavior?.scaleUp?.stabilizationWindowSeconds ?? 0) * SECOND_MS,
	down: (behavior?.scaleDown?.stabilizationWindowSeconds ?? DOWNSCALE_WINDOW_S) * SECOND_MS,
});

const higher: Because = {
	reason: 'ScaleDownStabilized',
	message: 'recent recommendations were higher than current one, applying the highest recent recommendation',
};
const lower: Because = {
	reason: 'ScaleUpStabilized',
	message: 'recent recommendations were lower than current one, applying the lowest recent recommendation',
};

/** More only as far as all of the last window wanted more, less only as far as all of it wanted less. */
function stabilize({ wanted, current, behavior, history, now }: Wanted, { up, down }: Windows) {
	let least = wanted;
	let most = wanted;
	for (const { at, replicas } of history.recommendations) {
		if (at > now - up) least = Math.min(least, replicas);
		if (at > now - down) most = Math.max(most, replicas);
	}
	const stable = behavior ? Math.min(Math.max(current, least), most) : most;
	const kept = history.recommendations.filter(({ at }) => at > now - Math.max(up, down));
	const because = behavior && wanted >= current ? lower : higher;
	return {
		stable,
		stabilized: stable === wanted ? undefined : because,
		recommendations: [...kept, { at: now, replicas: wanted }],
	};
}

const upText: Because = {
	reason: 'ScaleUpLimit',
	message: 'the desired replica count is increasing faster than the maximum scale rate',
};
const downText: Because = {
	reason: 'ScaleDownLimit',
	message: 'the desired replica count is decreasing faster than the maximum scale rate',
};
const manyText: Because = {
	reason: 'TooManyReplicas',
	message: 'the desired replica count is more than the maximum replica count',
};
const fewText: Because = {
	reason: 'TooFewReplicas',
	message: 'the desired replica count is less than the minimum replica count',
};
const within: Because = {
	reason: 'DesiredWithinRange',
	message: 'the desired count is within the acceptable range',
};

function limitByRange(
	{ max }: Wanted,
	stable: number,
	highest: number,
	lowest: number,
	whyHighest: Because,
	whyLowest: Because,
): Because & { readonly replicas: number } {
	const [most, whyMost] = max > highest ? [highest, whyHighest] : [max, manyText];
	if (stable < lowest) return { replicas: lowest, ...whyLowest };
	if (stable > most) return { replicas: most, ...whyMost };
	return { replicas: stable, ...within };
}

function limitByPolicies(wanted: Wanted, stable: number, behavior: HorizontalPodAutoscalerBehavior) {
	const { current, min, max } = wanted;
	const highest = stable > current ? Math.max(current, reach(wanted, behavior.scaleUp, 1)) : max;
	const deepest = stable < current ? Math.min(current, reach(wanted, behavior.scaleDown, -1)) : min;
	const [least, whyLeast] = min < deepest ? [deepest, downText] : [min, fewText];
	// Only the limit of the direction in which it goes counts.
	return limitByRange(wanted, stable, highest, stable < current ? least : Number.NEGATIVE_INFINITY, upText, whyLeast);
}

/** As far as the policies of a direction let it go, counted from what there was when their periods began. */
function reach({ current, history, now }: Wanted, rules: HPAScalingRules | undefined, direction: 1 | -1): number {
	if (rules?.selectPolicy === 'Disabled') return current;
	const sum = (changes: readonly Change[], ms: number) =>
		changes.reduce((all, { at, by }) => (at > now - ms ? all + by : all), 0);
	const reaches = (rules?.policies ?? []).map(({ type, value, periodSeconds }) => {
		const ms = periodSeconds * SECOND_MS;
		const start = current - sum(history.ups, ms) + sum(history.downs, ms);
		if (type === 'Pods') return start + direction * value;
		const share = (start * (100 + direction * value)) / 100;
		return direction > 0 ? Math.ceil(share) : Math.trunc(share);
	});
	// The most change, or the least of it.
	const farthest = direction > 0 !== (rules?.selectPolicy === 'Min');
	return farthest ? Math.max(...reaches) : Math.min(...reaches);
}
