/**
 * Whether the API would take every object of a revision. Run before a push is accepted and before a revision is synced, so
 * that nothing is half-applied. Only manifests that are not known to be good are looked at.
 */
import pLimit from 'p-limit';
import type { Client } from '../../client/index.ts';
import { ApiError, type Application, type Dynamic, type Kind, prune, type Registry } from '../../kinds/index.ts';
import { namespaceAdvice } from '../operation/absent.ts';
import { missingOf, validationOf } from '../operation/execute.ts';
import {
	formatProblem,
	type Manifest,
	problemAt,
	type RenderProblem,
	validateBroken,
	validateManifest,
} from '../render/index.ts';
import { type Desired, desire } from './desired.ts';
import { adviceFor, isImmutable } from './immutable.ts';
import { managedNamespace } from './namespace.ts';
import { objectOptionProblems, optionFor, optionOf, optionsAnnotation } from './options.ts';
import type { RenderedParts } from './parts.ts';
import { placesOf } from './places.ts';
import { lastOfEach } from './repeated.ts';

/** Dry runs that are under way at once. */
const PARALLEL_DRY_RUNS = 16;

/** Annotations whose objects are not applied like others. Of them only Argo CD's `Skip` is carried out: never applied at all. */
const hookAnnotations = ['argocd.argoproj.io/hook', 'helm.sh/hook'] as const;

export interface Checked {
	/** By id. */
	readonly desired: ReadonlyMap<string, Desired>;
	/** Empty: the revision may be applied. */
	readonly problems: readonly RenderProblem[];
	/** What looks as if it were meant and is passed over: a linked folder, values of a chart. */
	readonly ignored: readonly RenderProblem[];
	/** What a later source describes too, which counts. */
	readonly repeated: readonly RenderProblem[];
	/** What the API takes and yet warns of, in what is new or changed. */
	readonly warnings: readonly RenderProblem[];
	/** How each source was rendered. */
	readonly types: RenderedParts['types'];
	/** The objects, by id, that the API would not take. */
	readonly refused: ReadonlySet<string>;
	/** The objects, by id, that the API was not asked about, since their namespace is not there: only the rules of their kind were. */
	readonly homeless: ReadonlySet<string>;
}

export interface CheckOptions {
	/** The objects that were applied or checked before, by id. */
	readonly good: ReadonlyMap<string, Desired>;
	/**
	 * Whether an object whose namespace is not there is a problem: who pushes can be told at once. Otherwise it is missing until
	 * somebody makes the namespace, and a sync of it fails. Source: Argo CD, "Sync Options", CreateNamespace.
	 */
	readonly needsNamespaces: boolean;
	/** What a sync to these objects would prune: its place is free then. */
	readonly goes: (desired: ReadonlyMap<string, Desired>) => Iterable<Dynamic>;
	readonly client: Client;
	/** The field manager of the dry runs. */
	readonly manager: string;
	readonly signal: AbortSignal;
}

/** Turns manifests into desired objects, each manifest once; `undefined` for a kind that the API does not have. */
export type Desirer = (manifest: Manifest) => Desired | undefined;

/** A Desirer for one application that remembers its manifests for as long as the renderer keeps them. */
export function createDesirer(application: Application, registry: Registry): Desirer {
	const known = new WeakMap<Manifest, Desired>();
	return (manifest) => {
		const before = known.get(manifest);
		if (before) return before;
		const desired = desire(manifest, application, registry);
		if (desired) known.set(manifest, desired);
		return desired;
	};
}

export async function checkRevision(
	rendered: RenderedParts,
	application: Application,
	desirer: Desirer,
	{ good, needsNamespaces, goes, client, manager, signal }: CheckOptions,
): Promise<Checked> {
	const { syncOptions } = application.spec.syncPolicy ?? {};
	const told = new Set(rendered.problems.map(formatProblem));
	const problems: RenderProblem[] = [
		...rendered.problems,
		...rendered.broken
			.flatMap((manifest) => validateBroken(manifest, client.registry))
			.filter((problem) => !told.has(formatProblem(problem))),
	];
	const desired = new Map<string, Desired>();
	const fresh: Desired[] = [];
	const isSkipped = ({ object }: Manifest) => object.metadata.annotations?.[hookAnnotations[0]] === 'Skip';
	const described = rendered.manifests.filter((manifest) => !isSkipped(manifest));
	const namespace = managedNamespace(application, described);
	const { counts, repeated } = lastOfEach(namespace ? [namespace, ...described] : described, desirer);
	for (const { manifest, wanted } of counts) {
		const before = wanted && good.get(wanted.id);
		if (wanted) desired.set(wanted.id, wanted);
		if (wanted && before?.manifest.hash === manifest.hash) continue;
		const unknown = validationOf(manifest.object, syncOptions) === 'Ignore';
		const found = [
			...validateManifest(manifest, client.registry, { unknown }),
			...hooks(manifest),
			...objectOptions(manifest),
		];
		problems.push(...found);
		if (wanted && found.length === 0) fresh.push(wanted);
	}
	// The rules of the kinds need no API: what is wrong is told at once, not after all else has been put right.
	if (problems.length > 0)
		return {
			desired,
			problems: sorted([...problems, ...fresh.flatMap((each) => validateAlone(each, client.registry))]),
			ignored: rendered.ignored,
			repeated,
			warnings: [],
			types: rendered.types,
			refused: new Set(),
			homeless: new Set(),
		};
	const limit = pLimit(PARALLEL_DRY_RUNS);
	const createsNamespace = optionOf('CreateNamespace', syncOptions) === 'true';
	const { namespace: home } = application.spec.destination;
	const comes = (id: string) => desired.has(id) || (createsNamespace && id === `-/Namespace/-/${home}`);
	const freed = new Set([...goes(desired)].flatMap(placesOf));
	const refused = new Set<string>();
	const homeless = new Set<string>();
	const warnings: RenderProblem[] = [];
	const found = await Promise.all(
		fresh.map((wanted) =>
			limit(async () => {
				signal.throwIfAborted();
				const fieldValidation = validationOf(wanted.object, syncOptions);
				const force = optionFor(wanted.object, 'Force', syncOptions) === 'true';
				const warn = (message: string) => void warnings.push({ position: wanted.manifest.position, message });
				const lack = needsNamespaces ? undefined : () => void homeless.add(wanted.id);
				const how = { comes, home, lack, fieldValidation, freed, force, warn };
				const each = await dryRun(wanted, how, client, manager);
				if (each.length > 0) refused.add(wanted.id);
				return each;
			}),
		),
	);
	const { ignored, types } = rendered;
	return {
		desired,
		problems: sorted(found.flat()),
		ignored,
		repeated,
		warnings: sorted(warnings),
		types,
		refused,
		homeless,
	};
}

