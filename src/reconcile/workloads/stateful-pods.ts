/**
 * The pods of a StatefulSet: what makes each of them itself. Names follow from ordinals, so that no ordinal is there twice.
 * Source: Kubernetes documentation, "StatefulSets", section "Pod Identity".
 */
import type { PodTemplateSpec } from 'kubernetes-types/core/v1.js';
import { type Pod, StatefulSet } from '../../kinds/index.ts';
import { controllerReference } from '../runtime/claim.ts';
import { REVISION_LABEL } from './history.ts';

const POD_NAME = 'statefulset.kubernetes.io/pod-name';
const POD_INDEX = 'apps.kubernetes.io/pod-index';

export const podName = (set: StatefulSet, ordinal: number) => `${set.metadata.name}-${ordinal}`;
export const claimName = (set: StatefulSet, template: string, ordinal: number) =>
	`${template}-${set.metadata.name}-${ordinal}`;

/** The ordinals that a set wants: from `start` on, `end` not included. */
export function ordinalsOf({ spec }: StatefulSet): { readonly start: number; readonly end: number } {
	const start = spec.ordinals?.start ?? 0;
	return { start, end: start + (spec.replicas ?? 1) };
}

/** The ordinal of a pod of the set's by its name; undefined where it has no such name. */
export function ordinalOf(set: StatefulSet, { metadata }: Pick<Pod, 'metadata'>): number | undefined {
	const prefix = `${set.metadata.name}-`;
	if (!metadata.name.startsWith(prefix)) return undefined;
	const text = metadata.name.slice(prefix.length);
	return /^(0|[1-9]\d{0,9})$/.test(text) ? Number(text) : undefined;
}

/** The pod of an ordinal, of the template of a revision. */
export function statefulPod(set: StatefulSet, ordinal: number, template: PodTemplateSpec, revision: string): Pod {
	const { metadata, spec } = template;
	const name = podName(set, ordinal);
	const claims = (set.spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata?.name ?? '');
	const others = spec?.volumes?.filter((volume) => !claims.includes(volume.name)) ?? [];
	const volumes = [
		...claims.map((claim) => ({
			name: claim,
			persistentVolumeClaim: { claimName: claimName(set, claim, ordinal) },
		})),
		...others,
	];
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			name,
			namespace: set.metadata.namespace,
			labels: { ...metadata?.labels, ...identityOf(set, ordinal), [REVISION_LABEL]: revision },
			annotations: metadata?.annotations,
			finalizers: metadata?.finalizers,
			ownerReferences: [controllerReference(StatefulSet, set)],
		},
		spec: {
			containers: [],
			...spec,
			hostname: name,
			subdomain: set.spec.serviceName || undefined,
			...(volumes.length > 0 && { volumes }),
		},
	};
}

/** The labels by which a pod is found. */
export const identityOf = (set: StatefulSet, ordinal: number): Readonly<Record<string, string>> => ({
	[POD_NAME]: podName(set, ordinal),
	[POD_INDEX]: `${ordinal}`,
});

/** The name of the revision that a pod is of. */
export const revisionOf = ({ metadata }: Pod) => metadata.labels?.[REVISION_LABEL] ?? '';
