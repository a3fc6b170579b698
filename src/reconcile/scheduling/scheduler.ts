/**
 * The scheduler: gives each pod that waits a node, by priority and then by age. Decisions are made one after the other, each against
 * a snapshot in which a pod counts from the moment of its decision; bindings run beside them.
 * Source: Kubernetes documentation, "Kubernetes Scheduler".
 */
import { setImmediate as turn } from 'node:timers/promises';
import { type Clock, systemClock } from '../../client/clock.ts';
import { type Faults, faults } from '../../client/fault.ts';
import {
	type Key,
	type Kind,
	keyOf,
	Namespace,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	PodDisruptionBudget,
	SCHEDULER_CONFIG,
	SchedulerConfig,
	StorageClass,
	timestamp,
} from '../../kinds/index.ts';
import { conditionOf, withoutCondition } from '../runtime/conditions.ts';
import { type Context, type Controller, controller, watch } from '../runtime/controller.ts';
import { isConflict, isNotFound, messageOf } from '../runtime/refusal.ts';
import { freeVolumes, podsByClaim, volumesByClaim } from '../volumes/indexes.ts';
import { type Following, follow } from './follow.ts';
import { budgetsIn, evictFor, makeRoom } from './making-room.ts';
import { type Attempt, createSchedulerMetrics, type SchedulerMetrics } from './metrics.ts';
import { podVolumes, type VolumePlan, volumesOn } from './pod-volumes.ts';
import type { Preemption } from './preempt.ts';
import { DEFAULT_NAME, type Profiles, profilesOf } from './profiles.ts';
import { createRefusals, type Refusals } from './refusals.ts';
import type { Strategy } from './rules/index.ts';
import { type Placement, type Refusal, schedule, type Turn } from './schedule.ts';
import { createSnapshot } from './snapshot.ts';
import { createVolumeBindings, type Settled, type VolumeBindings } from './volume-bindings.ts';
import { createWaiting } from './waiting.ts';
import type { Wanted } from './wanted.ts';

/** How many bindings and reports are under way at once. */
const WRITES_AT_ONCE = 32;
/** Decisions are made for so long at a stretch: in one process with the API, others have their turn in between. */
const STRETCH_MS = 10;

/** The one key of the queue: all that wait are looked at together, since they compete. */
const WAITING: Key = 'pods';

export interface SchedulerOptions {
	/** Default `least-allocated`. */
	readonly strategy?: Strategy;
	/** The schedulerName of the pods it takes care of. Default `default-scheduler`. */
	readonly name?: string;
	readonly clock?: Clock;
	/** Filled while it runs. */
	readonly metrics?: SchedulerMetrics;
}

export function scheduler(options: SchedulerOptions = {}): Controller {
	const { strategy = 'least-allocated', name = DEFAULT_NAME, clock = systemClock } = options;
	const { metrics = createSchedulerMetrics() } = options;
	return controller({
		name: 'scheduler',
		component: name,
		// What is to be done on a change depends on what it changed: the session's own handlers tell.
		watches: [
			Pod,
			Node,
			Namespace,
			PersistentVolumeClaim,
			PersistentVolume,
			StorageClass,
			PodDisruptionBudget,
			SchedulerConfig,
		].map((kind) => watch(kind as Kind, () => [])),
		indexes: [podsByClaim, volumesByClaim, freeVolumes],
		workers: 1,
		open(context, queue) {
			const stack = new DisposableStack();
			const waiting = stack.use(createWaiting(clock, () => queue(WAITING)));
			const bindings = stack.use(createVolumeBindings(context, clock, () => queue(WAITING)));
			metrics.pending = () => waiting.counts();
			const snapshot = createSnapshot(bindings.look);
			const refusals = createRefusals();
			const session: Session = {
				...context,
				snapshot,
				waiting,
				bindings,
				refusals,
				changed(what, change) {
					refusals.changed(what, change, snapshot);
					waiting.changed(what, change, snapshot);
				},
				profiles: profilesOf(undefined, strategy, name),
				reconfigure() {
					const config = context.cache.informer(SchedulerConfig).get(SCHEDULER_CONFIG);
					session.profiles = profilesOf(config, strategy, name);
				},
				name,
				clock,
				metrics,
				turn: { from: 0, last: '' },
				faults: faults(context.log),
			};
			stack.use(follow(context.cache, session));
			return {
				async reconcile() {
					await placeAll(session);
					return undefined;
				},
				[Symbol.dispose]: () => stack.dispose(),
			};
		},
	});
}

