/** The DaemonSet controller: a pod on every node that fits. Source: Kubernetes documentation, "DaemonSet". */
import { DaemonSet, type Key, keyOf, Node, Pod } from '../../kinds/index.ts';
import { adopt, claim, controllerOf, release } from '../runtime/claim.ts';
import { type Again, type Context, controller, index, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { selects } from '../runtime/label-selector.ts';
import { isAlreadyThere, isConflict, isNotFound, isTerminating, messageOf } from '../runtime/refusal.ts';
import { allAtOnce, slowStart } from '../runtime/slow-start.ts';
import { type DaemonPlan, daemonStatus, judge, type Place, planDaemon, type Reason } from './daemon-plan.ts';
import { daemonPod, fitOf, nodeOf } from './daemon-pods.ts';
import { createFailedPods, type FailedPods } from './failed-pods.ts';
import { hashOf, revisionsOf } from './history.ts';
import { forget, keepHistory, orphanRevisions } from './keep-history.ts';
import { failureCondition, type ReplicaFailure } from './replicas.ts';

/** Pods that nobody controls, by namespace: they may be adopted. */
const ORPHANS = 'orphans';
/** Pods by the uid of the set that controls them, and their node. */
const PLACES = 'daemon places';

export const daemonSet = controller<DaemonSet>({
	name: 'daemonset',
	for: DaemonSet,
	owns: [Pod],
	watches: [
		watch(Pod, (pod, cache) => (controllerOf(pod) ? [] : selecting(pod, cache))),
		// Which sets a node matters to, the session knows.
		watch(Node, () => []),
	],
	indexes: [
		index(Pod, ORPHANS, (pod) => (controllerOf(pod) ? [] : [pod.metadata.namespace ?? ''])),
		index(Pod, PLACES, (pod) => {
			const owner = controllerOf(pod);
			return owner?.kind === DaemonSet.kind ? [`${owner.uid}/${nodeOf(pod)}`] : [];
		}),
		orphanRevisions,
	],
	open(context, queue) {
		const stack = new DisposableStack();
		const session = { ...context, failed: createFailedPods(context.clock), known: new Map<string, Known>() };
		stack.use(
			context.cache.informer(Node).on(({ key, object, old }) => {
				if (object && old && sameJson(judged(object), judged(old))) return;
				for (const known of session.known.values()) {
					known.changed.add(key);
					queue(known.key);
				}
			}),
		);
		stack.use(
			context.cache.informer(Pod).on(({ object, old }) => {
				// It may have changed its owner as well.
				for (const pod of [object, old])
					if (pod) session.known.get(controllerOf(pod)?.uid ?? '')?.changed.add(nodeOf(pod));
			}),
		);
		return { reconcile: (key) => reconcile(key, session), [Symbol.dispose]: () => stack.dispose() };
	},
});

/** What is known of a set's nodes: they are judged anew when something changes there, and all of them when the set itself changes. */
interface Known {
	readonly key: Key;
	/** The generation of the set and the revisions of its template that the places were judged for. */
	readonly basis: string;
	readonly places: Map<string, Place>;
	readonly changed: Set<string>;
}

interface Session extends Context {
	readonly failed: FailedPods;
	/** By uid. */
	readonly known: Map<string, Known>;
}

/** What of a node decides where daemons run. */
const judged = ({ metadata, spec }: Node) => [metadata.labels, spec.taints];

async function reconcile(key: Key, session: Session): Promise<Again | undefined> {
	const { cache, client, known, now } = session;
	const set = cache.informer(DaemonSet).get(key);
	for (const [uid, each] of known) if (each.key === key && uid !== set?.metadata.uid) known.delete(uid);
	if (!set || set.metadata.deletionTimestamp) return undefined;
	await adoptPods(set, session);
	const history = await keepHistory(DaemonSet, set, session);
	if (!history) return undefined;
	if ('collisionCount' in history) {
		const status = { ...none, ...set.status, ...history };
		await client.update(DaemonSet, { ...set, status }, { subresource: 'status' });
		return undefined;
	}

	const newest = new Set(revisionsOf(set.spec.template, history.all).map(hashOf));
	const places = await lookAround(set, newest, session);
	const plan = planDaemon(set, places.values());
	const done = await execute(set, plan, hashOf(history.update), session);

	const conditions = failureCondition(set.status?.conditions, now(), done.failure);
	const status = daemonStatus(set, places.values(), conditions);
	if (!sameJson(status, set.status)) await client.update(DaemonSet, { ...set, status }, { subresource: 'status' });
	if (history.all.length > 1) {
		const used = new Set([hashOf(history.update), ...[...places.values()].flatMap(({ revisions }) => [...revisions])]);
		await forget(set, history, (revision) => used.has(hashOf(revision)), session);
	}
	if (done.failure) throw new Error(`${done.failure.reason}: ${done.failure.message}`);
	const ripening = [...places.values()].flatMap(({ ripensAt }) => (ripensAt === undefined ? [] : [ripensAt - now()]));
	const waits = [...done.waits, ...ripening];
	return waits.length > 0 ? { after: Math.max(0, Math.min(...waits)) } : undefined;
}

const none = { currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0 };

/** The set's nodes and pods as they are now. Pods that the set's selector does not choose any more are let go. */
async function lookAround(
	set: DaemonSet,
	newest: ReadonlySet<string>,
	session: Session,
): Promise<ReadonlyMap<string, Place>> {
	const { cache, client, known, now } = session;
	const { uid = '', generation } = set.metadata;
	const nodes = cache.informer(Node);
	const pods = cache.informer(Pod);
	const basis = `${generation} ${[...newest].sort().join(' ')}`;
	let state = known.get(uid);
	if (state?.basis !== basis) {
		const changed = new Set<string>();
		for (const { metadata } of nodes.list()) changed.add(metadata.name);
		for (const pod of pods.by('owner', uid)) changed.add(nodeOf(pod));
		state = { key: keyOf(set), basis, places: new Map(), changed };
		known.set(uid, state);
	}
	const { places, changed } = state;
	for (const { node, ripensAt } of places.values()) if (ripensAt !== undefined && ripensAt <= now()) changed.add(node);
	// Pods that are for no node in particular are not the set's to move.
	changed.delete('');
	const suits = fitOf(set);
	const released: Promise<void>[] = [];
	for (const name of changed) {
		const own: Pod[] = [];
		for (const pod of pods.by(PLACES, `${uid}/${name}`))
			if (selects(set.spec.selector, pod.metadata.labels)) own.push(pod);
			else released.push(release(client, set, Pod, pod));
		const node = nodes.get(name);
		if (!node && own.length === 0) places.delete(name);
		else places.set(name, judge(set, name, node && suits(node), own, newest, now()));
	}
	changed.clear();
	try {
		await Promise.all(released);
	} catch (error) {
		known.delete(uid);
		throw error;
	}
	return places;
}

interface Done {
	/** In how many ms a pod that has failed may be made anew. */
	readonly waits: readonly number[];
	readonly failure?: ReplicaFailure;
}

async function execute(set: DaemonSet, plan: DaemonPlan, hash: string, session: Session): Promise<Done> {
	const { client, events, failed } = session;
	const waits: number[] = [];
	const creations = plan.create.map((node) => async () => {
		const pod = daemonPod(set, node, hash);
		try {
			await client.create(Pod, pod);
		} catch (error) {
			// The answer was lost, or the cache is late: it is there.
			if (isAlreadyThere(error) && controllerOf(await client.get(Pod, pod.metadata))?.uid === set.metadata.uid) return;
			throw error;
		}
		events.event(set, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
	});
	const deletions = plan.delete.map(({ pod, reason }) => async () => {
		const { name, uid } = pod.metadata;
		const wait = reason === 'failed' ? failed.wait(`${set.metadata.uid}/${nodeOf(pod)}`, uid ?? '') : 0;
		if (wait > 0) {
			waits.push(wait);
			return;
		}
		tellOf(set, pod, reason, session);
		try {
			await client.delete(Pod, pod.metadata, { preconditions: { uid } });
		} catch (error) {
			if (isNotFound(error) || isConflict(error)) return;
			throw error;
		}
		events.event(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
	});

	// First what goes: an update that adds pods before it takes others away never has more of them than it may.
	const kept = (await allAtOnce(deletions)).map(messageOf);
	for (const message of kept) events.event(set, 'Warning', 'FailedDelete', `Error deleting: ${message}`);
	const refused = (await slowStart(creations)).filter((error) => !isTerminating(error)).map(messageOf);
	for (const message of refused) events.event(set, 'Warning', 'FailedCreate', `Error creating: ${message}`);
	const [message] = [...refused, ...kept];
	if (message === undefined) return { waits };
	return { waits, failure: { reason: refused.length > 0 ? 'FailedCreate' : 'FailedDelete', message } };
}

/** Why a pod goes that has ended by itself. */
function tellOf(set: DaemonSet, pod: Pod, reason: Reason, { events }: Context): void {
	const which = `daemon pod ${keyOf(pod)} on node ${nodeOf(pod)}`;
	if (reason === 'failed')
		events.event(set, 'Warning', 'FailedDaemonPod', `Found failed ${which}, will try to kill it`);
	if (reason === 'ended')
		events.event(set, 'Normal', 'SucceededDaemonPod', `Found succeeded ${which}, will try to delete it`);
}

async function adoptPods(set: DaemonSet, { cache, client }: Context): Promise<void> {
	const orphans = cache.informer(Pod).by(ORPHANS, set.metadata.namespace ?? '');
	const claimed = claim(set, set.spec.selector, orphans);
	await Promise.all(claimed.adopt.map((pod) => adopt(client, DaemonSet, set, Pod, pod)));
}

function* selecting(pod: Pod, cache: Context['cache']): Iterable<string> {
	for (const set of cache.informer(DaemonSet).by('namespace', pod.metadata.namespace ?? ''))
		if (selects(set.spec.selector, pod.metadata.labels)) yield keyOf(set);
}
