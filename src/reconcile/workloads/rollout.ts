/**
 * How many pods each ReplicaSet of a Deployment is to have next: the pure decision behind rolling updates, recreation and
 * scaling. Source: Kubernetes documentation, "Deployments", sections "Strategy", "Max Unavailable", "Max Surge" and
 * "Proportional scaling".
 */
import type { Deployment, ReplicaSet } from '../../kinds/index.ts';
import { timeOf } from './pod-state.ts';
import { sameTemplate } from './pod-template-hash.ts';

/** How many pods the Deployment wanted when the set was last scaled: tells scaling from rolling. */
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas';
/** The most pods it allowed then, surge included: the base of proportional scaling. */
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas';

export interface Scale {
	readonly replicaSet: ReplicaSet;
	readonly from: number;
	readonly to: number;
}

/** The set of the Deployment's present template (the oldest, should there be two), and all others, oldest first. */
export function generations(deployment: Deployment, sets: readonly ReplicaSet[]) {
	const ordered = [...sets].sort(byAge);
	const current = ordered.find((set) => sameTemplate(set.spec.template, deployment.spec.template));
	return { current, old: ordered.filter((set) => set !== current) };
}

/**
 * The next step: what can be scaled now, with the pods there are. The same call after those pods have changed gives the next
 * one; an empty result means that there is nothing to do, or nothing to do before pods become ready or go. Works on the sets
 * there are: a Deployment whose template has no set yet makes it first, with `initialReplicas`. `oldPods` tells whether pods of
 * old sets still run or terminate, for which recreation waits.
 */
export function rollOut(deployment: Deployment, sets: readonly ReplicaSet[], oldPods = false): readonly Scale[] {
	const { current, old } = generations(deployment, sets);
	if (deployment.spec.paused || isScaling(deployment, sets)) return scaleInPlace(deployment, current, old);
	if (deployment.spec.strategy?.type === 'Recreate') return recreate(deployment, current, old, oldPods);
	const up = current ? scales([[current, nextReplicas(deployment, sets, current)]]) : [];
	return up.length > 0 ? up : scaleDownOld(deployment, current, old);
}

/** With how many pods the set of a new template starts. */
export function initialReplicas(deployment: Deployment, old: readonly ReplicaSet[]): number {
	return nextReplicas(deployment, old, undefined);
}

/** Whether the Deployment's own size has changed since its sets were last scaled. */
export function isScaling(deployment: Deployment, sets: readonly ReplicaSet[]): boolean {
	return sets.some((set) => {
		const desired = numberOf(set.metadata.annotations?.[DESIRED_REPLICAS]);
		return replicasOf(set) > 0 && desired !== undefined && desired !== wanted(deployment);
	});
}

/** The most pods a rolling update may add and take away, in pods. Percentages of the surge round up, of the unavailable down; never both 0. */
export function bounds(deployment: Deployment): { maxSurge: number; maxUnavailable: number } {
	if (deployment.spec.strategy?.type === 'Recreate') return { maxSurge: 0, maxUnavailable: 0 };
	const rolling = deployment.spec.strategy?.rollingUpdate;
	const replicas = wanted(deployment);
	const maxSurge = share(rolling?.maxSurge ?? '25%', replicas, Math.ceil);
	const maxUnavailable = share(rolling?.maxUnavailable ?? '25%', replicas, Math.floor);
	return { maxSurge, maxUnavailable: Math.min(maxSurge + maxUnavailable === 0 ? 1 : maxUnavailable, replicas) };
}

/** The annotations that a scaled set carries. */
export function sizeAnnotations(deployment: Deployment): Record<string, string> {
	const replicas = wanted(deployment);
	return { [DESIRED_REPLICAS]: `${replicas}`, [MAX_REPLICAS]: `${replicas + bounds(deployment).maxSurge}` };
}

export const wanted = (deployment: Deployment) => deployment.spec.replicas ?? 1;
export const replicasOf = (set: ReplicaSet) => set.spec.replicas ?? 1;
export const byAge = (a: ReplicaSet, b: ReplicaSet) =>
	(timeOf(a.metadata.creationTimestamp) ?? 0) - (timeOf(b.metadata.creationTimestamp) ?? 0) ||
	(a.metadata.name < b.metadata.name ? -1 : 1);

/** Up to the Deployment's size, and never beyond the surge in all. */
function nextReplicas(deployment: Deployment, sets: readonly ReplicaSet[], current: ReplicaSet | undefined): number {
	const size = wanted(deployment);
	const has = current ? replicasOf(current) : 0;
	if (deployment.spec.strategy?.type === 'Recreate' || has > size) return size;
	const room = size + bounds(deployment).maxSurge - total(sets);
	return room > 0 ? has + Math.min(room, size - has) : has;
}