interface Session extends Following, Context {
	/** Of this pass. */
	readonly refusals: Refusals;
	readonly bindings: VolumeBindings;
	readonly clock: Clock;
	/** Who its events are from. */
	readonly name: string;
	readonly metrics: SchedulerMetrics;
	readonly faults: Faults;
	turn: Turn;
	profiles: Profiles;
}

/** Places all that wait, also those that come meanwhile. */
async function placeAll(session: Session): Promise<void> {
	const { waiting, signal, clock } = session;
	const writes = new Set<Promise<void>>();
	// What no hint tells of is found out anew with each pass.
	session.refusals.clear();
	for (const settled of session.bindings.take()) {
		const write = goOn(session, settled).finally(() => writes.delete(write));
		writes.add(write);
		if (writes.size >= WRITES_AT_ONCE) await Promise.race(writes);
	}
	let began = clock.now();
	for (let wanted = waiting.take(); wanted; wanted = waiting.take()) {
		const { pod } = wanted;
		let writing: Promise<void>;
		const looked = clock.now();
		const attempted = (result: Attempt) =>
			session.metrics.attempted(pod.spec.schedulerName ?? session.name, result, (clock.now() - looked) / 1000);
		try {
			const placement = decide(session, wanted);
			attempted('node' in placement ? 'scheduled' : 'unschedulable');
			writing = carryOut(session, wanted, placement);
		} catch (error) {
			attempted('error');
			// One pod that cannot be judged must not hold up the others.
			waiting.failed(pod);
			writing = report(session, pod, 'SchedulerError', messageOf(error));
		}
		const write = writing.finally(() => writes.delete(write));
		writes.add(write);
		if (writes.size >= WRITES_AT_ONCE) await Promise.race(writes);
		if (clock.now() - began > STRETCH_MS) {
			await turn();
			began = clock.now();
		}
		if (signal.aborted) break;
	}
	await Promise.all(writes);
}

/** A pod that fits nowhere, and what room is made for it. */
interface Judged extends Refusal {
	readonly preemption?: Preemption;
	readonly denominated?: true;
}

function decide(session: Session, wanted: Wanted): Exclude<Placement, Refusal> | Judged {
	const { snapshot, profiles, turn, refusals } = session;
	const known = refusals.of(wanted);
	if (known) return { ...known, looked: 0 };
	const strategy = profiles.get(wanted.pod.spec.schedulerName ?? DEFAULT_NAME) ?? 'least-allocated';
	const placement = schedule(wanted, snapshot, strategy, turn);
	if ('node' in placement) return placement;
	const room = makeRoom(wanted, placement, snapshot, budgetsIn(session), turn.from);
	const judged = { ...placement, ...room, message: placement.message + room.message };
	// Room that is made for one is not there for the next.
	if (!room.preemption) refusals.add(wanted, judged);
	return judged;
}

function carryOut(session: Session, wanted: Wanted, placement: ReturnType<typeof decide>): Promise<void> {
	const { pod } = wanted;
	const { snapshot, waiting, refusals } = session;
	const { from, last } = session.turn;
	const next = snapshot.order.length > 0 ? (from + placement.looked) % snapshot.order.length : 0;
	if (!('node' in placement)) {
		session.turn = { from: next, last };
		waiting.refused(pod, placement.refusedBy);
		const { preemption, denominated } = placement;
		if (preemption) return preemptAt(session, pod, placement.message, preemption);
		return report(session, pod, 'Unschedulable', placement.message, denominated ? null : undefined);
	}
	session.turn = { from: next, last: placement.node };
	snapshot.reserve(wanted, placement.node);
	refusals.changed('pod came', { pod, node: placement.node }, snapshot);
	const volumes = podVolumes(pod, snapshot.volumes);
	const state = snapshot.nodes.get(placement.node);
	if (!state || !volumes || typeof volumes === 'string') return bind(session, pod, placement.node);
	const plan = volumesOn(volumes, state.node, snapshot.volumes);
	if (!('bind' in plan) || plan.bind.length + plan.provision.length === 0) return bind(session, pod, placement.node);
	return awaitVolumes(session, pod, placement.node, plan);
}

/** Lets the pod wait on its node for its volumes. Never throws. */
async function awaitVolumes(session: Session, pod: Pod, node: string, plan: VolumePlan): Promise<void> {
	try {
		await session.bindings.begin(pod, node, plan);
	} catch (error) {
		if (session.signal.aborted) return;
		giveUp(session, pod, node);
		// What has changed meanwhile shows in the cache as it is.
		if (isNotFound(error) || isConflict(error)) return;
		await report(session, pod, 'SchedulerError', volumesFailed(messageOf(error)));
	}
}

