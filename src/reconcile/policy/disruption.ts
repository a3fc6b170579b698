/** The disruption controller: tells of each budget how many of its pods may go. Evictions spend it: see the API's own verb. */
import {
	type KubeObject,
	keyOf,
	type OwnerReference,
	Pod,
	PodDisruptionBudget,
	parseApiVersion,
	selectorPredicate,
	timestamp,
} from '../../kinds/index.ts';
import { patchCondition } from '../nodes/pod-condition.ts';
import { controllerOf } from '../runtime/claim.ts';
import { conditionOf } from '../runtime/conditions.ts';
import { type Context, controller, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { isNotFound, messageOf } from '../runtime/refusal.ts';
import { isFinished, isReady, timeOf } from '../workloads/pod-state.ts';
import { asksControllers, evaluate, unknown } from './budget.ts';

/** Pods come and go together: a budget goes through all of its own once for so many changes. */
const GATHER_MS = 50;

export const disruption = controller({
	name: 'disruption',
	component: 'controllermanager',
	watches: [
		watch(PodDisruptionBudget, (budget) => [keyOf(budget)]),
		watch(
			Pod,
			(pod, cache) =>
				[...cache.informer(PodDisruptionBudget).by('namespace', pod.metadata.namespace ?? '')]
					.filter((budget) => isOf(budget, pod))
					.map(keyOf),
			{
				gatherMs: GATHER_MS,
				part: (pod) => [
					pod.metadata.uid,
					pod.metadata.labels,
					pod.metadata.deletionTimestamp,
					isReady(pod),
					controllerOf(pod)?.uid,
				],
			},
		),
	],
	async reconcile(key, context) {
		const { cache, client, events, now } = context;
		const budget = cache.informer(PodDisruptionBudget).get(key);
		if (!budget || budget.metadata.deletionTimestamp) return undefined;
		const namespace = budget.metadata.namespace ?? '';
		const pods = [...cache.informer(Pod).by('namespace', namespace)].filter((pod) => isOf(budget, pod));
		if (pods.length === 0) events.event(budget, 'Normal', 'NoPods', 'No matching pods found');
		tellOfOthers(budget, pods, context);
		const write = async (status: PodDisruptionBudget['status']) => {
			if (sameJson(status, budget.status)) return;
			await client.update(PodDisruptionBudget, { ...budget, status }, { subresource: 'status' });
		};
		let expected = pods.length;
		if (asksControllers(budget))
			try {
				expected = await expectedPods(budget, pods, context);
			} catch (error) {
				const why = messageOf(error);
				events.event(
					budget,
					'Warning',
					'CalculateExpectedPodCountFailed',
					`Failed to calculate the number of expected pods: ${why}`,
				);
				await write(unknown(budget, why, now()));
				return undefined;
			}
		const { status, stayed, next } = evaluate(budget, pods, expected, now());
		for (const pod of stayed)
			events.event(
				pod,
				'Warning',
				'NotDeleted',
				`Pod was expected by PDB ${namespace}/${budget.metadata.name} to be deleted but it wasn't`,
			);
		await write(status);
		return next === undefined ? undefined : { after: next - now() };
	},
});

const isOf = ({ spec }: PodDisruptionBudget, { metadata }: Pod) => selectorPredicate(spec?.selector)(metadata.labels);

/** A pod with two budgets cannot be evicted: it is told so. */
function tellOfOthers(budget: PodDisruptionBudget, pods: readonly Pod[], { cache, events }: Context): void {
	const all = [...cache.informer(PodDisruptionBudget).by('namespace', budget.metadata.namespace ?? '')];
	if (all.length < 2) return;
	const { name, namespace } = budget.metadata;
	for (const pod of pods)
		if (all.some((other) => other.metadata.uid !== budget.metadata.uid && isOf(other, pod)))
			events.event(
				pod,
				'Warning',
				'MultiplePodDisruptionBudgets',
				`Pod "${namespace}"/"${pod.metadata.name}" matches multiple PodDisruptionBudgets.  Chose "${name}" arbitrarily.`,
			);
}

/** What the controllers of the pods want together. Throws where one has no scale, and so says nothing of it. */
async function expectedPods(budget: PodDisruptionBudget, pods: readonly Pod[], context: Context): Promise<number> {
	const references = new Map<string, readonly [OwnerReference, Pod]>();
	for (const pod of pods) {
		const reference = controllerOf(pod);
		if (reference) references.set(reference.uid, [reference, pod]);
	}
	if (pods.some((pod) => !controllerOf(pod)))
		context.events.event(
			budget,
			'Warning',
			'UnmanagedPods',
			'Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.',
		);
	const scales = await Promise.all(references.values().map(([reference, pod]) => scaleOf(reference, pod, context)));
	return new Map(scales).values().reduce((sum, each) => sum + each, 0);
}

/** Who decides how many there are, and how many that is: of a ReplicaSet that a Deployment has, the Deployment. */
async function scaleOf(
	reference: OwnerReference,
	pod: Pod,
	{ client }: Pick<Context, 'client'>,
): Promise<readonly [uid: string, scale: number]> {
	const { group } = parseApiVersion(reference.apiVersion);
	const kind = client.registry.of(reference.apiVersion, reference.kind);
	const path = kind?.subresources.scale?.spec;
	if (!kind || !path)
		throw new Error(
			`${reference.kind}.${group} of pod "${pod.metadata.name}" does not implement the scale subresource`,
		);
	let owner: KubeObject;
	try {
		owner = await client.get(kind, { namespace: pod.metadata.namespace, name: reference.name });
	} catch (error) {
		if (isNotFound(error)) throw new Error(`found no controllers for pod "${pod.metadata.name}"`);
		throw error;
	}
	if (owner.metadata.uid !== reference.uid) throw new Error(`found no controllers for pod "${pod.metadata.name}"`);
	const above = controllerOf(owner);
	if (group === 'apps' && reference.kind === 'ReplicaSet' && above?.kind === 'Deployment')
		return scaleOf(above, pod, { client });
	let scale: unknown = owner;
	for (const field of path.split('.').slice(1)) scale = (scale as Record<string, unknown> | undefined)?.[field];
	return [reference.uid, typeof scale === 'number' ? scale : 1];
}

/** A pod that is not on its way out after so long was not disrupted after all. Source: stalePodDisruptionTimeout. */
const STALE_MS = 2 * 60_000;

/** Takes back the word that a pod is to be disrupted, where it stays. */
export const staleDisruption = controller({
	name: 'stale-disruption',
	watches: [
		watch(Pod, (pod) => (isMarked(pod) ? [keyOf(pod)] : []), { part: (pod) => [pod.metadata.uid, isMarked(pod)] }),
	],
	async reconcile(key, { cache, client, now }) {
		const pod = cache.informer(Pod).get(key);
		if (!pod || !isMarked(pod)) return undefined;
		const since = timeOf(conditionOf(pod.status?.conditions, 'DisruptionTarget')?.lastTransitionTime) ?? 0;
		const left = since + STALE_MS - now();
		if (left > 0) return { after: left };
		await patchCondition(client, pod, {
			type: 'DisruptionTarget',
			status: 'False',
			reason: null,
			message: null,
			lastTransitionTime: timestamp(now()),
		});
		return undefined;
	},
});

const isMarked = (pod: Pod) =>
	!pod.metadata.deletionTimestamp &&
	!isFinished(pod) &&
	conditionOf(pod.status?.conditions, 'DisruptionTarget')?.status === 'True';