/** Old pods go as far as availability permits; those that are not available anyway go first. */
function scaleDownOld(deployment: Deployment, current: ReplicaSet | undefined, old: readonly ReplicaSet[]) {
	if (total(old) === 0) return [];
	const minimum = wanted(deployment) - bounds(deployment).maxUnavailable;
	const startingUp = current ? replicasOf(current) - available(current) : 0;
	const spare = total(old) + (current ? replicasOf(current) : 0) - minimum - startingUp;
	if (spare <= 0) return [];

	const target = new Map(old.map((set) => [set, replicasOf(set)]));
	let broken = spare;
	for (const set of old) {
		const down = Math.min(broken, Math.max(0, replicasOf(set) - available(set)));
		target.set(set, replicasOf(set) - down);
		broken -= down;
	}
	let healthy = [...old, ...(current ? [current] : [])].reduce((sum, set) => sum + available(set), 0) - minimum;
	for (const [set, replicas] of target) {
		const down = Math.min(Math.max(0, healthy), replicas);
		target.set(set, replicas - down);
		healthy -= down;
	}
	return scales(target);
}

/** All old pods go, and only then come the new ones. */
function recreate(
	deployment: Deployment,
	current: ReplicaSet | undefined,
	old: readonly ReplicaSet[],
	oldPods: boolean,
) {
	const down = scales(old.map((set) => [set, 0]));
	if (down.length > 0 || oldPods || !current) return down;
	return scales([[current, wanted(deployment)]]);
}

/**
 * The Deployment was resized, or is paused: the sets keep their share of the pods. One set alone takes them all, a finished
 * rollout leaves none to the old ones, and in the middle of a rolling update each set gets its proportion.
 */
function scaleInPlace(deployment: Deployment, current: ReplicaSet | undefined, old: readonly ReplicaSet[]) {
	const size = wanted(deployment);
	const active = [...old, ...(current ? [current] : [])].filter((set) => replicasOf(set) > 0);
	if (active.length <= 1) {
		const only = active[0] ?? current ?? old.at(-1);
		return only ? scales([[only, size]]) : [];
	}
	if (current && isSaturated(deployment, current)) return scales(old.map((set) => [set, 0]));
	if (deployment.spec.strategy?.type === 'Recreate') return [];

	const allowed = size > 0 ? size + bounds(deployment).maxSurge : 0;
	const toAdd = allowed - total(active);
	// The largest set first; among equals the newest grows and the oldest shrinks.
	const ordered = active.sort((a, b) => replicasOf(b) - replicasOf(a) || (toAdd > 0 ? byAge(b, a) : byAge(a, b)));
	const target = new Map(ordered.map((set) => [set, replicasOf(set)]));
	let added = 0;
	for (const set of ordered) {
		const part = proportion(deployment, set, toAdd - added, toAdd > 0);
		target.set(set, replicasOf(set) + part);
		added += part;
	}
	const [first] = ordered;
	if (first) target.set(first, Math.max(0, (target.get(first) ?? 0) + toAdd - added));
	return scales(target);
}

/** How many pods the set gains (or loses) by its share, never more than are left to hand out. */
function proportion(deployment: Deployment, set: ReplicaSet, left: number, growing: boolean): number {
	if (left === 0) return 0;
	const replicas = replicasOf(set);
	const before = numberOf(set.metadata.annotations?.[MAX_REPLICAS]) || deployment.status?.replicas || 0;
	const allowed = wanted(deployment) + bounds(deployment).maxSurge;
	const fraction =
		wanted(deployment) === 0 ? -replicas : before === 0 ? 0 : Math.round((replicas * allowed) / before) - replicas;
	return growing ? Math.min(fraction, left) : Math.max(fraction, left);
}

/** Whether the new set alone is what the Deployment wants: sized, and all of it available. */
function isSaturated(deployment: Deployment, current: ReplicaSet): boolean {
	const size = wanted(deployment);
	return (
		replicasOf(current) === size &&
		numberOf(current.metadata.annotations?.[DESIRED_REPLICAS]) === size &&
		available(current) === size
	);
}

function scales(targets: Iterable<readonly [ReplicaSet, number]>): Scale[] {
	return Array.from(targets, ([replicaSet, to]) => ({ replicaSet, from: replicasOf(replicaSet), to })).filter(
		({ from, to }) => from !== to,
	);
}

const total = (sets: readonly ReplicaSet[]) => sets.reduce((sum, set) => sum + replicasOf(set), 0);
const available = (set: ReplicaSet) => set.status?.availableReplicas ?? 0;

function numberOf(text: string | undefined): number | undefined {
	return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function share(value: number | string, of: number, round: (value: number) => number): number {
	if (typeof value === 'number') return value;
	const percent = /^(\d+)%$/.exec(value)?.[1];
	return percent === undefined ? 0 : round((Number(percent) * of) / 100);
}
