/** One look at an autoscaler: reads its target and its metrics, changes the replicas, and tells of it. */
import { ApiError, HorizontalPodAutoscaler, keyOf, type Pod, splitKey, timestamp } from '../../kinds/index.ts';
import type { Context } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { selectedPods } from '../runtime/label-pairs.ts';
import { isConflict, messageOf } from '../runtime/refusal.ts';
import { changed, firstHistory, type History } from './behavior.ts';
import { type Condition, type Considered, type Decision, desiredReplicas, needsMetrics } from './desired-replicas.ts';
import { createReader, failureOf, type OtherMetrics } from './metrics.ts';
import { propose } from './proposal.ts';
import type { Selecting } from './selecting.ts';
import { type Status, withConditions } from './status.ts';
import { readTarget, type Target, writeReplicas } from './target.ts';
import { Unmeasured } from './unmeasured.ts';

/** What is remembered of one autoscaler while this server leads; what its status says is all that lasts. */
export interface Memory {
	/** Undefined before its first look. */
	history?: History;
	/** A change whose answer did not come. */
	unsure?: Rescale | undefined;
	/** When the last change was made, RFC 3339. */
	scaledAt?: string;
}

interface Rescale {
	readonly from: number;
	readonly to: number;
	readonly reason: string;
}

export interface Look {
	readonly autoscaler: HorizontalPodAutoscaler;
	readonly memory: Memory;
	readonly selecting: Selecting;
	readonly context: Context;
	readonly others: OtherMetrics | undefined;
}

/**
 * Whether the replicas could be decided on. Throws what may pass, to be tried again soon; what is as it is, is told in conditions
 * and events.
 */
export async function look(the: Look): Promise<boolean> {
	const { autoscaler, memory, context } = the;
	const { client, clock, events } = context;
	const { metadata, spec } = autoscaler;
	let target: Target;
	try {
		target = await readTarget(client, metadata.namespace ?? '', spec.scaleTargetRef);
	} catch (error) {
		if (mayPass(error)) throw error;
		const why = messageOf(error);
		events.event(autoscaler, 'Warning', 'FailedGetScale', why);
		const message = `the HPA controller was unable to get the target's current scale: ${why}`;
		await write(the, {}, [able('False', 'FailedGetScale', message)]);
		return false;
	}
	const found = able('True', 'SucceededGetScale', "the HPA controller was able to get the target's current scale");
	const currentReplicas = target.scale.spec.replicas;
	settle(the, currentReplicas);
	const now = clock.now();
	const history = memory.history ?? firstHistory(currentReplicas, now);
	const metrics = needsMetrics(spec, currentReplicas) ? await consider(the, target) : [];
	if ('type' in metrics) {
		memory.history = history;
		await write(the, { currentReplicas, currentMetrics: null }, [found, metrics]);
		return false;
	}
	const decision = desiredReplicas({ spec, current: currentReplicas, metrics, history, now });
	memory.history = decision.history;
	for (const each of metrics) if ('reason' in each) events.event(autoscaler, 'Warning', each.reason, each.message);
	if (decision.undecided && decision.fault)
		events.event(autoscaler, 'Warning', 'FailedComputeMetricsReplicas', decision.fault);

	const seen = { currentReplicas, currentMetrics: decision.seen.length > 0 ? [...decision.seen] : null };
	const conditions = [found, ...decision.conditions];
	const { replicas, undecided } = decision;
	const differs = !undecided && replicas !== currentReplicas;
	const refused = differs ? await rescale(the, target, decision) : undefined;
	if (refused) conditions.push(refused);
	else if (differs) conditions.push(rescaled(replicas));
	await write(the, { ...seen, ...(!undecided && !refused && { desiredReplicas: replicas }) }, conditions);
	return !undecided;
}

const able = (status: Condition['status'], reason: string, message: string): Condition => ({
	type: 'AbleToScale',
	status,
	reason,
	message,
});

const rescaled = (replicas: number) =>
	able('True', 'SucceededRescale', `the HPA controller was able to update the target scale to ${replicas}`);

/** What may be otherwise at once: it is tried again, and not told of. */
const mayPass = (error: unknown) =>
	!(error instanceof Error) || (error instanceof ApiError && (error.code >= 500 || error.code === 429));

