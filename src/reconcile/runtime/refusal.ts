/** Why the API refused a write, as controllers see it. */
import { ApiError } from '../../kinds/index.ts';

/** The object is not there (any more). */
export const isNotFound = (error: unknown) => error instanceof ApiError && error.reason === 'NotFound';

export const isAlreadyThere = (error: unknown) => error instanceof ApiError && error.reason === 'AlreadyExists';

/** The object changed meanwhile, or is another one of that name. */
export const isConflict = (error: unknown) => error instanceof ApiError && error.reason === 'Conflict';

/** A namespace that is being deleted refuses new objects: that is no fault, and trying again helps nothing. */
export const isTerminating = (error: unknown) =>
	error instanceof ApiError &&
	error.status.details?.causes?.some(({ reason }) => reason === 'NamespaceTerminating') === true;

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Settles with what the call does; with undefined where its object is not there any more. */
export async function unlessGone<T>(call: Promise<T>): Promise<T | undefined> {
	try {
		return await call;
	} catch (error) {
		if (isNotFound(error)) return undefined;
		throw error;
	}
}
