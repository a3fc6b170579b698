/** The StatefulSet controller: pods with a name, a place and claims of their own. Source: Kubernetes documentation, "StatefulSets". */
import type { PodTemplateSpec } from 'kubernetes-types/core/v1.js';
import { type ControllerRevision, keyOf, PersistentVolumeClaim, Pod, StatefulSet } from '../../kinds/index.ts';
import { adopt, claim, controllerOf, release } from '../runtime/claim.ts';
import { type Again, type Context, controller, index, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { selects } from '../runtime/label-selector.ts';
import { isAlreadyThere, isConflict, isNotFound, isTerminating, messageOf } from '../runtime/refusal.ts';
import { allAtOnce, slowStart } from '../runtime/slow-start.ts';
import { createFailedPods, type FailedPods } from './failed-pods.ts';
import { templateOf } from './history.ts';
import { forget, type History, keepHistory, orphanRevisions } from './keep-history.ts';
import { failureCondition } from './replicas.ts';
import { claimsOf, isLeaving, ownersOf } from './stateful-claims.ts';
import { planStateful, type Reason, type Revisions, type StatefulPlan, statefulStatus } from './stateful-plan.ts';
import { claimName, ordinalOf, ordinalsOf, podName, revisionOf, statefulPod } from './stateful-pods.ts';

/** Pods that nobody controls, by namespace: they may be adopted. */
const ORPHANS = 'orphans';
/** Sets by `namespace/TEMPLATE-SET`, with which the names of their claims begin. */
const CLAIMS = 'claims';
/** How often a claim that stands in the way is looked at, beside its changes. */
const CLAIM_MS = 30_000;

export const statefulSet = controller<StatefulSet>({
	name: 'statefulset',
	for: StatefulSet,
	owns: [Pod],
	watches: [
		watch(Pod, (pod, cache) => (controllerOf(pod) ? [] : selecting(pod, cache))),
		watch(PersistentVolumeClaim, claiming, {
			part: ({ metadata }) => [metadata.deletionTimestamp, metadata.ownerReferences],
		}),
	],
	indexes: [
		index(Pod, ORPHANS, (pod) => (controllerOf(pod) ? [] : [pod.metadata.namespace ?? ''])),
		index(StatefulSet, CLAIMS, ({ metadata, spec }) =>
			(spec.volumeClaimTemplates ?? []).map((each) => `${metadata.namespace}/${each.metadata?.name}-${metadata.name}`),
		),
		orphanRevisions,
	],
	open(context) {
		const failed = createFailedPods(context.clock);
		return { reconcile: (key) => reconcile(key, { ...context, failed }), [Symbol.dispose]() {} };
	},
});

interface Session extends Context {
	readonly failed: FailedPods;
}

async function reconcile(key: string, session: Session): Promise<Again | undefined> {
	const { cache, client, now } = session;
	const set = cache.informer(StatefulSet).get(key);
	if (!set) return undefined;
	const pods = await claimPods(set, session);
	// What goes is taken away by the garbage collector; its history is left as it is.
	if (set.metadata.deletionTimestamp) return undefined;
	const history = await keepHistory(StatefulSet, set, session);
	if (!history) return undefined;
	if ('collisionCount' in history) {
		const status = { replicas: 0, ...set.status, ...history };
		await client.update(StatefulSet, { ...set, status }, { subresource: 'status' });
		return undefined;
	}
	const { revisions, current } = generations(set, history);
	const plan = planStateful(set, pods, revisions, now());
	const template = (revision: string) =>
		(revision === revisions.current ? templateOf(current) : undefined) ?? set.spec.template;
	const done = await execute(set, pods, plan, template, session);

	const conditions = failureCondition(set.status?.conditions, now(), done.failure);
	const { status, nextAvailable } = statefulStatus(set, pods, revisions, now(), conditions);
	if (!sameJson(status, set.status)) await client.update(StatefulSet, { ...set, status }, { subresource: 'status' });
	const used = new Set([status.currentRevision, status.updateRevision, ...pods.map(revisionOf)]);
	await forget(set, history, ({ metadata }) => used.has(metadata.name), session);
	if (done.failure) throw new Error(`${done.failure.reason}: ${done.failure.message}`);
	const waits = [...done.waits, ...(nextAvailable === undefined ? [] : [nextAvailable - now()])];
	return waits.length > 0 ? { after: Math.max(0, Math.min(...waits)) } : undefined;
}

/** The revision that the set comes from: that which its status names, while it is there. */
function generations(
	set: StatefulSet,
	{ update, all }: History,
): { revisions: Revisions; current: ControllerRevision } {
	const current = all.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? update;
	return { revisions: { current: current.metadata.name, update: update.metadata.name }, current };
}

/** The set's pods after adoption and release. Only what has the name of an ordinal can be one. */
async function claimPods(set: StatefulSet, { cache, client }: Context): Promise<readonly Pod[]> {
	const informer = cache.informer(Pod);
	const around = [
		...informer.by('owner', set.metadata.uid ?? ''),
		...informer.by(ORPHANS, set.metadata.namespace ?? ''),
	].filter((pod) => ordinalOf(set, pod) !== undefined);
	const claimed = claim(set, set.spec.selector, around);
	await Promise.all(claimed.release.map((pod) => release(client, set, Pod, pod)));
	const adopted = await Promise.all(claimed.adopt.map((pod) => adopt(client, StatefulSet, set, Pod, pod)));
	return [...claimed.owned, ...adopted];
}

interface Done {
	/** In how many ms something that held a pod up is to be looked at again. */
	readonly waits: readonly number[];
	readonly failure?: { readonly reason: 'FailedCreate' | 'FailedDelete'; readonly message: string };
}

/** Carries out the plan. Claims come before their pods, and know their owners before a pod goes. */
async function execute(
	set: StatefulSet,
	pods: readonly Pod[],
	plan: StatefulPlan,
	template: (revision: string) => PodTemplateSpec,
	session: Session,
): Promise<Done> {
	const { client } = session;
	const waits: number[] = [];
	const unclaimed = await allAtOnce(pods.map((pod) => () => keepClaims(set, pod, session)));
	if (unclaimed.length > 0) throw unclaimed[0];
	for (const { pod, labels } of plan.identify)
		await client.patch(Pod, pod.metadata, { type: 'merge', body: { metadata: { labels } } });

	const creations = plan.create.map(({ ordinal, revision }) => async () => {
		if (await makeClaims(set, ordinal, undefined, session))
			await makePod(set, statefulPod(set, ordinal, template(revision), revision), session);
		else waits.push(CLAIM_MS);
	});
	const [refused] = (await slowStart(creations)).filter((error) => !isTerminating(error));
	const deletions = plan.delete.map(({ pod, reason }) => async () => {
		const wait = reason === 'failed' ? session.failed.wait(keyOf(pod), pod.metadata.uid ?? '') : 0;
		if (wait > 0) waits.push(wait);
		else await removePod(set, pod, reason, session);
	});
	const [kept] = await allAtOnce(deletions);
	if (refused) return { waits, failure: { reason: 'FailedCreate', message: messageOf(refused) } };
	return kept ? { waits, failure: { reason: 'FailedDelete', message: messageOf(kept) } } : { waits };
}

async function makePod(set: StatefulSet, pod: Pod, { client, events }: Context): Promise<void> {
	const about = `create Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`;
	try {
		await client.create(Pod, pod);
		events.event(set, 'Normal', 'SuccessfulCreate', `${about} successful`);
	} catch (error) {
		// The answer was lost, or the cache is late: it is there.
		if (isAlreadyThere(error) && controllerOf(await client.get(Pod, pod.metadata))?.uid === set.metadata.uid) return;
		if (!isTerminating(error))
			events.event(set, 'Warning', 'FailedCreate', `${about} failed error: ${messageOf(error)}`);
		throw error;
	}
}

async function removePod(set: StatefulSet, pod: Pod, reason: Reason, { client, events }: Context): Promise<void> {
	const { name, namespace, uid } = pod.metadata;
	if (reason === 'failed' || reason === 'ended') {
		const [type, word] = reason === 'failed' ? (['Warning', 'Failed'] as const) : (['Normal', 'Terminated'] as const);
		const message = `StatefulSet ${namespace}/${set.metadata.name} is recreating ${word.toLowerCase()} Pod ${name}`;
		events.event(set, type, `Recreating${word}Pod`, message);
	}
	const about = `delete Pod ${name} in StatefulSet ${set.metadata.name}`;
	try {
		await client.delete(Pod, pod.metadata, { preconditions: { uid } });
		events.event(set, 'Normal', 'SuccessfulDelete', `${about} successful`);
	} catch (error) {
		if (isNotFound(error) || isConflict(error)) return;
		events.event(set, 'Warning', 'FailedDelete', `${about} failed error: ${messageOf(error)}`);
		throw error;
	}
}

/** The claims of a pod that is there: each with the owners that the policy wants, and made anew while the pod waits for one that is gone. */
async function keepClaims(set: StatefulSet, pod: Pod, session: Session): Promise<void> {
	const ordinal = ordinalOf(set, pod);
	if (ordinal === undefined || pod.metadata.deletionTimestamp) return;
	const { start, end } = ordinalsOf(set);
	const surplus = ordinal < start || ordinal >= end;
	if (pod.status?.phase === 'Pending' && !surplus) await makeClaims(set, ordinal, pod, session);
	for (const { metadata } of set.spec.volumeClaimTemplates ?? []) {
		const name = claimName(set, metadata?.name ?? '', ordinal);
		const found = session.cache
			.informer(PersistentVolumeClaim)
			.get(keyOf({ metadata: { name, namespace: set.metadata.namespace } }));
		if (!found || found.metadata.deletionTimestamp) continue;
		const owners = ownersOf(set, found, ordinal, pod, surplus);
		if (!owners) continue;
		const ownerReferences = owners.length > 0 ? [...owners] : undefined;
		await session.client.update(PersistentVolumeClaim, {
			...found,
			metadata: { ...found.metadata, ownerReferences },
		});
	}
}

/**
 * Makes the claims of an ordinal that are missing. False where one of them is on its way out, with a pod that was scaled away or
 * because somebody deletes it: its successor can only come when it is gone.
 */
async function makeClaims(
	set: StatefulSet,
	ordinal: number,
	pod: Pod | undefined,
	{ cache, client, events }: Context,
): Promise<boolean> {
	const informer = cache.informer(PersistentVolumeClaim);
	for (const wanted of claimsOf(set, ordinal)) {
		const found = informer.get(keyOf(wanted));
		if (found && (found.metadata.deletionTimestamp || isLeaving(set, found, ordinal, pod))) return false;
		if (found) continue;
		const about = `create Claim ${wanted.metadata.name} Pod ${podName(set, ordinal)} in StatefulSet ${set.metadata.name}`;
		const ownerReferences = ownersOf(set, wanted, ordinal, undefined, false);
		try {
			await client.create(PersistentVolumeClaim, {
				...wanted,
				metadata: { ...wanted.metadata, ...(ownerReferences && { ownerReferences: [...ownerReferences] }) },
			});
			events.event(set, 'Normal', 'SuccessfulCreate', `${about} success`);
		} catch (error) {
			if (isAlreadyThere(error)) continue;
			if (!isTerminating(error))
				events.event(set, 'Warning', 'FailedCreate', `${about} failed error: ${messageOf(error)}`);
			throw error;
		}
	}
	return true;
}

function* selecting(pod: Pod, cache: Context['cache']): Iterable<string> {
	for (const set of cache.informer(StatefulSet).by('namespace', pod.metadata.namespace ?? ''))
		if (ordinalOf(set, pod) !== undefined && selects(set.spec.selector, pod.metadata.labels)) yield keyOf(set);
}

/** The sets whose ordinals a claim may belong to. */
function* claiming({ metadata }: PersistentVolumeClaim, cache: Context['cache']): Iterable<string> {
	const prefix = /^(.+)-\d+$/.exec(metadata.name)?.[1];
	if (prefix === undefined) return;
	for (const set of cache.informer(StatefulSet).by(CLAIMS, `${metadata.namespace}/${prefix}`)) yield keyOf(set);
}
