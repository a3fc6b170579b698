/** Why what an application wants does not work yet: what its objects made (replica sets, pods) says it for them. */
import type { Cache } from '../../client/index.ts';
import {
	compareQuantities,
	type Dynamic,
	Job,
	type Kind,
	keyOf,
	Pod,
	type PodDisruptionBudget,
	ReplicaSet,
	type ResourceQuota,
} from '../../kinds/index.ts';
import { claimTroubleOf, controllerOf } from '../../reconcile/index.ts';
import { idOf } from '../want/desired.ts';

/** What keeps a pod from working, in one line; undefined where nothing does, or where it only takes its time. */
export function podTrouble(pod: Pod): string | undefined {
	const health = Pod.health(pod);
	if (health?.status === 'Degraded') return oneLine(health.message);
	return unplaced(pod);
}

/** Why a pod has no node, or none of its volumes there. */
function unplaced({ status }: Pod): string | undefined {
	const unmet = (wanted: string) =>
		status?.conditions?.find(({ type, status: is }) => type === wanted && is === 'False')?.message;
	return oneLine(unmet('PodScheduled') ?? unmet('PodReadyToStartContainers'));
}

const oneLine = (text: string | undefined) => text?.replace(/\s*\n\s*/g, ' ').trim() || undefined;

/** The trouble of one of the pods that an object has made, or of the object or replica set that could not make them; of a pod, why it has no node. */
export function troubleBelow(object: Dynamic, cache: Cache): string | undefined {
	// The rest of what a pod has to say is its health.
	const itself = object.kind === 'Pod' ? cache.informer(Pod).get(keyOf(object)) : undefined;
	if (itself) return unplaced(itself);
	if (object.kind === 'PersistentVolumeClaim') return oneLine(claimTroubleOf(object, cache));
	const own = failureOf((object as { readonly status?: WithConditions }).status);
	const sets = [...cache.informer(ReplicaSet).by('owner', object.metadata.uid ?? '')];
	for (const { metadata, status } of sets) {
		const failure = failureOf(status);
		if (failure) return oneLine(`replicaset ${metadata.name}: ${failure}`);
	}
	if (own) return own;
	const jobs = cache.informer(Job).by('owner', object.metadata.uid ?? '');
	const pods = [object, ...sets, ...jobs].flatMap(({ metadata }) => [
		...cache.informer(Pod).by('owner', metadata.uid ?? ''),
	]);
	// Always the same one, while it is there.
	for (const pod of pods.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
		const trouble = podTrouble(pod);
		if (trouble) return `pod ${pod.metadata.name}: ${trouble}`;
	}
	return undefined;
}

/** What a policy that is as it should be cannot do all the same: a budget that lets nobody go, a quota that is exceeded. */
export function policyTrouble(object: Dynamic): string | undefined {
	if (object.apiVersion === 'policy/v1' && object.kind === 'PodDisruptionBudget') {
		const { expectedPods = 0, desiredHealthy = 0 } = (object as unknown as PodDisruptionBudget).status ?? {};
		if (expectedPods === 0 || desiredHealthy < expectedPods) return undefined;
		return `no pod may be evicted: it wants ${desiredHealthy} of ${expectedPods} pods healthy`;
	}
	if (object.apiVersion !== 'v1' || object.kind !== 'ResourceQuota') return undefined;
	const { hard = {}, used = {} } = (object as unknown as ResourceQuota).status ?? {};
	const over = Object.keys(hard).filter((name) => compareQuantities(used[name] ?? '0', hard[name] ?? '0') > 0);
	if (over.length === 0) return undefined;
	return `more is used than it allows: ${over.map((name) => `${name} ${used[name]} of ${hard[name]}`).join(', ')}`;
}

interface WithConditions {
	readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
}

/** Why a workload cannot make its pods. */
function failureOf(status: WithConditions | undefined): string | undefined {
	const failure = status?.conditions?.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True');
	return oneLine(failure?.message);
}

/** The ids of the objects that made a pod, and what made those. */
export function makersOf(pod: Pod, cache: Cache): string[] {
	const ids: string[] = [];
	const { namespace } = pod.metadata;
	let maker = controllerOf(pod);
	while (maker && ids.length < MAX_MAKERS) {
		const { apiVersion, kind, name } = maker;
		ids.push(idOf({ apiVersion, kind, metadata: { name, namespace } }));
		const between = kind === 'ReplicaSet' ? ReplicaSet : kind === 'Job' ? Job : undefined;
		const made =
			between && cache.informer<ReplicaSet | Job>(between as Kind<ReplicaSet | Job>).get(`${namespace}/${name}`);
		maker = made && controllerOf(made);
	}
	return ids;
}

/** Owners of owners; a circle of them must end. */
const MAX_MAKERS = 4;
