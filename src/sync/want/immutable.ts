/** Fields that cannot be changed: how a refusal because of them is told from others, and what it says to do. Pure. */
import type { ApiError } from '../../kinds/index.ts';
import { optionsAnnotation } from './options.ts';

/** How the API server words it, for the kinds that have such fields. */
const wordings = /immutable|may not change|updates to .* are forbidden/i;

/** Whether an object was refused because it is there already, otherwise. */
export function isImmutable({ reason, status }: ApiError): boolean {
	const causes = status.details?.causes ?? [];
	return reason === 'Invalid' && causes.some(({ message = '' }) => wordings.test(message));
}

/** What a refusal of one field adds, where it helps. */
export function adviceFor(message: string): string {
	if (!wordings.test(message)) return '';
	return `; to change it the object must be made anew: delete it, or give it the annotation ${optionsAnnotation}: Force=true`;
}
