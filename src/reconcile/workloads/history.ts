/**
 * The history of StatefulSets and DaemonSets: a ControllerRevision for each template that they had, as `kubectl rollout history`
 * and `undo` read it. Pure decisions. Source: Kubernetes documentation, "StatefulSets" and "Perform a Rollback on a DaemonSet",
 * and the API reference of ControllerRevision.
 */
import type { PodTemplateSpec } from 'kubernetes-types/core/v1.js';
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import { ControllerRevision, type Kind, type KubeObject } from '../../kinds/index.ts';
import { controllerReference } from '../runtime/claim.ts';
import { podTemplateHash, sameTemplate } from './pod-template-hash.ts';

/** Which revision a pod is of: the name of a StatefulSet's, the hash of a DaemonSet's. */
export const REVISION_LABEL = 'controller-revision-hash';

/** A name of a revision is the value of a label, too: 63 characters, of which the hash takes eleven with its dash. */
const LONGEST_PREFIX = 52;

/** What kubectl keeps at an object for itself. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** A workload whose templates are remembered. */
export type Historied = KubeObject & {
	readonly spec: {
		readonly selector: LabelSelector;
		readonly template: PodTemplateSpec;
		readonly revisionHistoryLimit?: number;
	};
	readonly status?: { readonly collisionCount?: number };
};

/** The revision of the owner's present template. `number` is its place in the history. */
export function newRevision(kind: Kind, owner: Historied, number: number): ControllerRevision {
	const { template } = owner.spec;
	const { [LAST_APPLIED]: _, ...annotations } = owner.metadata.annotations ?? {};
	const hash = podTemplateHash(template, owner.status?.collisionCount);
	return {
		apiVersion: 'apps/v1',
		kind: ControllerRevision.kind,
		metadata: {
			name: `${owner.metadata.name.slice(0, LONGEST_PREFIX).replace(/[-.]+$/, '')}-${hash}`,
			namespace: owner.metadata.namespace,
			// kubectl finds them by the selector of the workload.
			labels: { ...template.metadata?.labels, [REVISION_LABEL]: hash },
			...(Object.keys(annotations).length > 0 && { annotations }),
			ownerReferences: [controllerReference(kind, owner)],
		},
		// A strategic merge patch: kubectl sends it as it is to bring the template back.
		data: { spec: { template: { ...template, $patch: 'replace' } } },
		revision: number,
	};
}

/** The template that a revision remembers; undefined where it holds something else. */
export function templateOf({ data }: ControllerRevision): PodTemplateSpec | undefined {
	const spec: unknown = isFields(data) ? data.spec : undefined;
	const template: unknown = isFields(spec) ? spec.template : undefined;
	if (!isFields(template)) return undefined;
	const { $patch: _, ...rest } = template;
	return rest;
}

export const hashOf = ({ metadata }: ControllerRevision) => metadata.labels?.[REVISION_LABEL] ?? '';

/** The oldest first. */
export const byNumber = (a: ControllerRevision, b: ControllerRevision) =>
	a.revision - b.revision || (a.metadata.name < b.metadata.name ? -1 : 1);

/** Those of a template: more than one where somebody has made another of the same content. Pods of any of them are pods of the template. */
export const revisionsOf = (template: PodTemplateSpec, revisions: readonly ControllerRevision[]) =>
	revisions.filter((revision) => sameTemplate(templateOf(revision), template));

export type NextRevision =
	/** It is there, and the newest. */
	| { readonly do: 'keep'; readonly revision: ControllerRevision }
	/** It was rolled back to: it becomes the newest. */
	| { readonly do: 'renumber'; readonly revision: ControllerRevision; readonly number: number }
	| { readonly do: 'create'; readonly number: number };

/** What makes the owner's present template the newest revision. */
export function nextRevision(template: PodTemplateSpec, revisions: readonly ControllerRevision[]): NextRevision {
	const ordered = revisions.toSorted(byNumber);
	const newest = ordered.at(-1);
	const same = revisionsOf(template, ordered).at(-1);
	const number = (newest?.revision ?? 0) + 1;
	if (!same) return { do: 'create', number };
	return same === newest ? { do: 'keep', revision: same } : { do: 'renumber', revision: same, number };
}

/** The revisions beyond the limit that nothing uses, oldest first. `live` says of a revision whether something does. */
export function superfluousRevisions(
	revisions: readonly ControllerRevision[],
	live: (revision: ControllerRevision) => boolean,
	limit: number,
): readonly ControllerRevision[] {
	const past = revisions
		.filter((revision) => !revision.metadata.deletionTimestamp && !live(revision))
		.toSorted(byNumber);
	return past.slice(0, Math.max(0, past.length - limit));
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
	typeof value === 'object' && value !== null && !Array.isArray(value);
