/**
 * What a DaemonSet needs done, and what its status says: pure decisions. Each node is judged for itself, so that a change of one
 * costs the look at one; the sums are taken of the judgements.
 * Source: Kubernetes documentation, "DaemonSet" and "Perform a Rolling Update on a DaemonSet".
 */
import type { DaemonSetCondition, DaemonSetStatus } from 'kubernetes-types/apps/v1.js';
import type { DaemonSet, Pod } from '../../kinds/index.ts';
import type { Fit } from './daemon-pods.ts';
import { REVISION_LABEL } from './history.ts';
import { availableFrom, isFinished, isReady, timeOf } from './pod-state.ts';

/** Never more than so many pods are made or removed in one pass, so that other sets get their turn. */
const BURST = 500;

export type Reason = 'misplaced' | 'double' | 'failed' | 'ended' | 'outdated';

export interface Removal {
	readonly pod: Pod;
	readonly reason: Reason;
}

/** One pod that is to stay for now. */
interface Standing {
	readonly pod: Pod;
	readonly ready: boolean;
	readonly available: boolean;
}

/** A node, as the set sees it. */
export interface Place extends Fit {
	readonly node: string;
	/** Whether there is such a node. */
	readonly present: boolean;
	/** Whether any pod of the set is there, on its way out or not. */
	readonly taken: boolean;
	/** Of the oldest pod that is there. */
	readonly ready: boolean;
	readonly available: boolean;
	readonly updated: boolean;
	/** The pod of the newest revision, and the one of another. */
	readonly fresh?: Standing;
	readonly old?: Standing;
	/** What must go, whatever becomes of the others. */
	readonly remove: readonly Removal[];
	/** The revisions of the pods, by hash. */
	readonly revisions: ReadonlySet<string>;
	/** When a ready pod becomes available, in milliseconds since the epoch, where that lies ahead. */
	readonly ripensAt?: number;
}

/**
 * `pods` are the set's on the node, or made for it. `newest` has the hashes of the revisions that have the set's template. No `fit`: there is
 * no such node.
 */
export function judge(
	set: DaemonSet,
	node: string,
	fit: Fit | undefined,
	pods: readonly Pod[],
	newest: ReadonlySet<string>,
	now: number,
): Place {
	const ordered = pods.toSorted(byAge);
	const minReady = set.spec.minReadySeconds ?? 0;
	const times = ordered.flatMap((pod) => availableFrom(pod, minReady) ?? []);
	const ahead = times.filter((time) => time > now);
	const stand = (pod: Pod): Standing => {
		const from = availableFrom(pod, minReady);
		return { pod, ready: isReady(pod), available: from !== undefined && from <= now };
	};
	const [oldest] = ordered;
	const shown = oldest && stand(oldest);
	const seen = {
		node,
		present: fit !== undefined,
		run: fit?.run ?? false,
		stay: fit?.stay ?? false,
		taken: pods.length > 0,
		ready: shown?.ready ?? false,
		available: shown?.available ?? false,
		updated: oldest !== undefined && newest.has(hashOfPod(oldest)),
		revisions: new Set(pods.map(hashOfPod)),
		...(ahead.length > 0 && { ripensAt: Math.min(...ahead) }),
	};
	const staying = ordered.filter(({ metadata }) => !metadata.deletionTimestamp);
	if (!seen.stay) {
		// Of a node that is gone the pods go with it (see pod-gc); what never came to it is the set's to remove.
		const misplaced = fit ? staying : staying.filter(({ spec }) => !spec.nodeName);
		return { ...seen, remove: misplaced.map((pod) => ({ pod, reason: 'misplaced' })) };
	}
	const remove: Removal[] = [];
	const running: Standing[] = [];
	for (const pod of staying)
		if (isFinished(pod)) remove.push({ pod, reason: pod.status?.phase === 'Failed' ? 'failed' : 'ended' });
		else running.push(stand(pod));
	const surging = isSurging(set);
	const isFresh = ({ pod }: Standing) => newest.has(hashOfPod(pod));
	const kept = surging
		? [running.find(isFresh), running.find((each) => !isFresh(each))].filter((each) => each !== undefined)
		: running.slice(0, 1);
	for (const each of running) if (!kept.includes(each)) remove.push({ pod: each.pod, reason: 'double' });
	const fresh = kept.find(isFresh);
	const old = kept.find((each) => !isFresh(each));
	return { ...seen, remove, ...(fresh && { fresh }), ...(old && { old }) };
}

