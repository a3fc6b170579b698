/**
 * Eviction: a delete that asks first. The budget that protects the pod is spent in the commit of the delete itself, so that of
 * evictions at once just as many are let through as it allows. Source: Kubernetes documentation, "API-initiated Eviction" and
 * "Specifying a Disruption Budget for your Application".
 */
import type { Pod } from '../../kinds/core/pod.ts';
import { type Dynamic, keyOf } from '../../kinds/object.ts';
import { PodDisruptionBudget } from '../../kinds/policy/pod-disruption-budget.ts';
import { selectorPredicate } from '../../kinds/selectors.ts';
import { ApiError, badRequest, forbidden, notFound, tooManyRequests } from '../../kinds/status.ts';
import type { Caller, Stored, Target, WriteOptions } from '../api.ts';
import { isObject } from '../json.ts';
import { storageKey } from '../storage.ts';
import { admitAction, success } from './actions.ts';
import { type Beside, objectBeside } from './beside.ts';
import { placeOf, readStored } from './commit.ts';
import { type Context, timestamp } from './context.ts';
import { remove } from './delete.ts';
import { readDeleteOptions } from './options.ts';
import { untyped } from './read.ts';

/** Evictions that a budget's controller may not have seen yet. Source: MaxDisruptedPodSize of kube-apiserver. */
const MOST_DISRUPTED = 2000;
/** In seconds. */
const STILL_PROCESSED_RETRY = 10;
const VIOLATED = "Cannot evict pod as it would violate the pod's disruption budget.";

/** Deletes a pod on behalf of a drain. policy/v1 Eviction carries the delete options. Throws 429 where a budget does not allow it. */
export async function evict(
	context: Context,
	target: Target,
	body: unknown,
	options: WriteOptions,
	caller: Caller,
): Promise<Stored> {
	if (!isObject(body)) throw badRequest('the body is no Eviction: it must be a JSON object');
	const metadata = isObject(body.metadata) ? body.metadata : {};
	if (metadata.name && metadata.name !== target.name)
		throw badRequest(`name in URL does not match name in Eviction object`);
	const given = readDeleteOptions(body.deleteOptions ?? {});
	const how = { ...given, dryRun: given.dryRun || options.dryRun };
	if (untyped(target.kind).plural !== 'pods') throw notFound(target.kind, target.name);
	await admitAction(context, target, 'eviction', body, options, caller);
	await remove(context, { ...target, subresource: undefined }, how, caller, {
		async beside(current) {
			const pod = current.object as Pod;
			const budget = isProtected(pod) ? budgetOf(context, pod) : undefined;
			if (!budget) return [];
			if (!how.dryRun) return [spending(context, budget, pod)];
			const newest = await readStored(context, placeOf(PodDisruptionBudget, budget.metadata));
			if (newest) spend(newest.object as PodDisruptionBudget, pod);
			return [];
		},
		mark(pod) {
			if (!pod.metadata.deletionTimestamp) return;
			const status: Record<string, unknown> = isObject(pod.status) ? pod.status : {};
			const before: readonly unknown[] = Array.isArray(status.conditions) ? status.conditions : [];
			const others = before.filter((each) => !isObject(each) || each.type !== 'DisruptionTarget');
			pod.status = { ...status, conditions: [...others, evicted(context)] };
		},
	});
	return success(201);
}

const evicted = ({ now }: Context) => ({
	type: 'DisruptionTarget',
	status: 'True',
	reason: 'EvictionByEvictionAPI',
	message: 'Eviction API: evicting',
	lastTransitionTime: timestamp(now()),
});

/** A pod that has not begun, has ended or is on its way out serves nobody: no budget counts it. */
const isProtected = ({ metadata, status }: Pod) =>
	!metadata.deletionTimestamp &&
	status?.phase !== 'Pending' &&
	status?.phase !== 'Succeeded' &&
	status?.phase !== 'Failed';

/** The budget that protects the pod. Throws where there are two, whose common meaning is not defined. */
function budgetOf({ cache }: Context, { metadata }: Pod): PodDisruptionBudget | undefined {
	const all = cache.of(PodDisruptionBudget).list(metadata.namespace);
	const found = all
		.map(({ object }) => object as PodDisruptionBudget)
		.filter(({ spec }) => selectorPredicate(spec?.selector)(metadata.labels));
	if (found.length > 1)
		throw new ApiError(
			500,
			'InternalError',
			'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
		);
	return found[0];
}

/** The budget after the eviction of the pod, as it is at the commit. */
const spending = (context: Context, budget: PodDisruptionBudget, pod: Pod): Beside =>
	objectBeside<PodDisruptionBudget>(context, storageKey(PodDisruptionBudget, keyOf(budget)), (newest) => {
		if (spend(newest, pod) === 'free') return false;
		const { status } = newest;
		const left = (status?.disruptionsAllowed ?? 0) - 1;
		const disruptedPods = { ...status?.disruptedPods, [pod.metadata.name]: timestamp(context.now()) };
		Object.assign(newest, { status: { ...status, disruptionsAllowed: left, disruptedPods } });
		if (left === 0) exhausted(newest, timestamp(context.now()));
		return true;
	});

/** Whether an eviction costs the budget something. Throws where it has nothing left. */
function spend(budget: PodDisruptionBudget, pod: Pod): 'free' | 'one' {
	const { metadata, spec, status } = budget;
	const { name } = metadata;
	const { currentHealthy = 0, desiredHealthy = 0, disruptionsAllowed = 0, disruptedPods = {} } = status ?? {};
	const ready = pod.status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True');
	// A pod that is not ready is missing already.
	if (!ready && spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return 'free';
	if (!ready && currentHealthy >= desiredHealthy && desiredHealthy > 0) return 'free';
	const refuse = (message: string, retry: number) =>
		tooManyRequests(VIOLATED, retry, [{ reason: 'DisruptionBudget', message }]);
	if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0))
		throw refuse(`The disruption budget ${name} is still being processed by the server.`, STILL_PROCESSED_RETRY);
	const resource = { group: '', plural: 'poddisruptionbudget' };
	if (disruptionsAllowed < 0) throw forbidden(resource, name, 'pdb disruptions allowed is negative');
	if (Object.keys(disruptedPods).length > MOST_DISRUPTED)
		throw forbidden(resource, name, 'DisruptedPods map too big - too many evictions not confirmed by PDB controller');
	if (disruptionsAllowed === 0)
		throw refuse(
			`The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`,
			0,
		);
	return 'one';
}

/** The budget says that it allows nothing more. */
function exhausted(budget: PodDisruptionBudget, lastTransitionTime: string): void {
	const conditions = (budget.status?.conditions ?? []).filter(({ type }) => type !== 'DisruptionAllowed');
	const said = {
		type: 'DisruptionAllowed',
		status: 'False',
		reason: 'InsufficientPods',
		message: '',
		observedGeneration: budget.status?.observedGeneration,
		lastTransitionTime,
	};
	Object.assign(budget, {
		status: { ...budget.status, conditions: [...conditions, said] } satisfies Dynamic['status'],
	});
}
