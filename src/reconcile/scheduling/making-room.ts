/** Preemption carried out: whether a pod may take the place of others, what is said of it, and the leaving of its victims. */
import { Pod, PodDisruptionBudget, selectorPredicate, timestamp } from '../../kinds/index.ts';
import { patchCondition } from '../nodes/pod-condition.ts';
import type { Context } from '../runtime/controller.ts';
import { isConflict, isNotFound, unlessGone } from '../runtime/refusal.ts';
import { type Budget, type Preemption, preempt } from './preempt.ts';
import type { Refusal } from './schedule.ts';
import type { Snapshot } from './snapshot.ts';
import type { Wanted } from './wanted.ts';

const UNHELPFUL = 'Preemption is not helpful for scheduling';
const PREEMPTED = 'PreemptionByScheduler';

/** What becomes of a pod that fits nowhere. */
export interface Room {
	/** What is said of it behind why the pod fits nowhere. */
	readonly message: string;
	readonly preemption?: Preemption;
	/** The pod is nominated to no node (any more). */
	readonly denominated?: true;
}

/** Decides whether room is made for the pod, and where. */
export function makeRoom(
	wanted: Wanted,
	{ helpable = [] }: Refusal,
	snapshot: Snapshot,
	budgets: (namespace: string) => readonly Budget[],
	from: number,
): Room {
	const { pod } = wanted;
	const nominated = pod.status?.nominatedNodeName;
	if (pod.spec.preemptionPolicy === 'Never')
		return { message: ' preemption: not eligible due to preemptionPolicy=Never.' };
	const leaving = nominated ? snapshot.nodes.get(nominated)?.pods.values() : undefined;
	if (leaving?.some((other) => isLeavingFor(other, pod)))
		return { message: ' preemption: not eligible due to a terminating pod on the nominated node.' };
	const nodes = helpable.flatMap(({ name }) => snapshot.nodes.get(name) ?? []);
	const found = preempt(wanted, snapshot, nodes, budgets, from);
	if ('node' in found) return { message: '', preemption: found };
	const total = snapshot.order.length;
	if (total === 0) return { message: '' };
	const counts = [...found.reasons].map(([reason, count]) => `${count} ${reason}`);
	if (total > nodes.length) counts.push(`${total - nodes.length} ${UNHELPFUL}`);
	return {
		message: ` preemption: 0/${total} nodes are available: ${counts.sort().join(', ')}.`,
		...(nominated && { denominated: true }),
	};
}

/** Whether the pod is on its way out for the sake of another. */
const isLeavingFor = ({ metadata, spec, status }: Pod, other: Pod) =>
	metadata.deletionTimestamp !== undefined &&
	(spec.priority ?? 0) < (other.spec.priority ?? 0) &&
	status?.conditions?.some(({ type, reason }) => type === 'DisruptionTarget' && reason === PREEMPTED) === true;

/** What the budgets of a namespace allow, as the cache has them. */
export function budgetsIn({ cache }: Pick<Context, 'cache'>): (namespace: string) => readonly Budget[] {
	const known = new Map<string, readonly Budget[]>();
	return (namespace) => {
		const found =
			known.get(namespace) ?? Array.from(cache.informer(PodDisruptionBudget).by('namespace', namespace), budgetOf);
		known.set(namespace, found);
		return found;
	};
}

const budgetOf = ({ spec, status }: PodDisruptionBudget): Budget => ({
	allowed: status?.disruptionsAllowed ?? 0,
	disrupted: new Set(Object.keys(status?.disruptedPods ?? {})),
	matches: selectorPredicate(spec?.selector),
});

/**
 * Lets the victims go, each with its grace, and takes their nomination from less urgent pods that wait for the same room. Throws
 * what the API refuses with.
 */
export async function evictFor(
	pod: Pod,
	{ node, victims }: Preemption,
	snapshot: Snapshot,
	{ client, events, now }: Context,
	scheduler: string,
): Promise<void> {
	const { uid } = pod.metadata;
	for (const victim of victims) {
		await patchCondition(client, victim, {
			type: 'DisruptionTarget',
			status: 'True',
			reason: PREEMPTED,
			message: `${scheduler}: preempting to accommodate a higher priority pod`,
			lastTransitionTime: timestamp(now()),
		});
		try {
			await client.delete(Pod, victim.metadata, { preconditions: { uid: victim.metadata.uid } });
		} catch (error) {
			// It has gone by itself, or its name is another pod's.
			if (isNotFound(error) || isConflict(error)) continue;
			throw error;
		}
		events.event(victim, 'Normal', 'Preempted', `Preempted by pod ${uid} on node ${node}`);
	}
	for (const other of [...(snapshot.nodes.get(node)?.nominated.values() ?? [])]) {
		if (other.metadata.uid === uid || (other.spec.priority ?? 0) >= (pod.spec.priority ?? 0)) continue;
		const body = { metadata: { uid: other.metadata.uid }, status: { nominatedNodeName: null } };
		await unlessGone(client.patch(Pod, other.metadata, { type: 'strategic', body }, { subresource: 'status' }));
	}
}
