/** What the kinds that make pods from a template have in common. */
import type * as core from 'kubernetes-types/core/v1.js';
import { checkLabelSelector, checkNonNegative } from '../checks.ts';
import { podWarnings } from '../core/pod-warnings.ts';
import { wide } from '../declare.ts';
import { deepEqual } from '../equal.ts';
import type { Column } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import { formatLabelSelector, type LabelSelector, selectorPredicate } from '../selectors.ts';
import { type FieldError, fieldError } from '../status.ts';

type WithTemplate = KubeObject & { readonly spec: { readonly template?: core.PodTemplateSpec } };
type Workload = WithTemplate & { readonly spec: { readonly selector?: LabelSelector } };

/** `Containers`, `Images` and `Selector`, which kubectl shows of every such kind with -o wide. */
export function workloadColumns<T extends Workload>(): readonly Column<T>[] {
	return [
		...containerColumns<T>(),
		wide('Selector', 'string', 'Which pods belong to the object.', ({ spec: { selector } }) =>
			selector ? formatLabelSelector(selector) || '<none>' : '<none>',
		),
	];
}

/** What a pod of the template consists of. */
export function containerColumns<T extends WithTemplate>(): readonly Column<T>[] {
	const containers = (object: T) => object.spec.template?.spec?.containers ?? [];
	return [
		wide('Containers', 'string', 'Names of the containers of a pod.', (object) =>
			containers(object)
				.map(({ name }) => name)
				.join(','),
		),
		wide('Images', 'string', 'Images of the containers of a pod.', (object) =>
			containers(object)
				.map(({ image }) => image ?? '')
				.join(','),
		),
	];
}

/** The selector of a workload: present, not empty, matching its own template, and never changed. `kind` as in messages: `deployment`. */
export function validateSelector(
	object: Workload,
	old: Workload | undefined,
	kind: string,
	errors: FieldError[],
): void {
	const { selector, template } = object.spec;
	if (!selector) errors.push(fieldError.required('spec.selector'));
	else {
		const before = errors.length;
		checkLabelSelector(selector, 'spec.selector', errors);
		const empty = Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions?.length ?? 0) === 0;
		if (empty) errors.push(fieldError.invalid('spec.selector', selector, `empty selector is invalid for ${kind}`));
		const labels = template?.metadata?.labels;
		if (!empty && errors.length === before && !selectorPredicate(selector)(labels))
			errors.push(
				fieldError.invalid(
					'spec.template.metadata.labels',
					labels ?? {},
					'`selector` does not match template `labels`',
				),
			);
	}
	if (old && !deepEqual(selector, old.spec.selector))
		errors.push(fieldError.invalid('spec.selector', selector ?? null, 'field is immutable'));
}

/** Of the template, where it is new or the object's intent has changed: a new status is nobody's mistake. */
export function templateWarnings(object: WithTemplate, old: WithTemplate | undefined): readonly string[] {
	if (old && object.metadata.generation === old.metadata.generation) return [];
	return podWarnings(object.spec.template ?? {}, 'spec.template.');
}

/**
 * The counts of a status that is written: none below zero, and none of a part above that of the whole. Source: Kubernetes'
 * validation of the status of Deployments and ReplicaSets.
 */
export function validateReplicaCounts<Status extends object>(
	status: Status | undefined,
	stored: Status | undefined,
	parts: readonly (keyof Status & string)[],
	errors: FieldError[],
): void {
	// Writes of the main resource keep it: whatever was stored before does not hold them up.
	if (!status || deepEqual(status, stored)) return;
	const counts = status as Readonly<Record<string, number | undefined>>;
	const total = counts.replicas ?? 0;
	for (const field of ['observedGeneration', 'replicas', 'unavailableReplicas', 'collisionCount', ...parts])
		checkNonNegative(counts[field], `status.${field}`, errors);
	for (const field of parts) {
		const count = counts[field] ?? 0;
		if (count > total)
			errors.push(fieldError.invalid(`status.${field}`, count, 'cannot be greater than status.replicas'));
	}
	const { readyReplicas: ready = 0, availableReplicas: available = 0 } = counts;
	if (available > ready)
		errors.push(fieldError.invalid('status.availableReplicas', available, 'cannot be greater than readyReplicas'));
}

/** Whether a number of pods, or a percentage of them, is none. */
export const isZero = (value: number | string | undefined) => Number.parseInt(String(value), 10) === 0;
