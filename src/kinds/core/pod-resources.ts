/** Resources that are said of a pod as a whole. Source: Kubernetes documentation, "Assign Pod-level CPU and memory resources". */
import type * as core from 'kubernetes-types/core/v1.js';
import { checkQuantities } from '../checks.ts';
import { canonicalQuantity, compareQuantities, isQuantity, quantity } from '../quantity.ts';
import { type FieldError, fieldError } from '../status.ts';

/** A spec that may have resources of its own, which the published types do not know yet. */
type Spec = core.PodSpec & { resources?: core.ResourceRequirements };

/** What is said of the pod itself, beside its containers. */
export const podLevel = (spec: core.PodSpec): core.ResourceRequirements | undefined => (spec as Spec).resources;

const isSupported = (resource: string) => ['cpu', 'memory'].includes(resource) || resource.startsWith('hugepages-');

/** What is asked by the containers and sidecars together, as a quantity; undefined where none asks. Init containers count by the largest. */
function askedByContainers(spec: core.PodSpec, resource: string): string | undefined {
	const amount = ({ resources }: core.Container) => {
		const text = resources?.requests?.[resource];
		return text !== undefined && isQuantity(text) ? text : undefined;
	};
	const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
	const given = [...(spec.containers ?? []), ...sidecars].map(amount).filter((one) => one !== undefined);
	if (given.length === 0) return undefined;
	// In thousandths, so that parts of a core add up.
	const thousandths = given.reduce((sum, text) => sum + Math.round(quantity(text) * 1000), 0);
	return canonicalQuantity(resource === 'cpu' ? `${thousandths}m` : String(Math.ceil(thousandths / 1000)));
}

/** A pod with resources of its own and a limit without a request asks for what its containers ask, else for the limit. */
export function defaultPodLevel(spec: core.PodSpec): void {
	const resources = podLevel(spec);
	if (!resources) return;
	for (const list of [resources.limits, resources.requests])
		for (const [resource, amount] of Object.entries(list ?? {}))
			if (list && isQuantity(amount)) list[resource] = canonicalQuantity(amount);
	const requests = { ...resources.requests };
	for (const [resource, limit] of Object.entries(resources.limits ?? {}))
		if (isSupported(resource)) requests[resource] ??= askedByContainers(spec, resource) ?? limit;
	if (Object.keys(requests).length > 0) resources.requests = requests;
}

export function validatePodLevel(spec: core.PodSpec, path: string, errors: FieldError[]): void {
	const resources = podLevel(spec);
	if (!resources) return;
	const { limits, requests } = resources;
	for (const [name, list] of [
		['limits', limits],
		['requests', requests],
	] as const) {
		checkQuantities(list, `${path}.${name}`, errors);
		for (const resource of Object.keys(list ?? {}))
			if (!isSupported(resource))
				errors.push(fieldError.notSupported(`${path}.${name}.${resource}`, resource, ['cpu', 'hugepages-', 'memory']));
	}
	for (const [resource, request] of Object.entries(requests ?? {})) {
		const limit = limits?.[resource];
		if (!isQuantity(request)) continue;
		if (limit !== undefined && isQuantity(limit) && compareQuantities(request, limit) > 0)
			errors.push(
				fieldError.invalid(`${path}.requests`, request, `must be less than or equal to ${resource} limit of ${limit}`),
			);
		const asked = askedByContainers(spec, resource);
		if (asked !== undefined && compareQuantities(asked, request) > 0)
			errors.push(
				fieldError.invalid(
					`${path}.requests[${resource}]`,
					request,
					`must be greater than or equal to aggregate container requests of ${asked}`,
				),
			);
	}
	for (const [resource, limit] of Object.entries(limits ?? {}))
		for (const [index, container] of (spec.containers ?? []).entries()) {
			const own = container.resources?.limits?.[resource];
			if (own === undefined || !isQuantity(own) || !isQuantity(limit) || compareQuantities(own, limit) <= 0) continue;
			const at = `${path.replace(/\.resources$/, '')}.containers[${index}].resources.limits[${resource}]`;
			errors.push(fieldError.invalid(at, own, `must be less than or equal to pod limits of ${limit}`));
		}
}
