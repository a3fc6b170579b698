/**
 * Lists in pages. A continue token says at which revision the first page was read and after which key the next one
 * begins; the pages agree because they come from a snapshot of the cache, or from the store at that revision.
 */
import { ApiError, badRequest } from '../../kinds/status.ts';
import type { Revision } from '../../store/store.ts';

export interface Continue {
	readonly revision: Revision;
	/** The last key of the page before (`namespace/name`, or `name`). */
	readonly after: string;
}

export function encodeContinue({ revision, after }: Continue): string {
	return Buffer.from(JSON.stringify({ v: 1, rv: revision, after })).toString('base64url');
}

/** Throws 400 when the token is none of ours. */
export function decodeContinue(token: string): Continue {
	try {
		const { v, rv, after } = JSON.parse(Buffer.from(token, 'base64url').toString()) as Record<string, unknown>;
		if (v === 1 && typeof rv === 'number' && Number.isSafeInteger(rv) && rv >= -1 && typeof after === 'string')
			return { revision: rv, after };
	} catch {
		// The same answer as for JSON of another shape.
	}
	throw badRequest('continue key is not valid: it must be the value that the previous list returned');
}

/** The revision of a token that goes on without consistency, handed out with a 410. */
export const anyRevision = -1;

/** 410 with a token that goes on from the same place in the present state, as the reference API server words it. */
export function tooOldToContinue(after: string): ApiError {
	const error = new ApiError(
		410,
		'Expired',
		'The provided continue parameter is too old to display a consistent list result. You can start a new list without ' +
			'the continue parameter, or use the continue token in this response to retrieve the remainder of the results. ' +
			'Continuing with the provided token results in an inconsistent list - objects that were created, modified, or ' +
			'deleted between the time the first chunk was returned and now may show up in the list.',
	);
	error.status.metadata.continue = encodeContinue({ revision: anyRevision, after });
	return error;
}
