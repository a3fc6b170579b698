/**
 * Containers that are added to a pod that exists, to look into it. Source: Kubernetes documentation, "Ephemeral Containers", and the
 * API server's messages.
 */
import { deepEqual } from '../equal.ts';
import type { SubresourcePart } from '../kind.ts';
import { type FieldError, fieldError } from '../status.ts';
import { MIRROR_ANNOTATION } from './mirror-pod.ts';
import type { Pod } from './pod.ts';
import { validatePodSpec } from './pod-validation.ts';

const PATH = 'spec.ephemeralContainers';

/** The subresource `ephemeralcontainers`. */
export const ephemeralContainers = {
	take(pod: Pod, proposed: Pod) {
		pod.spec.ephemeralContainers = proposed.spec?.ephemeralContainers;
		if (pod.spec.ephemeralContainers === undefined) delete pod.spec.ephemeralContainers;
	},
	validate(pod: Pod, old: Pod): FieldError[] {
		const errors: FieldError[] = [];
		validatePodSpec(pod.spec, 'spec', errors);
		// A file on the node says what a static pod is.
		if (old.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined)
			errors.push(fieldError.forbidden('', 'static pods do not support ephemeral containers'));
		const now = new Map(pod.spec.ephemeralContainers?.map((container) => [container.name, container]));
		for (const before of old.spec.ephemeralContainers ?? []) {
			const after = now.get(before.name);
			if (!after)
				errors.push(fieldError.forbidden(PATH, `existing ephemeral containers "${before.name}" may not be removed\n`));
			else if (!deepEqual(after, before))
				errors.push(fieldError.forbidden(PATH, `existing ephemeral containers "${before.name}" may not be changed\n`));
		}
		return errors;
	},
} satisfies SubresourcePart<Pod>;
