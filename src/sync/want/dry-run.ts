/** What the API says to an object before anything of its sync is done, and whether the sync itself does away with a refusal. */
import type { Client } from '../../client/index.ts';
import { ApiError, type Dynamic, type Kind, prune, type Registry } from '../../kinds/index.ts';
import { type Manifest, problemAt, type RenderProblem } from '../render/index.ts';
import type { Desired } from './desired.ts';
import { adviceFor, isImmutable } from './immutable.ts';
import { optionFor } from './options.ts';
import { placesOf } from './places.ts';

/** Dry runs that are under way at once. */
export const PARALLEL_DRY_RUNS = 16;

/** What of a sync goes before an object. */
export interface Ahead {
	/** Whether what the object lacks, by its id, will be there by then. */
	readonly comes: (id: string, wanted: Desired) => boolean;
	/** Places of objects that are pruned before. */
	readonly freed: ReadonlySet<string>;
	/** The sync options. */
	readonly options: readonly string[] | undefined;
}

export interface Refusal {
	readonly error: ApiError;
	/** Whether what the sync does before does away with it. */
	readonly passes: boolean;
}

/** Undefined where the API would take the object now. Throws the ApiError of an API that cannot say. */
export async function refusalOf(
	wanted: Desired,
	ahead: Ahead,
	client: Client,
	manager: string,
	warn?: (message: string) => void,
): Promise<Refusal | undefined> {
	const { kind, object } = wanted;
	const { name, namespace } = object.metadata;
	const fieldValidation = validationOf(object, ahead.options);
	try {
		await client.patch(
			kind,
			{ name, namespace },
			{ type: 'apply', body: object, force: true },
			{ dryRun: true, fieldManager: manager, fieldValidation, warn },
		);
		return undefined;
	} catch (error) {
		if (!(error instanceof ApiError) || error.code >= 500 || error.code === 429) throw error;
		return { error, passes: passes(error, wanted, ahead) };
	}
}

/** Whether a refusal is none any more when it is the object's turn. */
export function passes(error: ApiError, wanted: Desired, { comes, freed, options }: Ahead): boolean {
	// The object is made anew.
	if (isImmutable(error) && optionFor(wanted.object, 'Force', options) === 'true') return true;
	if (placesOf(wanted.object).some((place) => freed.has(place))) return true;
	const missing = missingOf(error.message);
	return missing !== undefined && comes(missing, wanted);
}

/** Reasons that speak of the cluster and not of the object. */
const ofCluster: ReadonlySet<string> = new Set(['NotFound', 'Forbidden', 'Conflict', 'AlreadyExists']);

/** Whether the object is refused for what the cluster has, or lacks: another cluster would take it, and so may this one later. */
export function isOfCluster(error: ApiError, { object }: Desired): boolean {
	return ofCluster.has(error.reason) || isImmutable(error) || placesOf(object).length > 0;
}

/** The id of what the API misses for an object that it refused, by its words: a namespace, or the service account of a pod. */
export function missingOf(message: string): string | undefined {
	const [, namespace] = /^namespaces "([^"]+)" not found/.exec(message) ?? [];
	if (namespace) return `-/Namespace/-/${namespace}`;
	const [, home, account] = /: error looking up service account ([^\s/]+)\/([^\s:]+): /.exec(message) ?? [];
	return account ? `-/ServiceAccount/${home}/${account}` : undefined;
}

/** How strictly the API looks at an object's fields. */
export function validationOf(object: Dynamic, options: readonly string[] | undefined): 'Strict' | 'Ignore' {
	return optionFor(object, 'Validate', options) === 'false' ? 'Ignore' : 'Strict';
}

/** The rules of the kind, after what decoding does to an object. */
export function validateAlone({ kind, object, manifest }: Desired, { schemas }: Registry): RenderProblem[] {
	const draft = structuredClone(object);
	const schema = schemas[kind.schema];
	if (schema) prune(draft, schema, schemas);
	(kind as Kind).defaults(draft);
	kind.prepare(draft, undefined);
	return kind.validate(draft, undefined).map(({ field, detail }) => problemAt(manifest, field, detail));
}

/** One problem for each cause that the API names, at the field's place in the file. */
export function problemsOf(error: ApiError, manifest: Manifest): RenderProblem[] {
	const causes = error.status.details?.causes?.filter((cause) => cause.field) ?? [];
	if (causes.length === 0) return [{ position: manifest.position, message: error.message }];
	return causes.map(({ field = '', message = error.message }) =>
		problemAt(manifest, field, `${message}${adviceFor(message)}`),
	);
}
