/** The Deployment controller: one ReplicaSet a pod template, and pods moved from the old ones to the new. Source: Kubernetes documentation, "Deployments". */
import type { DeploymentCondition, DeploymentStatus } from 'kubernetes-types/apps/v1.js';
import { Deployment, keyOf, Pod, ReplicaSet, scaleDownOf } from '../../kinds/index.ts';
import { adopt, claim, controllerOf, controllerReference, release } from '../runtime/claim.ts';
import { conditionOf, withCondition } from '../runtime/conditions.ts';
import { type Again, type Context, controller, index, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { includes, selects, selectsEverything } from '../runtime/label-selector.ts';
import { isAlreadyThere, isTerminating, messageOf } from '../runtime/refusal.ts';
import {
	deadlineAfter,
	deploymentStatus,
	hasDeadline,
	isComplete,
	type Progress,
	pauseConditions,
	progressing,
} from './deployment-status.ts';
import { isFinished } from './pod-state.ts';
import { POD_TEMPLATE_HASH, podTemplateHash, sameTemplate } from './pod-template-hash.ts';
import { nextRevision, REVISION, revisionAnnotations, superfluous } from './revision.ts';
import {
	generations,
	initialReplicas,
	isScaling,
	replicasOf,
	rollOut,
	type Scale,
	sizeAnnotations,
} from './rollout.ts';

/** ReplicaSets that nobody controls, by namespace: they may be adopted. */
const ORPHANS = 'orphans';

export const deployment = controller<Deployment>({
	name: 'deployment',
	for: Deployment,
	owns: [ReplicaSet],
	watches: [
		watch(ReplicaSet, (set, cache) => (controllerOf(set) ? [] : selecting(set, cache))),
		// Recreation waits for the last old pod to be gone, which no ReplicaSet tells: their status leaves terminating pods out.
		watch(Pod, recreatedBy),
	],
	indexes: [index(ReplicaSet, ORPHANS, (set) => (controllerOf(set) ? [] : [set.metadata.namespace ?? '']))],
	async reconcile(key, context) {
		const target = context.cache.informer(Deployment).get(key);
		if (!target) return undefined;
		if (selectsEverything(target.spec.selector)) {
			context.events.event(
				target,
				'Warning',
				'SelectingAll',
				'This deployment is selecting all pods. A non-empty selector is required.',
			);
			return writeStatus(target, { ...target.status, observedGeneration: target.metadata.generation }, context);
		}
		const sets = await claimSets(target, context);
		if (target.metadata.deletionTimestamp) {
			const { current } = generations(target, sets);
			return writeStatus(target, deploymentStatus(target, current, sets, context.now(), false), context);
		}
		return roll(target, sets, context);
	},
});

/** One step: the set of the template and its revision, the sizes of the sets, the history, the status. */
async function roll(found: Deployment, sets: readonly ReplicaSet[], context: Context): Promise<Again | undefined> {
	const { cache, client, now } = context;
	const target = withConditions(found, pauseConditions(found, now()));
	const { current, old } = generations(target, sets);
	const resizing = target.spec.paused === true || isScaling(target, sets);
	const recreating = target.spec.strategy?.type === 'Recreate';
	const oldPods = recreating && old.some((set) => hasPods(set, cache));
	const mayCreate = !resizing && !(recreating && (oldPods || old.some((set) => replicasOf(set) > 0)));

	const step = current
		? await keepSet(target, current, old, context)
		: mayCreate
			? await createSet(target, old, context)
			: { target };
	if (!step) return undefined;
	const all = step.current ? [...old, step.current] : old;
	const sized = await scaleSets(step.target, all, rollOut(step.target, all, oldPods), resizing, context);

	const status = deploymentStatus(
		step.target,
		sized.find((set) => set.metadata.uid === step.current?.metadata.uid),
		sized,
		now(),
		!resizing,
	);
	if (target.spec.paused || isComplete(target, status))
		for (const set of superfluous(target, old))
			await client.delete(ReplicaSet, set.metadata, { preconditions: { uid: set.metadata.uid } });
	return writeStatus(step.target, status, context);
}

interface Step {
	readonly target: Deployment;
	readonly current?: ReplicaSet;
}

/** Keeps the annotations, minReadySeconds and order of scaling down of the template's set, and the revision of the Deployment. */
async function keepSet(
	found: Deployment,
	set: ReplicaSet,
	old: readonly ReplicaSet[],
	{ client, now }: Context,
): Promise<Step> {
	const annotations = revisionAnnotations(found, set, nextRevision(old));
	const { minReadySeconds } = found.spec;
	const update = scaleDownOf(found);
	const same =
		sameJson(annotations, set.metadata.annotations ?? {}) &&
		(set.spec.minReadySeconds ?? 0) === (minReadySeconds ?? 0) &&
		set.spec.update === update;
	const current = same
		? set
		: await client.update(ReplicaSet, {
				...set,
				metadata: { ...set.metadata, annotations },
				spec: { ...set.spec, minReadySeconds, update },
			});
	const target = await keepRevision(found, current, client);
	if (!hasDeadline(target) || conditionOf(target.status?.conditions, 'Progressing')) return { target, current };
	return {
		target: progress(target, 'FoundNewReplicaSet', `Found new replica set "${set.metadata.name}"`, now()),
		current,
	};
}

/** Makes the set of a new template. Undefined where that waits for another name, or makes no sense any more. */
async function createSet(found: Deployment, old: readonly ReplicaSet[], context: Context): Promise<Step | undefined> {
	const { client, events, now } = context;
	const set = setOf(found, old);
	const { name } = set.metadata;
	try {
		const current = await client.create(ReplicaSet, set);
		if (replicasOf(set) > 0)
			events.event(found, 'Normal', 'ScalingReplicaSet', `Scaled up replica set ${name} from 0 to ${replicasOf(set)}`);
		const target = await keepRevision(found, current, client);
		return { target: progress(target, 'NewReplicaSetCreated', `Created new replica set "${name}"`, now()), current };
	} catch (error) {
		if (isTerminating(error)) return undefined;
		if (isAlreadyThere(error)) return resolveCollision(found, set, old, context);
		const message = `Failed to create new replica set "${name}": ${messageOf(error)}`;
		events.event(found, 'Warning', 'ReplicaSetCreateError', message);
		const failed = progress(found, 'ReplicaSetCreateError', message, now());
		await writeStatus(found, deploymentStatus(failed, undefined, old, now(), false), context);
		throw error;
	}
}

/** The name is taken: by this very set, which the cache does not show yet, or by another, and then the hash must change. */
async function resolveCollision(
	target: Deployment,
	set: ReplicaSet,
	old: readonly ReplicaSet[],
	context: Context,
): Promise<Step | undefined> {
	const existing = await context.client.get(ReplicaSet, set.metadata);
	if (controllerOf(existing)?.uid === target.metadata.uid && sameTemplate(existing.spec.template, target.spec.template))
		return keepSet(target, existing, old, context);
	const collisionCount = (target.status?.collisionCount ?? 0) + 1;
	// The change of the status brings the Deployment back here.
	await writeStatus(target, { ...target.status, collisionCount }, context);
	return undefined;
}

/** The ReplicaSet of the Deployment's template, with as many pods as it may start with. */
function setOf(target: Deployment, old: readonly ReplicaSet[]): ReplicaSet {
	const { template, selector, minReadySeconds } = target.spec;
	const hash = { [POD_TEMPLATE_HASH]: podTemplateHash(template, target.status?.collisionCount) };
	const labels = { ...template.metadata?.labels, ...hash };
	const metadata = {
		name: `${target.metadata.name}-${hash[POD_TEMPLATE_HASH]}`,
		namespace: target.metadata.namespace,
		labels,
		ownerReferences: [controllerReference(Deployment, target)],
	};
	const annotations = {
		...revisionAnnotations(target, { metadata }, nextRevision(old)),
		...sizeAnnotations(target),
	};
	return {
		apiVersion: 'apps/v1',
		kind: 'ReplicaSet',
		metadata: { ...metadata, annotations },
		spec: {
			replicas: initialReplicas(target, old),
			minReadySeconds,
			update: scaleDownOf(target),
			selector: { ...selector, matchLabels: { ...selector.matchLabels, ...hash } },
			template: { ...template, metadata: { ...template.metadata, labels } },
		},
	};
}

/** Carries out the scales. While the Deployment is resized, sets whose size stays learn the new one as well, which ends the resizing. */
async function scaleSets(
	target: Deployment,
	sets: readonly ReplicaSet[],
	scales: readonly Scale[],
	resizing: boolean,
	{ client, events }: Context,
): Promise<ReplicaSet[]> {
	const sizes = sizeAnnotations(target);
	const done: ReplicaSet[] = [];
	for (const set of sets) {
		const scale = scales.find(({ replicaSet }) => replicaSet === set);
		const unaware = resizing && replicasOf(set) > 0 && !includes(sizes, set.metadata.annotations);
		if (!scale && !unaware) {
			done.push(set);
			continue;
		}
		const metadata = { ...set.metadata, annotations: { ...set.metadata.annotations, ...sizes } };
		const spec = { ...set.spec, replicas: scale?.to ?? replicasOf(set), update: scaleDownOf(target) };
		done.push(await client.update(ReplicaSet, { ...set, metadata, spec }));
		if (!scale) continue;
		const { from, to } = scale;
		const message = `Scaled ${to > from ? 'up' : 'down'} replica set ${set.metadata.name} from ${from} to ${to}`;
		events.event(target, 'Normal', 'ScalingReplicaSet', message);
	}
	return done;
}

/** The Deployment carries the revision of its present set. */
async function keepRevision(target: Deployment, set: ReplicaSet, client: Context['client']): Promise<Deployment> {
	const revision = set.metadata.annotations?.[REVISION];
	if (target.metadata.annotations?.[REVISION] === revision) return target;
	const body = { metadata: { annotations: { [REVISION]: revision } } };
	const patched = await client.patch(Deployment, target.metadata, { type: 'merge', body });
	return { ...patched, status: target.status };
}

async function writeStatus(target: Deployment, status: DeploymentStatus, context: Context) {
	const stored = context.cache.informer(Deployment).get(keyOf(target))?.status;
	if (!sameJson(status, stored))
		await context.client.update(Deployment, { ...target, status }, { subresource: 'status' });
	const after = deadlineAfter(target, status, context.now());
	return after === undefined ? undefined : { after };
}

const withConditions = (target: Deployment, conditions: readonly DeploymentCondition[] | undefined): Deployment =>
	conditions ? { ...target, status: { ...target.status, conditions: [...conditions] } } : target;

/** The Deployment with its Progressing condition set; the status is written at the end of the step. */
const progress = (target: Deployment, reason: Progress, message: string, now: number): Deployment =>
	hasDeadline(target)
		? withConditions(target, withCondition(target.status?.conditions, progressing(reason, message, now)))
		: target;

/** The Deployment's sets after adoption and release. */
async function claimSets(target: Deployment, { cache, client }: Context): Promise<ReplicaSet[]> {
	const informer = cache.informer(ReplicaSet);
	const around = [
		...informer.by('owner', target.metadata.uid ?? ''),
		...informer.by(ORPHANS, target.metadata.namespace ?? ''),
	];
	const claimed = claim(target, target.spec.selector, around);
	const adopted = await Promise.all(claimed.adopt.map((set) => adopt(client, Deployment, target, ReplicaSet, set)));
	await Promise.all(claimed.release.map((set) => release(client, target, ReplicaSet, set)));
	return [...claimed.owned, ...adopted];
}

/** Whether pods of the set run, or still terminate. */
function hasPods(set: ReplicaSet, cache: Context['cache']): boolean {
	for (const pod of cache.informer(Pod).by('owner', set.metadata.uid ?? '')) if (!isFinished(pod)) return true;
	return false;
}

function* selecting(set: ReplicaSet, cache: Context['cache']): Iterable<string> {
	for (const target of cache.informer(Deployment).by('namespace', set.metadata.namespace ?? ''))
		if (selects(target.spec.selector, set.metadata.labels)) yield keyOf(target);
}

/** The Deployment of a pod, if it recreates its pods. */
function recreatedBy(pod: Pod, cache: Context['cache']): string[] {
	const { namespace } = pod.metadata;
	const reference = controllerOf(pod);
	if (reference?.kind !== 'ReplicaSet') return [];
	const set = cache.informer(ReplicaSet).get(keyOf({ metadata: { namespace, name: reference.name } }));
	const owner = set && controllerOf(set);
	if (owner?.kind !== 'Deployment') return [];
	const key = keyOf({ metadata: { namespace, name: owner.name } });
	return cache.informer(Deployment).get(key)?.spec.strategy?.type === 'Recreate' ? [key] : [];
}
