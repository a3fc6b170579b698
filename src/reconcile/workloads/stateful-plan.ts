/**
 * What a StatefulSet needs done next, and what its status says: pure decisions of its controller.
 * Source: Kubernetes documentation, "StatefulSets", sections "Deployment and Scaling Guarantees" and "Update strategies".
 */
import type { StatefulSetCondition, StatefulSetStatus } from 'kubernetes-types/apps/v1.js';
import type { Pod, StatefulSet } from '../../kinds/index.ts';
import { includes } from '../runtime/label-selector.ts';
import { availableFrom, isFinished, isReady } from './pod-state.ts';
import { identityOf, ordinalOf, ordinalsOf, revisionOf } from './stateful-pods.ts';

/** Never more pods than these are made in one pass; a set may want any number. */
const BURST = 500;

/** The names of the revision that the set comes from, and of that which it goes to. */
export interface Revisions {
	readonly current: string;
	readonly update: string;
}

export type Reason = 'surplus' | 'outdated' | 'failed' | 'ended';

export interface StatefulPlan {
	/** The ordinals to be made, each of a revision by its name. */
	readonly create: readonly { readonly ordinal: number; readonly revision: string }[];
	readonly delete: readonly { readonly pod: Pod; readonly reason: Reason }[];
	/** Pods whose identity somebody has edited. */
	readonly identify: readonly { readonly pod: Pod; readonly labels: Readonly<Record<string, string>> }[];
}

/** An ordinal and its pod, and what it counts as. */
interface Member {
	readonly ordinal: number;
	readonly pod: Pod | undefined;
	/** Which revision the ordinal is to have. */
	readonly target: string;
	readonly terminating: boolean;
	/** Runs, is ready, and stays. */
	readonly healthy: boolean;
	/** And has been ready for long enough. */
	readonly available: boolean;
	/** It is there, stays, and is of another revision than it is to have. */
	readonly outdated: boolean;
}

/** `pods` are those that the set owns, each of an ordinal, terminating ones included. `now` in milliseconds. */
export function planStateful(set: StatefulSet, pods: readonly Pod[], revisions: Revisions, now: number): StatefulPlan {
	if (set.metadata.deletionTimestamp) return { create: [], delete: [], identify: [] };
	const { members, surplus } = sorted(set, pods, revisions, now);
	const ordered = set.spec.podManagementPolicy !== 'Parallel';
	const create: { ordinal: number; revision: string }[] = [];
	const gone: { pod: Pod; reason: Reason }[] = [];
	const identify = [...members, ...surplus].flatMap(({ ordinal, pod, terminating }) => {
		const labels = identityOf(set, ordinal);
		return !pod || terminating || includes(labels, pod.metadata.labels) ? [] : [{ pod, labels }];
	});
	const plan = { create, delete: gone, identify };

	for (const member of members) {
		const { ordinal, pod, target, terminating, available } = member;
		if (!pod) create.push({ ordinal, revision: target });
		else if (isFinished(pod) && !terminating)
			gone.push({ pod, reason: pod.status?.phase === 'Failed' ? 'failed' : 'ended' });
		else if (available) continue;
		else if (ordered) gone.push(...because('outdated', stuck(set, member, members, revisions)));
		if (ordered) return plan;
	}
	gone.push(...because('surplus', surplusToDelete(surplus, ordered)));
	if (!ordered || surplus.length === 0) gone.push(...because('outdated', outdatedToDelete(set, members)));
	return plan;
}

const because = (reason: Reason, pods: readonly Pod[]) => pods.map((pod) => ({ pod, reason }));

/** The first ordinal that a rolling update reaches. */
function firstToUpdate({ spec }: StatefulSet): number {
	const { type, rollingUpdate } = spec.updateStrategy ?? {};
	return (spec.ordinals?.start ?? 0) + (type === 'RollingUpdate' ? (rollingUpdate?.partition ?? 0) : 0);
}

/** The wanted ordinals in their order, as far as they are there or are made next, and the pods beyond them, the last first. */
function sorted(set: StatefulSet, pods: readonly Pod[], revisions: Revisions, now: number) {
	const { start, end } = ordinalsOf(set);
	const updated = firstToUpdate(set);
	const byOrdinal = new Map(pods.map((pod) => [ordinalOf(set, pod) ?? -1, pod]));
	const member = (ordinal: number): Member => {
		const pod = byOrdinal.get(ordinal);
		const target = ordinal < updated ? revisions.current : revisions.update;
		const terminating = pod?.metadata.deletionTimestamp !== undefined;
		const healthy = pod !== undefined && !terminating && runs(pod);
		const from = healthy ? availableFrom(pod, set.spec.minReadySeconds ?? 0) : undefined;
		const available = from !== undefined && from <= now;
		const outdated = pod !== undefined && !terminating && revisionOf(pod) !== target;
		return { ordinal, pod, target, terminating, healthy, available, outdated };
	};
	const beyond = [...byOrdinal.keys()].filter((ordinal) => ordinal >= 0 && (ordinal < start || ordinal >= end));
	return {
		members: wantedOf(start, end, byOrdinal).map(member),
		surplus: beyond.sort((a, b) => b - a).map(member),
	};
}