function hooks(manifest: Manifest): RenderProblem[] {
	return hookAnnotations
		.filter((name) => manifest.object.metadata.annotations?.[name] !== undefined)
		.map((name) => ({
			position: manifest.locate(['metadata', 'annotations', name]),
			field: `metadata.annotations[${name}]`,
			message: 'sync hooks are not supported; remove the annotation, or keep the object out of the source',
		}));
}

function objectOptions(manifest: Manifest): RenderProblem[] {
	return objectOptionProblems(manifest.object).map((message) => ({
		position: manifest.locate(['metadata', 'annotations', optionsAnnotation]),
		field: `metadata.annotations[${optionsAnnotation}]`,
		message,
	}));
}

interface DryRun {
	/** Whether what is not there yet, by its id, will be before the object is applied. */
	readonly comes: (id: string) => boolean;
	/** The namespace of the application's destination. */
	readonly home: string | undefined;
	/** Called where its namespace is not there, or not for long; without it, that is a problem. */
	readonly lack: (() => void) | undefined;
	readonly fieldValidation: 'Strict' | 'Ignore';
	/** Places of objects that the sync prunes before. */
	readonly freed: ReadonlySet<string>;
	/** The object is made anew where it cannot be changed. */
	readonly force: boolean;
	readonly warn: (message: string) => void;
}

async function dryRun(
	wanted: Desired,
	{ comes, home, lack, fieldValidation, freed, force, warn }: DryRun,
	client: Client,
	manager: string,
): Promise<RenderProblem[]> {
	const { name, namespace } = wanted.object.metadata;
	try {
		await client.patch(
			wanted.kind,
			{ name, namespace },
			{ type: 'apply', body: wanted.object, force: true },
			{ dryRun: true, fieldManager: manager, fieldValidation, warn },
		);
		return [];
	} catch (error) {
		if (!(error instanceof ApiError) || error.code >= 500 || error.code === 429) throw error;
		const madeAnew = force && isImmutable(error);
		if (madeAnew || placesOf(wanted.object).some((place) => freed.has(place)))
			return validateAlone(wanted, client.registry);
		const missing = missingOf(error);
		// It comes with the same revision: the kind's own rules can be checked without it.
		if (missing && comes(missing)) return validateAlone(wanted, client.registry);
		const isMissing = namespace !== undefined && missing === `-/Namespace/-/${namespace}`;
		if (lack && (isMissing || isTerminating(error))) {
			lack();
			return validateAlone(wanted, client.registry);
		}
		if (!isMissing) return problemsOf(error, wanted.manifest);
		const message = `${error.message}: ${namespaceAdvice(namespace, home)}`;
		return [{ position: wanted.manifest.locate(['metadata', 'namespace']), message }];
	}
}

/** Whether the API refused it since its namespace is on its way out. */
const isTerminating = ({ status }: ApiError) =>
	status.details?.causes?.some(({ reason }) => reason === 'NamespaceTerminating') ?? false;

/** The rules of the kind, after what decoding does to an object. */
function validateAlone({ kind, object, manifest }: Desired, { schemas }: Registry): RenderProblem[] {
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

function sorted(problems: readonly RenderProblem[]): RenderProblem[] {
	const fileOf = ({ position: { source = '', file } }: RenderProblem) => `${source}//${file}`;
	return [...problems].sort((a, b) =>
		fileOf(a) === fileOf(b)
			? a.position.line - b.position.line || a.position.column - b.position.column
			: fileOf(a) < fileOf(b)
				? -1
				: 1,
	);
}
