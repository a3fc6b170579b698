/** What a namespace that is being deleted says of the way it has gone. Source: the NamespaceCondition types of core/v1 and KEP-5080. */
import type { NamespaceCondition } from 'kubernetes-types/core/v1.js';
import { type Kind, type KubeObject, type Namespace, timestamp } from '../../kinds/index.ts';
import { sameJson } from '../runtime/equality.ts';

/**
 * The kinds in the order of their deletion, stage after stage: pods and what makes them first, then the rest, so that what
 * protects and feeds running pods (policies, secrets, services) outlives them. Source: KEP-5080.
 */
export function deletionStages(kinds: Iterable<Kind>): readonly (readonly Kind[])[] {
	const pods: Kind[] = [];
	const others: Kind[] = [];
	for (const kind of kinds) {
		if (!kind.namespaced) continue;
		const makesPods = kind.group === 'apps' || kind.group === 'batch' || (kind.group === '' && kind.kind === 'Pod');
		(makesPods ? pods : others).push(kind);
	}
	// Makers before pods, so that none is made again.
	pods.sort((one, other) => Number(one.kind === 'Pod') - Number(other.kind === 'Pod'));
	return [pods, others];
}

/** What is left in a namespace, and what could not be deleted. */
export interface Remains {
	readonly kind: Kind;
	readonly objects: readonly KubeObject[];
	readonly error?: Error;
}

const resource = ({ group, plural }: Kind) => (group ? `${plural}.${group}` : plural);

/** The namespace's conditions with those that say what is left, in the words of Kubernetes. */
export function remainsConditions(
	namespace: Namespace,
	remains: readonly Remains[],
	now: number,
): NamespaceCondition[] {
	const left = remains.filter(({ objects }) => objects.length > 0);
	const finalizers = new Map<string, number>();
	for (const { objects } of left) {
		for (const { metadata } of objects) {
			for (const finalizer of metadata.finalizers ?? [])
				finalizers.set(finalizer, (finalizers.get(finalizer) ?? 0) + 1);
		}
	}
	const failures = remains.flatMap(({ error }) => error?.message ?? []);
	const resources = left
		.map(({ kind, objects }) => `${resource(kind)} has ${objects.length} resource instances`)
		.sort();
	const held = [...finalizers].map(([finalizer, count]) => `${finalizer} in ${count} resource instances`).sort();
	const next: Pick<NamespaceCondition, 'type' | 'status' | 'reason' | 'message'>[] = [
		condition(
			'NamespaceDeletionDiscoveryFailure',
			false,
			'ResourcesDiscovered',
			'All resources successfully discovered',
		),
		condition(
			'NamespaceDeletionGroupVersionParsingFailure',
			false,
			'ParsedGroupVersions',
			'All legacy kube types successfully parsed',
		),
		failures.length > 0
			? condition(
					'NamespaceDeletionContentFailure',
					true,
					'ContentDeletionFailed',
					`Failed to delete all resource types, ${failures.length} remaining: ${failures.join(', ')}`,
				)
			: condition(
					'NamespaceDeletionContentFailure',
					false,
					'ContentDeleted',
					'All content successfully deleted, may be waiting on finalization',
				),
		resources.length > 0
			? condition(
					'NamespaceContentRemaining',
					true,
					'SomeResourcesRemain',
					`Some resources are remaining: ${resources.join(', ')}`,
				)
			: condition('NamespaceContentRemaining', false, 'ContentRemoved', 'All content successfully removed'),
		held.length > 0
			? condition(
					'NamespaceFinalizersRemaining',
					true,
					'SomeFinalizersRemain',
					`Some content in the namespace has finalizers remaining: ${held.join(', ')}`,
				)
			: condition(
					'NamespaceFinalizersRemaining',
					false,
					'ContentHasNoFinalizers',
					'All content-preserving finalizers finished',
				),
	];
	const before = namespace.status?.conditions ?? [];
	const ours = next.map((each) => {
		const old = before.find(({ type }) => type === each.type);
		const lastTransitionTime = old?.status === each.status ? old.lastTransitionTime : timestamp(now);
		return { ...each, lastTransitionTime };
	});
	return [...before.filter(({ type }) => !next.some((each) => each.type === type)), ...ours];
}

const condition = (type: string, status: boolean, reason: string, message: string) => ({
	type,
	status: status ? 'True' : 'False',
	reason,
	message,
});

/** Whether the namespace says all this already. */
export function saysAlready(namespace: Namespace, conditions: readonly NamespaceCondition[]): boolean {
	return sameJson(namespace.status?.conditions, conditions);
}
