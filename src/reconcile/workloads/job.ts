/** The Job controller: makes pods until enough of them have succeeded, and counts each exactly once. Source: Kubernetes documentation, "Jobs". */
import type { JobStatus } from 'kubernetes-types/batch/v1.js';
import { Job, jobCondition, jobEnd, keyOf, Pod } from '../../kinds/index.ts';
import { adopt, claim, controllerOf, release } from '../runtime/claim.ts';
import { type Again, type Context, controller, index, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { selects } from '../runtime/label-selector.ts';
import { isAlreadyThere, isConflict, isNotFound, isTerminating, messageOf } from '../runtime/refusal.ts';
import { allAtOnce, slowStart } from '../runtime/slow-start.ts';
import { type Count, countPods, hasUncounted, settled } from './job-count.ts';
import { withoutTracking } from './job-finalizer.ts';
import { type Look, lookAt } from './job-look.ts';
import { type JobPlan, planJob } from './job-plan.ts';
import { podsOf } from './job-pod.ts';
import { countReady, isTracked, TRACKING } from './job-pods.ts';
import { withEnd, withStart, withSuspension, withVerdict } from './job-status.ts';
import { deadlineOf, type Verdict, verdictOf } from './job-verdict.ts';
import { isActive } from './pod-state.ts';

/** Who looks after a Job that names nobody. */
const SELF = 'kubernetes.io/job-controller';
/** Pods that nobody controls, by namespace: they may be adopted. */
const ORPHANS = 'orphans';
/** Pods that end within so many ms are counted together. Kubernetes gathers for a second. */
const GATHER_MS = 50;

export const job = controller<Job>({
	name: 'job',
	for: Job,
	watches: [watch(Pod, jobsOf, { gatherMs: GATHER_MS })],
	indexes: [index(Pod, ORPHANS, (pod) => (controllerOf(pod) ? [] : [pod.metadata.namespace ?? '']))],
	async reconcile(key, context) {
		const target = context.cache.informer(Job).get(key);
		if (!target || (target.spec.managedBy ?? SELF) !== SELF) return undefined;
		const { completionMode = 'NonIndexed' } = target.spec;
		if (completionMode !== 'NonIndexed' && completionMode !== 'Indexed') {
			const message = 'Skipped Job sync because completion mode is unknown';
			context.events.event(target, 'Warning', 'UnknownCompletionMode', message);
			return undefined;
		}
		const pods = await claimPods(target, context);
		if (jobEnd(target)) return letGo(pods, context);
		return advance(target, pods, context);
	},
});

/**
 * One look, in the order in which a break between any two writes does no harm: what has been decided and what is to be
 * counted is written first; then pods are made and taken back; then finalizers go; then the counts and the end are written.
 */
async function advance(found: Job, pods: readonly Pod[], context: Context): Promise<Again | undefined> {
	const { now } = context;
	const look = lookAt(found, pods);
	const verdict = verdictOf(look, now());
	const count = countPods(look, verdict);
	const started = withStart(found, withVerdict(count.status, verdict, now()), now());
	// The start alone can wait for the counts of the pods.
	const before = { ...found.status, uncountedTerminatedPods: found.status?.uncountedTerminatedPods ?? {} };
	const decided = !sameJson(withStart(found, before, now()), started);
	const target = decided ? await writeStatus(found, started, context) : found;

	const plan: JobPlan = verdict || found.metadata.deletionTimestamp ? { create: [], remove: [] } : planJob(look, now());
	const done = await execute(target, look, plan, verdict, context);
	const freed = await free(count, context);

	const held = pods.filter((pod) => isTracked(pod) && !freed.done.has(pod));
	const counted = settled(started, new Set(held.map(({ metadata }) => metadata.uid ?? '')));
	const status = concluded(
		target,
		{ ...counted, ...done.counts },
		{ verdict, count, failed: done.failed ?? freed.failed },
		context,
	);
	if (!sameJson(status, target.status)) await writeStatus(target, status, context);
	tellChanges(found, status, context);

	const failed = done.failed ?? freed.failed;
	if (failed !== undefined) throw new Error(failed);
	return nextLook(found, verdict, plan, now());
}

interface Done {
	readonly verdict: Verdict | undefined;
	readonly count: Count;
	/** What could not be written. */
	readonly failed: string | undefined;
}

/** The status at the end of the look: suspended or not, or ended. */
function concluded(target: Job, status: JobStatus, { verdict, count, failed }: Done, { now }: Context): JobStatus {
	if (!verdict) return target.metadata.deletionTimestamp ? status : withSuspension(target, status, now());
	const left = hasUncounted(status) || !count.complete || (status.terminating ?? 0) > 0 || (status.active ?? 0) > 0;
	return left || failed !== undefined ? status : withEnd(status, verdict, now());
}

function nextLook(target: Job, verdict: Verdict | undefined, { after }: JobPlan, now: number): Again | undefined {
	if (verdict) return undefined;
	const deadline = deadlineOf(target, now);
	const waits = [after, deadline && deadline - now].filter((wait) => wait !== undefined);
	return waits.length > 0 ? { after: Math.max(0, Math.min(...waits)) } : undefined;
}

/** Makes and takes back pods. Returns the counts of those that are there then, and what failed. */
async function execute(target: Job, look: Look, plan: JobPlan, verdict: Verdict | undefined, context: Context) {
	const { cache, client, events } = context;
	const { namespace } = target.metadata;
	const active = new Set(look.active);
	let terminating = look.terminating.length;
	const remove = async (pod: Pod, counted: boolean) => {
		try {
			// One that does not count as failed must not be found among those that do.
			if (!counted) await withoutTracking(client, pod);
			await client.delete(Pod, pod.metadata, { preconditions: { uid: pod.metadata.uid } });
		} catch (error) {
			if (!isNotFound(error) && !isConflict(error)) throw error;
			active.delete(pod);
			return;
		}
		if (active.delete(pod)) terminating++;
		events.event(target, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
	};
	const doomed = verdict ? [...look.active, ...look.astray] : plan.remove;
	const kept = (await allAtOnce(doomed.map((pod) => () => remove(pod, verdict !== undefined)))).map(messageOf);
	for (const message of kept) events.event(target, 'Warning', 'FailedDelete', `Error deleting: ${message}`);

	const isTaken = (name: string) => cache.informer(Pod).get(keyOf({ metadata: { name, namespace } })) !== undefined;
	const creations = podsOf(target, plan.create, isTaken).map((wanted) => async () => {
		try {
			const made = await client.create(Pod, wanted);
			active.add(made);
			events.event(target, 'Normal', 'SuccessfulCreate', `Created pod: ${made.metadata.name}`);
		} catch (error) {
			if (!isAlreadyThere(error)) throw error;
			// Made before, and the answer was lost: the cache will show it.
			const there = await client.get(Pod, wanted.metadata);
			if (controllerOf(there)?.uid !== target.metadata.uid) throw error;
			if (isActive(there)) active.add(there);
		}
	});
	const refused = (await slowStart(creations)).filter((error) => !isTerminating(error)).map(messageOf);
	for (const message of refused) events.event(target, 'Warning', 'FailedCreate', `Error creating: ${message}`);

	const [failed] = [...kept, ...refused];
	const ready = countReady([...active]);
	return { failed, counts: { active: active.size || undefined, ready, terminating } };
}

/** Takes the finalizers away. A pod that is gone has none. */
async function free({ release }: Count, { client }: Context) {
	const done = new Set<Pod>();
	const failures = await allAtOnce(
		release.map((pod) => async () => {
			await withoutTracking(client, pod);
			done.add(pod);
		}),
	);
	return { done, failed: failures.length > 0 ? messageOf(failures[0]) : undefined };
}

/** Of a Job that has ended nothing counts any more: what is still tracked or runs came too late. */
async function letGo(pods: readonly Pod[], { client }: Context): Promise<undefined> {
	for (const pod of pods) {
		await withoutTracking(client, pod);
		if (!isActive(pod)) continue;
		try {
			await client.delete(Pod, pod.metadata, { preconditions: { uid: pod.metadata.uid } });
		} catch (error) {
			if (!isNotFound(error) && !isConflict(error)) throw error;
		}
	}
}

function tellChanges(before: Job, status: JobStatus, { events }: Context): void {
	const after: Job = { ...before, status };
	const changed = (type: 'Suspended' | 'Complete' | 'Failed') => {
		const condition = jobCondition(after, type);
		return condition && !jobCondition(before, type) ? condition : undefined;
	};
	if (changed('Suspended')) events.event(before, 'Normal', 'Suspended', 'Job suspended');
	else if (jobCondition(before, 'Suspended') && !jobCondition(after, 'Suspended'))
		events.event(before, 'Normal', 'Resumed', 'Job resumed');
	if (changed('Complete')) {
		const { completions } = before.spec;
		if (completions !== undefined && (status.succeeded ?? 0) > completions)
			events.event(
				before,
				'Warning',
				'TooManySucceededPods',
				'Too many succeeded pods running after completion count reached',
			);
		events.event(before, 'Normal', 'Completed', 'Job completed');
	}
	const failed = changed('Failed');
	if (failed) events.event(before, 'Warning', failed.reason ?? '', failed.message ?? '');
}

const writeStatus = (target: Job, status: JobStatus, { client }: Context): Promise<Job> =>
	client.update(Job, { ...target, status }, { subresource: 'status' });

/** The pods of the Job after adoption and release; with its pods it takes their counting over, and leaves it. */
async function claimPods(target: Job, { cache, client }: Context): Promise<readonly Pod[]> {
	const informer = cache.informer(Pod);
	const { namespace = '', uid = '' } = target.metadata;
	const around = [...informer.by('owner', uid), ...informer.by(ORPHANS, namespace)];
	const claimed = claim(target, target.spec.selector ?? {}, around);
	const adopted = await Promise.all(
		jobEnd(target)
			? []
			: claimed.adopt.map((pod) => {
					const finalizers = [...(pod.metadata.finalizers ?? []).filter((each) => each !== TRACKING), TRACKING];
					return adopt(client, Job, target, Pod, { ...pod, metadata: { ...pod.metadata, finalizers } });
				}),
	);
	await Promise.all(
		claimed.release.map((pod) => {
			const finalizers = pod.metadata.finalizers?.filter((each) => each !== TRACKING);
			return release(client, target, Pod, { ...pod, metadata: { ...pod.metadata, finalizers } });
		}),
	);
	return [...claimed.owned, ...adopted];
}

/** The Job that controls a pod; of a pod that nobody controls those that select it. */
function* jobsOf(pod: Pod, cache: Context['cache']): Iterable<string> {
	const { namespace = '', labels } = pod.metadata;
	const owner = controllerOf(pod);
	if (owner?.kind === 'Job') yield keyOf({ metadata: { name: owner.name, namespace } });
	if (owner) return;
	for (const target of cache.informer(Job).by('namespace', namespace))
		if (selects(target.spec.selector, labels)) yield keyOf(target);
}
