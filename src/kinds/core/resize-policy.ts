/** What happens to a container whose resources change. Source: Kubernetes API reference, "ContainerResizePolicy". */
import type * as core from 'kubernetes-types/core/v1.js';
import { type FieldError, fieldError } from '../status.ts';

export const RESIZABLE: readonly string[] = ['cpu', 'memory'];

/** What becomes of a running container when the resource changes. */
export const resizePolicyOf = (container: core.Container, resource: string): string =>
	container.resizePolicy?.find(({ resourceName }) => resourceName === resource)?.restartPolicy ?? 'NotRequired';

/** Policies of what happens at a resize. `never`: the pod's containers are not restarted. */
export function validateResizePolicy(
	policies: readonly core.ContainerResizePolicy[] | undefined,
	path: string,
	never: boolean,
	errors: FieldError[],
): void {
	const names = new Set<string>();
	for (const [index, { resourceName, restartPolicy }] of (policies ?? []).entries()) {
		const at = `${path}[${index}]`;
		if (names.has(resourceName)) errors.push(fieldError.duplicate(at, resourceName));
		names.add(resourceName);
		if (!RESIZABLE.includes(resourceName))
			errors.push(fieldError.notSupported(`${at}.resourceName`, resourceName, RESIZABLE));
		const known = ['NotRequired', 'RestartContainer'];
		if (!restartPolicy) errors.push(fieldError.required(`${at}.restartPolicy`));
		else if (!known.includes(restartPolicy))
			errors.push(fieldError.notSupported(`${at}.restartPolicy`, restartPolicy, known));
		else if (never && restartPolicy === 'RestartContainer')
			errors.push(fieldError.invalid(at, restartPolicy, 'must be NotRequired because pod.spec.restartPolicy is Never'));
	}
}