export interface DaemonPlan {
	/** Nodes that get a pod. */
	readonly create: readonly string[];
	readonly delete: readonly Removal[];
}

export function planDaemon(set: DaemonSet, places: Iterable<Place>): DaemonPlan {
	const create: string[] = [];
	const gone: Removal[] = [];
	const rolling: Place[] = [];
	let desired = 0;
	for (const place of places) {
		if (place.run) {
			desired++;
			if (!place.taken) create.push(place.node);
		}
		gone.push(...place.remove);
		if (place.run || place.taken) rolling.push(place);
	}
	if (set.spec.updateStrategy?.type === 'RollingUpdate') {
		const { maxSurge, maxUnavailable } = set.spec.updateStrategy.rollingUpdate ?? {};
		const surge = share(maxSurge ?? 0, desired);
		const step =
			surge > 0 ? withSurge(rolling, surge) : without(rolling, Math.max(1, share(maxUnavailable ?? 1, desired)));
		create.push(...step.create);
		gone.push(...step.old.map(({ pod }) => ({ pod, reason: 'outdated' as const })));
	}
	return { create: create.slice(0, BURST), delete: gone.slice(0, BURST) };
}

interface Step {
	readonly old: readonly Standing[];
	readonly create: readonly string[];
}

/**
 * Old pods go, and new ones come into their place. No more than the limit are unavailable by that; those that are unavailable anyway go
 * at once.
 */
function without(places: readonly Place[], limit: number): Step {
	let unavailable = 0;
	const broken: Standing[] = [];
	const candidates: Standing[] = [];
	for (const { stay, fresh, old } of places) {
		if (!stay) continue;
		if (old?.available && !fresh) candidates.push(old);
		else {
			if (old && !fresh) broken.push(old);
			if (old || !fresh?.available) unavailable++;
		}
	}
	return { old: [...broken, ...candidates.slice(0, Math.max(0, limit - unavailable))], create: [] };
}

/** New pods come beside the old ones, which go when their successors are available, or they themselves are not. */
function withSurge(places: readonly Place[], limit: number): Step {
	let surging = 0;
	const old: Standing[] = [];
	const broken: string[] = [];
	const candidates: string[] = [];
	for (const place of places) {
		if (!place.stay || !place.old) continue;
		if (place.fresh) {
			if (!place.old.available || place.fresh.available) old.push(place.old);
			else surging++;
		} else if (place.run) (place.old.available ? candidates : broken).push(place.node);
	}
	return { old, create: [...broken, ...candidates.slice(0, Math.max(0, limit - surging))] };
}

/** The status, from what all places say. */
export function daemonStatus(
	set: DaemonSet,
	places: Iterable<Place>,
	conditions: readonly DaemonSetCondition[],
): DaemonSetStatus {
	let [desired, current, misplaced, ready, available, updated] = [0, 0, 0, 0, 0, 0];
	for (const place of places) {
		if (!place.run) {
			if (place.taken && place.present) misplaced++;
			continue;
		}
		desired++;
		if (!place.taken) continue;
		current++;
		if (place.ready) ready++;
		if (place.available) available++;
		if (place.updated) updated++;
	}
	const unavailable = desired - available;
	return {
		currentNumberScheduled: current,
		desiredNumberScheduled: desired,
		numberMisscheduled: misplaced,
		numberReady: ready,
		...(available && { numberAvailable: available }),
		...(unavailable && { numberUnavailable: unavailable }),
		...(updated && { updatedNumberScheduled: updated }),
		...(set.metadata.generation && { observedGeneration: set.metadata.generation }),
		...(set.status?.collisionCount && { collisionCount: set.status.collisionCount }),
		...(conditions.length > 0 && { conditions: [...conditions] }),
	};
}

export const hashOfPod = ({ metadata }: Pod) => metadata.labels?.[REVISION_LABEL] ?? '';

function isSurging({ spec }: DaemonSet): boolean {
	const { type, rollingUpdate } = spec.updateStrategy ?? {};
	return type === 'RollingUpdate' && Number.parseInt(String(rollingUpdate?.maxSurge ?? 0), 10) > 0;
}

/** A number of nodes; a share of them rounds up. */
function share(limit: number | string, nodes: number): number {
	return typeof limit === 'number' ? limit : Math.ceil((Number.parseInt(limit, 10) * nodes) / 100);
}

const byAge = (a: Pod, b: Pod) =>
	(timeOf(a.metadata.creationTimestamp) ?? 0) - (timeOf(b.metadata.creationTimestamp) ?? 0) ||
	(a.metadata.name < b.metadata.name ? -1 : 1);
