/**
 * Whether the API would take every object of a revision. Run before a push is accepted and before a revision is synced, so
 * that nothing is half-applied. Only manifests that are not known to be good are looked at.
 */
import pLimit from 'p-limit';
import type { Client } from '../../client/index.ts';
import type { ApiError, Application, Dynamic, Registry } from '../../kinds/index.ts';
import { namespaceAdvice } from '../operation/absent.ts';
import { formatProblem, type Manifest, type RenderProblem, validateBroken, validateManifest } from '../render/index.ts';
import { type Desired, desire } from './desired.ts';
import {
	type Ahead,
	isOfCluster,
	missingOf,
	PARALLEL_DRY_RUNS,
	problemsOf,
	refusalOf,
	validateAlone,
	validationOf,
} from './dry-run.ts';
import { managedNamespace } from './namespace.ts';
import { objectOptionProblems, optionOf, optionsAnnotation } from './options.ts';
import type { RenderedParts } from './parts.ts';
import { placesOf } from './places.ts';
import { lastOfEach } from './repeated.ts';

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
	/** The objects, by id, that the API would not take at present, for no fault of their manifests. */
	readonly doubtful: ReadonlySet<string>;
}

export interface CheckOptions {
	/** The objects that were applied or checked before, by id. */
	readonly good: ReadonlyMap<string, Desired>;
	/**
	 * Whether what the cluster has or lacks is a problem of the revision: who pushes can be told at once. Otherwise the revision is
	 * taken, and a sync of the object fails until the cluster is otherwise. Source: in Argo CD what the API refuses fails the sync
	 * (SyncFailed of the resource), not the comparison.
	 */
	readonly needsCluster: boolean;
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
	{ good, needsCluster, goes, client, manager, signal }: CheckOptions,
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
			doubtful: new Set(),
		};
	const limit = pLimit(PARALLEL_DRY_RUNS);
	const createsNamespace = optionOf('CreateNamespace', syncOptions) === 'true';
	const { namespace: home } = application.spec.destination;
	const refused = new Set<string>();
	const doubtful = new Set<string>();
	const warnings: RenderProblem[] = [];
	const ahead: Ahead = {
		comes: (id) => desired.has(id) || (createsNamespace && id === `-/Namespace/-/${home}`),
		freed: new Set([...goes(desired)].flatMap(placesOf)),
		options: syncOptions,
	};
	const ask = async (wanted: Desired): Promise<RenderProblem[]> => {
		signal.throwIfAborted();
		const warn = (message: string) => void warnings.push({ position: wanted.manifest.position, message });
		const refusal = await refusalOf(wanted, ahead, client, manager, warn);
		if (!refusal) return [];
		const { error, passes } = refusal;
		// The kind's own rules can be checked without what passes.
		if (passes) return validateAlone(wanted, client.registry);
		if (needsCluster || !isOfCluster(error, wanted)) return toldOf(wanted, error, home);
		doubtful.add(wanted.id);
		return validateAlone(wanted, client.registry);
	};
	const found = await Promise.all(
		fresh.map((wanted) =>
			limit(async () => {
				const each = await ask(wanted);
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
		doubtful,
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

/** The problems of an object that the API refuses, each at its place. */
function toldOf({ object, manifest }: Desired, error: ApiError, home: string | undefined): RenderProblem[] {
	const { namespace } = object.metadata;
	if (namespace === undefined || missingOf(error.message) !== `-/Namespace/-/${namespace}`)
		return problemsOf(error, manifest);
	const message = `${error.message}: ${namespaceAdvice(namespace, home)}`;
	return [{ position: manifest.locate(['metadata', 'namespace']), message }];
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
