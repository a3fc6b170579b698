/** Server-side apply of what files say: everything is tried before the first object is changed. */
import { isDeepStrictEqual } from 'node:util';
import pLimit from 'p-limit';
import type { HttpClient } from '../../client/index.ts';
import type { KubeObject } from '../../kinds/index.ts';
import { ApiError } from '../../kinds/status.ts';
import { UserError } from '../user-error.ts';
import { faultText, type Given } from './manifests.ts';
import { nameOf } from './print.ts';
import { isNotFound } from './session.ts';

/** Requests under way at once. */
const PARALLEL = 16;

export type Outcome = 'created' | 'configured' | 'unchanged';

export interface Applied {
	readonly given: Given;
	readonly object: KubeObject;
	readonly outcome: Outcome;
}

export interface ApplyOptions {
	/** Take over fields that others manage. */
	readonly force: boolean;
	readonly warn: (message: string) => void;
}

/** What applying would do, by the server's dry run, in the order given. Throws a UserError with a line for each refusal. */
export async function tryApply(
	client: HttpClient,
	all: readonly Given[],
	options: ApplyOptions,
): Promise<readonly Applied[]> {
	const limit = pLimit(PARALLEL);
	const faults: string[] = [];
	const namespaces = namespacesAmong(all);
	const tried = await Promise.all(
		all.map((given) =>
			limit(async (): Promise<Applied | undefined> => {
				try {
					return await applyOne(client, given, { ...options, dryRun: true });
				} catch (error) {
					if (!(error instanceof ApiError) || error.code >= 500) throw error;
					// It comes with the same files: what the rules of its kind say has been checked without it.
					if (isMissingNamespace(error, namespaces)) return { given, object: given.object, outcome: 'created' };
					faults.push(...refusals(given, error));
					return undefined;
				}
			}),
		),
	);
	if (faults.length > 0) throw new UserError(faultText(faults), 1);
	return tried.filter((each) => each !== undefined);
}

/** Applies one object. Throws ApiError. */
export async function applyOne(
	client: HttpClient,
	given: Given,
	{ force, warn, dryRun }: ApplyOptions & { readonly dryRun: boolean },
): Promise<Applied> {
	const { kind, object } = given;
	const { name, namespace } = object.metadata;
	const before = await client.get(kind, { name, namespace }).catch((error) => {
		if (isNotFound(error)) return undefined;
		throw error;
	});
	const after = await client.patch(
		kind,
		{ name, namespace },
		{ type: 'apply', body: object, force },
		{ dryRun, warn, fieldValidation: 'Strict' },
	);
	return { given, object: after, outcome: before ? outcomeOf(before, after) : 'created' };
}

/** Whether an apply changed anything. A dry run leaves the resourceVersion as it was, so that the content must tell. */
export function outcomeOf(before: KubeObject, after: KubeObject): Outcome {
	if (before.metadata.uid !== after.metadata.uid) return 'created';
	return isDeepStrictEqual(withoutTimes(before), withoutTimes(after)) ? 'unchanged' : 'configured';
}

function withoutTimes(object: KubeObject): object {
	const { resourceVersion: _, managedFields, ...metadata } = object.metadata;
	const owners = managedFields?.map(({ time: _, ...entry }) => entry);
	return { ...object, metadata: { ...metadata, managedFields: owners } };
}

/** Namespaces, and definitions of kinds, before what needs them; else in the order given. */
export function applyOrder(all: readonly Given[]): Given[] {
	const rank = ({ kind }: Given) => (kind.kind === 'Namespace' ? 0 : kind.kind === 'CustomResourceDefinition' ? 1 : 2);
	return [...all].sort((a, b) => rank(a) - rank(b));
}

export function namespacesAmong(all: readonly Given[]): ReadonlySet<string> {
	return new Set(all.filter(({ kind }) => kind.kind === 'Namespace').map(({ object }) => object.metadata.name));
}

export function isMissingNamespace(error: ApiError, coming: ReadonlySet<string>): boolean {
	const { details } = error.status;
	return error.reason === 'NotFound' && details?.kind === 'namespaces' && coming.has(details.name ?? '');
}

/** What a refusal says to the user, a line for each fault. */
export function refusals(given: Given, error: ApiError): readonly string[] {
	const conflicts = (error.status.details?.causes ?? []).filter(({ reason }) => reason === 'FieldManagerConflict');
	if (conflicts.length === 0) return given.refusal(error);
	const fields = conflicts.map(({ field, message = '' }) => `${field} (${message.replace(/^conflict with /, '')})`);
	const what = `${nameOf(given.kind, given.object.metadata.name)}: ${fields.length === 1 ? 'a field is' : `${fields.length} fields are`} managed by others: ${fields.join(', ')}`;
	return [given.at(`${what}; leave what others manage out of the file, or take it over with --force-conflicts`)];
}