/** The ordinals from `start` to `end` of which there are pods, and the first of those of which there are none. */
function wantedOf(start: number, end: number, there: ReadonlyMap<number, Pod>): readonly number[] {
	const missing: number[] = [];
	for (let ordinal = start; ordinal < end && missing.length < BURST; ordinal++)
		if (!there.has(ordinal)) missing.push(ordinal);
	const present = [...there.keys()].filter((ordinal) => ordinal >= start && ordinal < end);
	return [...missing, ...present].sort((a, b) => a - b);
}

const runs = (pod: Pod) => pod.status?.phase === 'Running' && isReady(pod);

/**
 * What to take away while the pods wait for one of them to get ready, which may never happen: the pod itself, where its revision was
 * given up before it was rolled out, and the pod that the update would replace next, where it is not ready either. Kubernetes
 * waits for ever, and asks for a delete by hand ("Forced rollback" of its documentation).
 */
function stuck(
	set: StatefulSet,
	found: Member,
	members: readonly Member[],
	{ current, update }: Revisions,
): readonly Pod[] {
	if (set.spec.updateStrategy?.type !== 'RollingUpdate' || found.terminating || found.healthy) return [];
	const updated = firstToUpdate(set);
	const next = members.findLast(
		({ ordinal, pod, outdated, available }) => ordinal >= updated && pod && (outdated || !available),
	);
	const givenUp = found.pod && ![current, update].includes(revisionOf(found.pod));
	const candidates = new Set([...(givenUp ? [found] : []), ...(next ? [next] : [])]);
	return [...candidates].flatMap(({ pod, outdated, healthy }) => (pod && outdated && !healthy ? [pod] : []));
}

/** Of the pods beyond the wanted ordinals those that go now: all, or the last one, when those before it are well. */
function surplusToDelete(surplus: readonly Member[], ordered: boolean): readonly Pod[] {
	if (!ordered) return surplus.flatMap(({ pod, terminating }) => (pod && !terminating ? [pod] : []));
	const [last] = surplus;
	if (!last?.pod || last.terminating) return [];
	const firstUnhealthy = surplus.findLast(({ healthy }) => !healthy);
	return last.available || last === firstUnhealthy ? [last.pod] : [];
}

/** The pods that a rolling update replaces now, from the last to the first. */
function outdatedToDelete(set: StatefulSet, members: readonly Member[]): readonly Pod[] {
	const { type, rollingUpdate } = set.spec.updateStrategy ?? {};
	if (type !== 'RollingUpdate') return [];
	const updated = firstToUpdate(set);
	const candidates = members.filter(({ ordinal }) => ordinal >= updated).reverse();
	const limit = rollingUpdate?.maxUnavailable;
	if (limit === undefined) {
		// One after the other, each when those after it are well.
		const next = candidates.find(({ outdated, healthy }) => outdated || !healthy);
		return next?.outdated && next.pod ? [next.pod] : [];
	}
	const replicas = set.spec.replicas ?? 1;
	let room = atMost(limit, replicas) - (replicas - members.filter(({ healthy }) => healthy).length);
	// What is broken anyway takes no room.
	return candidates.flatMap(({ pod, outdated, healthy }) => (pod && outdated && (!healthy || room-- > 0) ? [pod] : []));
}

/** A number of pods, at least one; a share of them rounds up. */
function atMost(limit: number | string, replicas: number): number {
	const pods = typeof limit === 'number' ? limit : Math.ceil((Number.parseInt(limit, 10) * replicas) / 100);
	return Math.max(1, pods);
}

/**
 * The status for the set's pods. `nextAvailable` is when the next ready pod becomes available by minReadySeconds, in milliseconds
 * since the epoch. `failure` says why pods could not be made.
 */
export function statefulStatus(
	set: StatefulSet,
	pods: readonly Pod[],
	revisions: Revisions,
	now: number,
	conditions: readonly StatefulSetCondition[],
): { status: StatefulSetStatus; nextAvailable: number | undefined } {
	const stays = ({ metadata }: Pod) => metadata.deletionTimestamp === undefined;
	const ready = pods.filter(runs);
	const times = ready.flatMap((pod) => availableFrom(pod, set.spec.minReadySeconds ?? 0) ?? []);
	const of = (revision: string) => pods.filter((pod) => stays(pod) && revisionOf(pod) === revision).length;
	const wanted = set.spec.replicas ?? 1;
	const updated = of(revisions.update);
	const rolled =
		set.spec.updateStrategy?.type === 'RollingUpdate' &&
		[updated, ready.length, pods.length].every((count) => count === wanted);
	const currentRevision = rolled ? revisions.update : revisions.current;
	const current = rolled ? updated : of(revisions.current);
	const later = times.filter((time) => time > now);
	return {
		status: {
			...(set.metadata.generation && { observedGeneration: set.metadata.generation }),
			replicas: pods.length,
			...(ready.length && { readyReplicas: ready.length }),
			...(current && { currentReplicas: current }),
			...(updated && { updatedReplicas: updated }),
			availableReplicas: times.length - later.length,
			currentRevision,
			updateRevision: revisions.update,
			collisionCount: set.status?.collisionCount ?? 0,
			...(conditions.length > 0 && { conditions: [...conditions] }),
		},
		nextAvailable: later.length > 0 ? Math.min(...later) : undefined,
	};
}
