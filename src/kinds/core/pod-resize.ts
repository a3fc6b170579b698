/**
 * Resources of containers that change while they run. Source: Kubernetes documentation, "Resize CPU and Memory Resources assigned to
 * Containers", KEP-1287, and the API server's messages.
 */
import type * as core from 'kubernetes-types/core/v1.js';
import { deepEqual } from '../equal.ts';
import type { SubresourcePart } from '../kind.ts';
import { compareQuantities, isQuantity } from '../quantity.ts';
import { type FieldError, fieldError } from '../status.ts';
import { MIRROR_ANNOTATION } from './mirror-pod.ts';
import type { Pod } from './pod.ts';
import { qosClass } from './pod-qos.ts';
import { validatePodSpec } from './pod-validation.ts';
import { RESIZABLE, resizePolicyOf } from './resize-policy.ts';

const lists = ['containers', 'initContainers'] as const;

/** The subresource `resize`. */
export const resize = {
	take(pod: Pod, proposed: Pod) {
		for (const list of lists) {
			const wanted = new Map(proposed.spec?.[list]?.map((container) => [container.name, container]));
			for (const container of pod.spec[list] ?? []) {
				const { resources, resizePolicy } = wanted.get(container.name) ?? container;
				container.resources = resources;
				if (resizePolicy) container.resizePolicy = resizePolicy;
				else delete container.resizePolicy;
			}
		}
	},
	validate(pod: Pod, old: Pod): FieldError[] {
		const errors: FieldError[] = [];
		validatePodSpec(pod.spec, 'spec', errors);
		if (old.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined)
			errors.push(fieldError.forbidden('', 'static pods cannot be resized'));
		const quality = qosClass(pod.spec);
		if (quality !== qosClass(old.spec))
			errors.push(fieldError.invalid('spec', quality, 'Pod QOS Class may not change as a result of resizing'));
		for (const list of lists)
			for (const [index, container] of (pod.spec[list] ?? []).entries()) {
				const before = old.spec[list]?.[index];
				if (before) checkContainer(container, before, `spec.${list}[${index}]`, list, errors);
			}
		return errors;
	},
} satisfies SubresourcePart<Pod>;

function checkContainer(
	container: core.Container,
	before: core.Container,
	path: string,
	list: (typeof lists)[number],
	errors: FieldError[],
): void {
	const [now, then] = [container.resources ?? {}, before.resources ?? {}];
	if (deepEqual(now, then)) return;
	if (list === 'initContainers' && container.restartPolicy !== 'Always') {
		errors.push(fieldError.forbidden(`${path}.resources`, 'resources for non-sidecar init containers are immutable'));
		return;
	}
	const others = (amounts: Readonly<Record<string, string>> | undefined) =>
		Object.fromEntries(Object.entries(amounts ?? {}).filter(([name]) => !RESIZABLE.includes(name)));
	for (const field of ['requests', 'limits'] as const) {
		if (!deepEqual(others(now[field]), others(then[field])))
			errors.push(fieldError.forbidden(`${path}.resources.${field}`, 'only cpu and memory resources are mutable'));
		for (const resource of RESIZABLE)
			if (then[field]?.[resource] !== undefined && now[field]?.[resource] === undefined)
				errors.push(fieldError.forbidden(`${path}.resources.${field}`, `resource ${field} cannot be removed`));
	}
	const [limit, were] = [now.limits?.memory, then.limits?.memory];
	const lower = limit && were && isQuantity(limit) && isQuantity(were) && compareQuantities(limit, were) < 0;
	if (lower && resizePolicyOf(container, 'memory') !== 'RestartContainer')
		errors.push(
			fieldError.forbidden(
				`${path}.resources.limits`,
				'memory limits cannot be decreased unless resizePolicy is RestartContainer',
			),
		);
}
