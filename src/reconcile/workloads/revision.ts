/**
 * The history of a Deployment, which is its ReplicaSets: each carries the number of the revision it was made or last used for,
 * and `kubectl rollout history` and `undo` read it there. Source: Kubernetes documentation, "Deployments", sections
 * "Checking Rollout History" and "Clean up Policy".
 */
import { type Deployment, type ReplicaSet, SCALE_DOWN } from '../../kinds/index.ts';
import { replicasOf } from './rollout.ts';

export const REVISION = 'deployment.kubernetes.io/revision';
/** Earlier revisions of a set that was rolled back to, separated by commas. */
export const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';

/** The history of a set is cut at its old end beyond so many characters. */
const HISTORY_LENGTH = 2000;

/** Annotations of the Deployment that say nothing about its sets. */
const OWN_ANNOTATIONS = new Set([
	'kubectl.kubernetes.io/last-applied-configuration',
	REVISION,
	REVISION_HISTORY,
	'deployment.kubernetes.io/desired-replicas',
	'deployment.kubernetes.io/max-replicas',
	'deprecated.deployment.rollback.to',
	// Handed to the sets as a field.
	SCALE_DOWN,
]);

/** Revisions have 64 bits in Kubernetes: sets that come from elsewhere may have numbers that a `number` does not hold. */
export const revisionOf = (object: {
	readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
}) => {
	const text = object.metadata.annotations?.[REVISION];
	return text && /^\d+$/.test(text) ? BigInt(text) : 0n;
};

/** The number of the revision that the present template is: one more than those of all other sets. */
export const nextRevision = (old: readonly ReplicaSet[]) => (old.map(revisionOf).sort(compare).at(-1) ?? 0n) + 1n;

/**
 * The annotations of the set of the present template: those of the Deployment (change cause and the like), and its revision;
 * when it had a lower one, it was rolled back to, and the lower one joins its history.
 */
export function revisionAnnotations(
	deployment: Deployment,
	set: Pick<ReplicaSet, 'metadata'>,
	revision: bigint,
): Record<string, string> {
	const annotations = { ...set.metadata.annotations };
	for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {}))
		if (!OWN_ANNOTATIONS.has(key)) annotations[key] = value;
	const before = revisionOf(set);
	if (before < revision) {
		annotations[REVISION] = `${revision}`;
		if (before > 0n) annotations[REVISION_HISTORY] = withRevision(annotations[REVISION_HISTORY], before);
	}
	return annotations;
}

/** The old sets beyond revisionHistoryLimit, oldest revision first; a set that has pods, or may have, stays. */
export function superfluous(deployment: Deployment, old: readonly ReplicaSet[]): readonly ReplicaSet[] {
	const limit = deployment.spec.revisionHistoryLimit;
	if (limit === undefined) return [];
	const alive = old
		.filter((set) => !set.metadata.deletionTimestamp)
		.sort((a, b) => compare(revisionOf(a), revisionOf(b)));
	return alive.slice(0, Math.max(0, alive.length - limit)).filter(isEmpty);
}

const isEmpty = (set: ReplicaSet) =>
	replicasOf(set) === 0 &&
	(set.status?.replicas ?? 0) === 0 &&
	(set.status?.observedGeneration ?? 0) >= (set.metadata.generation ?? 0);

const compare = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);

function withRevision(history: string | undefined, revision: bigint): string {
	const revisions = history ? history.split(',') : [];
	revisions.push(`${revision}`);
	while (revisions.length > 1 && revisions.join(',').length > HISTORY_LENGTH) revisions.shift();
	return revisions.join(',');
}