/** The wait of a pod for its volumes is over. Never throws. */
async function goOn(session: Session, { pod: waited, node, failure }: Settled): Promise<void> {
	const pod = session.cache.informer(Pod).get(keyOf(waited));
	if (!pod || pod.metadata.uid !== waited.metadata.uid || pod.spec.nodeName) return;
	if (failure === undefined) return bind(session, pod, node);
	giveUp(session, pod, node);
	await report(session, pod, 'SchedulerError', volumesFailed(failure));
}

const volumesFailed = (why: string) => `running PreBind plugin "VolumeBinding": binding volumes: ${why}`;

/** The pod counts on the node no more, and waits for another look. */
function giveUp({ snapshot, waiting, changed }: Session, pod: Pod, node: string): void {
	snapshot.removePod(pod.metadata.uid ?? '');
	snapshot.setPod(pod);
	waiting.failed(pod);
	changed('pod gone', { pod, node });
}

/** The pod waits for room on a node, from which others go. Never throws. */
async function preemptAt(session: Session, pod: Pod, message: string, preemption: Preemption): Promise<void> {
	const { snapshot, waiting, name, signal, faults } = session;
	// The next pods are decided on with this in mind.
	const nominated = { ...pod, status: { ...pod.status, nominatedNodeName: preemption.node } };
	snapshot.setPod(nominated);
	waiting.update(nominated);
	await report(session, pod, 'Unschedulable', message, preemption.node);
	try {
		await evictFor(pod, preemption, snapshot, session, name);
		faults.healed('preempt', 'pods are preempted again');
	} catch (error) {
		if (signal.aborted) return;
		// It is looked at again, and others may have to go.
		waiting.failed(pod);
		faults.failed('preempt', error, 'pods cannot be preempted; more urgent ones wait');
	}
}

/** Binds the pod. Where that fails it counts on the node no more, and waits again. Never throws. */
async function bind(session: Session, pod: Pod, node: string): Promise<void> {
	const { client, events, cache, snapshot, waiting, changed, signal, faults } = session;
	const { namespace, name, uid = '' } = pod.metadata;
	try {
		await client.bind(pod.metadata, node);
		faults.healed('bind', 'pods are bound again');
		events.event(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
	} catch (error) {
		if (signal.aborted) return;
		const now = cache.informer(Pod).get(keyOf(pod));
		// Bound all the same: by somebody else, or the answer was lost.
		if (now?.metadata.uid === uid && now.spec.nodeName) return;
		snapshot.removePod(uid);
		if (now?.metadata.uid === uid) snapshot.setPod(now);
		waiting.failed(pod);
		changed('pod gone', { pod, node });
		// What is gone, or another one of the name, shows in the cache as it is.
		if (isNotFound(error) || isConflict(error)) return;
		faults.failed('bind', error, 'pods cannot be bound; they wait');
		events.event(pod, 'Warning', 'FailedScheduling', `binding rejected: ${messageOf(error)}`);
	}
}

/**
 * Says at the pod why it has no node, where it does not say so yet, and where room is made for it: `null` for nowhere any more.
 * Never throws.
 */
async function report(
	session: Session,
	pod: Pod,
	reason: string,
	message: string,
	nominated?: string | null,
): Promise<void> {
	const { client, events, waiting, now, signal, faults } = session;
	const said = conditionOf(pod.status?.conditions, 'PodScheduled');
	const same = said?.status === 'False' && said.message === message;
	const stays = nominated === undefined || (pod.status?.nominatedNodeName ?? null) === nominated;
	if (same && stays) return;
	if (!same) events.event(pod, 'Warning', 'FailedScheduling', message);
	const condition = {
		type: 'PodScheduled',
		status: 'False',
		reason,
		message,
		lastTransitionTime: (said?.status === 'False' && said.lastTransitionTime) || timestamp(now()),
	};
	const conditions = [...withoutCondition(pod.status?.conditions, 'PodScheduled'), condition];
	try {
		const nominatedNodeName = nominated === undefined ? pod.status?.nominatedNodeName : (nominated ?? undefined);
		const status = { ...pod.status, conditions, nominatedNodeName };
		await client.update(Pod, { ...pod, status }, { subresource: 'status' });
		faults.healed('report', 'pods are told again why they wait');
	} catch (error) {
		if (signal.aborted || isNotFound(error)) return;
		// It is told at the next look.
		waiting.failed(pod);
		if (!isConflict(error)) faults.failed('report', error, 'pods cannot be told why they wait');
	}
}