/** What each metric asks for; a condition where it cannot be said which pods they are of. */
async function consider(the: Look, { scale }: Target): Promise<readonly Considered[] | Condition> {
	const { autoscaler, selecting, context, others } = the;
	const { cache, client, now } = context;
	const { namespace = '' } = autoscaler.metadata;
	const { selector } = scale.status;
	const problem = (event: string, reason: string, message: string, told = message): Condition => {
		context.events.event(autoscaler, 'Warning', event, message);
		context.events.event(autoscaler, 'Warning', 'FailedComputeMetricsReplicas', message);
		return { type: 'ScalingActive', status: 'False', reason, message: told };
	};
	if (!selector) {
		const told = "the HPA target's scale is missing a selector";
		return problem('SelectorRequired', 'InvalidSelector', 'selector is required', told);
	}
	let pods: readonly Pod[];
	try {
		pods = selectedPods(cache, namespace, selector);
		selecting.set(keyOf(autoscaler), namespace, selector);
	} catch (error) {
		const message = `couldn't convert selector into a corresponding internal selector object: ${messageOf(error)}`;
		return problem('InvalidSelector', 'InvalidSelector', message);
	}
	const all = selecting.of(pods);
	if (all.length > 1) {
		const names = all.map(splitKey).map((key) => `{${key.name} ${key.namespace}}`);
		const message = `pods by selector ${selector} are controlled by multiple HPAs: [${names.join(' ')}]`;
		return problem('AmbiguousSelector', 'AmbiguousSelector', message);
	}
	const read = createReader({ client, others, namespace, selector, pods });
	const scaled = { spec: scale.spec.replicas, status: scale.status.replicas, pods, now: now() };
	return Promise.all(
		(autoscaler.spec.metrics ?? []).map(async (metric): Promise<Considered> => {
			try {
				return { proposal: propose(metric, await read(metric), scaled) };
			} catch (error) {
				if (!(error instanceof Unmeasured)) throw error;
				return failureOf(metric, error.message);
			}
		}),
	);
}

/** Undefined where it was done, the condition where it was refused. */
async function rescale(the: Look, target: Target, decision: Decision): Promise<Condition | undefined> {
	const { autoscaler, memory, context } = the;
	const { replicas: to, reason } = decision;
	const change = { from: target.scale.spec.replicas, to, reason };
	try {
		await writeReplicas(context.client, target, to);
	} catch (error) {
		if (isConflict(error)) throw error;
		if (!(error instanceof ApiError) || mayPass(error)) {
			memory.unsure = change;
			throw error;
		}
		const text = `New size: ${to}; reason: ${reason}; error: ${error.message}`;
		context.events.event(autoscaler, 'Warning', 'FailedRescale', text);
		const message = `the HPA controller was unable to update the target scale: ${error.message}`;
		return able('False', 'FailedUpdateScale', message);
	}
	made(the, change);
	return undefined;
}

/** A change of which no answer came was made where the target is as it would have made it. */
function settle(the: Look, current: number): void {
	const { unsure } = the.memory;
	the.memory.unsure = undefined;
	if (unsure && unsure.to === current) made(the, unsure);
}

function made({ autoscaler, memory, context }: Look, change: Rescale): void {
	const { to, reason } = change;
	context.events.event(autoscaler, 'Normal', 'SuccessfulRescale', `New size: ${to}; reason: ${reason}`);
	const at = context.clock.now();
	const history = memory.history ?? firstHistory(change.from, at);
	memory.history = changed(history, autoscaler.spec.behavior, change, at);
	memory.scaledAt = timestamp(context.now());
}

async function write(
	{ autoscaler, memory, context }: Look,
	fields: Partial<Status>,
	conditions: readonly Condition[],
): Promise<void> {
	const before = autoscaler.status;
	const lastScaleTime = memory.scaledAt ?? before?.lastScaleTime;
	const status: Status = {
		currentReplicas: 0,
		desiredReplicas: 0,
		...before,
		...fields,
		...(lastScaleTime && { lastScaleTime }),
		conditions: withConditions(before?.conditions, conditions, timestamp(context.now())),
	};
	if (sameJson(status, before)) return;
	const next = { ...autoscaler, status } as HorizontalPodAutoscaler;
	await context.client.update(HorizontalPodAutoscaler, next, { subresource: 'status' });
}
