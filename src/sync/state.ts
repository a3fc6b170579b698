/**
 * What is kept in memory of one application: its source, what the source wants, and how that compares. All of it can be
 * made anew from the repository and the API, so a process that dies loses nothing.
 */
import type { Client } from '../client/index.ts';
import type { Application, ApplicationSource, Dynamic, Key } from '../kinds/index.ts';
import { type Comparison, createComparison } from './compare/compare.ts';
import { createHealing, type Healing } from './compare/healing.ts';
import { createFollowing } from './following.ts';
import type { Aside } from './operation/subject.ts';
import { formatProblem, type Renderer } from './render/index.ts';
import { commitsOf, type Revision, revisionAt, revisionText, shownSource } from './revision.ts';
import { type Commit, type Source, SourceError, type Tree } from './source/index.ts';
import { cut } from './status/fit.ts';
import { createProgressFeed, type ProgressFeed } from './status/progress.ts';
import { short } from './status/revision.ts';
import { type Checked, checkRevision, createDesirer, type Desirer } from './want/check.ts';
import { type Desired, managerOf } from './want/desired.ts';

/** How soon a refused revision is looked at again. */
export const RECHECK_MS = 30_000;
/** Lines of problems that a condition shows. */
const MAX_CONDITION_LINES = 20;

export interface Problem {
	/** Argo CD's types of conditions. */
	readonly type: 'InvalidSpecError' | 'ComparisonError' | 'SyncError' | 'DeletionError' | 'SharedResourceWarning';
	readonly message: string;
}

export interface ApplicationState extends Healing {
	readonly key: Key;
	readonly comparison: Comparison;
	readonly progress: ProgressFeed;
	/** What the source wants, by id: the newest revision without problems. */
	readonly desired: ReadonlyMap<string, Desired>;
	/** What `desired` was made of. */
	readonly revision: Revision | undefined;
	/** Why a newer revision, or none at all, could be taken over. */
	readonly problem: Problem | undefined;
	/** Objects of the cluster that carry the application's mark, by id. */
	readonly tracked: ReadonlyMap<string, Dynamic>;
	/** What the cluster was brought to last. */
	synced: Revision | undefined;
	/** What the attempt of a sync that runs has tried already, by id. */
	attempt: { readonly of: string; readonly tried: Set<string> } | undefined;
	/** What the last attempt could not apply, by id, with the uid of what was there. */
	stumbled: ReadonlyMap<string, string | undefined> | undefined;
	/** What a sync to another revision is about, while it runs. */
	aside: Aside | undefined;
	/** Milliseconds since the epoch of the last status written. */
	reportedAt: number;
	/** How the source is rendered, as Argo CD calls it. */
	readonly sourceType: 'Directory' | 'Kustomize';

	/** The commit that last changed a line of a file of the present revision; undefined where the source has no commits. */
	commitOf(file: string, line: number): Promise<Commit | undefined>;
	/** The source has, or may have, something new. */
	markStale(): void;
	/**
	 * Whether the source has been looked at: once at all, and since somebody asked for it, by the annotation
	 * argocd.argoproj.io/refresh or by asking for a sync. Begins the look, which wakes the application when it is over: nobody
	 * waits for a network here.
	 */
	looked(application: Application): Promise<boolean>;
	/** Follows application.spec.source, and takes over its newest revision if that may have changed. */
	load(application: Application, client: Client, signal: AbortSignal, now: number): Promise<void>;
	/** Renders and checks another revision, of this source or of another one. Throws SourceError. */
	at(
		revision: string,
		source: ApplicationSource,
		application: Application,
		client: Client,
		signal: AbortSignal,
	): Promise<Checked & { readonly revision: Revision }>;
	/** Renders and checks a tree that is not a revision of the source yet. */
	check(tree: Tree, application: Application, client: Client, signal: AbortSignal): Promise<Checked>;
	/** Whether it was looked at what the source wants, with whatever outcome. */
	known: boolean;
	/** Whether that holds for all other applications too. Before, nothing may be pruned: they may want it. */
	complete(): boolean;
	/** Objects in the cluster that these are not, and no other application is known to want; what is on its way out included. */
	left(desired: ReadonlyMap<string, Desired>): Map<string, Dynamic>;
	/** Objects in the cluster that the source does not want any more, and that nobody has deleted yet. */
	gone(): Map<string, Dynamic>;
	dispose(): Promise<void>;
}

export interface StateOptions {
	readonly key: Key;
	readonly renderer: Renderer;
	readonly tracked: ReadonlyMap<string, Dynamic>;
	readonly openSource: (source: ApplicationSource, application: Application) => Promise<Source>;
	/** Called when the source has something new. */
	readonly onChange: () => void;
	/** Whether another application wants the object: then it is to be taken over, not pruned. */
	readonly wantedElsewhere: (id: string) => boolean;
	/** Whether it is known what all applications want. */
	readonly complete: () => boolean;
	/** Called with what the application wants now and wanted before. */
	readonly onDesired: (now: ReadonlyMap<string, Desired>, before: ReadonlyMap<string, Desired>) => void;
	/** Called with the ids of the objects for which a revision is refused, and of those before. */
	readonly onRefused: (now: ReadonlySet<string>, before: ReadonlySet<string>) => void;
}

const none: ReadonlySet<string> = new Set();

export function createState({
	key,
	renderer,
	tracked,
	openSource,
	onChange,
	wantedElsewhere,
	complete,
	onDesired,
	onRefused,
}: StateOptions): ApplicationState {
	const comparison = createComparison();
	const healing = createHealing(comparison);
	const following = createFollowing(openSource, onChange);
	let desirer: { readonly identity: string; readonly of: Desirer } | undefined;
	let loaded: string | undefined;
	/** When a revision was refused: what it lacks in the cluster may come. */
	let refusedAt: number | undefined;
	/** The objects that a revision was refused for. */
	let refused = none;
	const refuse = (ids: ReadonlySet<string>) => {
		onRefused(ids, refused);
		refused = ids;
	};

	const desirerOf = (application: Application, client: Client): Desirer => {
		const identity = JSON.stringify([application.spec.destination.namespace]);
		if (desirer?.identity !== identity) desirer = { identity, of: createDesirer(application, client.registry) };
		return desirer.of;
	};
	const check = async (
		tree: Tree,
		application: Application,
		client: Client,
		signal: AbortSignal,
		source = application.spec.source,
	): Promise<Checked> => {
		const { destination, syncPolicy } = application.spec;
		const rendered = await renderer.render(
			tree,
			{
				path: source?.path ?? '',
				// As Argo CD has it: sub-folders only where they are asked for.
				recurse: source?.directory?.recurse ?? false,
				include: source?.directory?.include,
				exclude: source?.directory?.exclude,
				namespace: destination.namespace,
			},
			signal,
		);
		return checkRevision(rendered, application, desirerOf(application, client), {
			good: state.desired,
			goes: (desired) => (syncPolicy?.automated?.prune ? state.left(desired).values() : []),
			client,
			manager: managerOf(application),
			signal,
		});
	};

	/** From now on the application wants this. */
	const take = (desired: ReadonlyMap<string, Desired>, revision: Revision) => {
		const before = state.desired;
		state.desired = desired;
		state.revision = revision;
		onDesired(desired, before);
		for (const [id, wanted] of desired) if (before.get(id) !== wanted) comparison.touch(id);
		for (const id of before.keys()) if (!desired.has(id)) comparison.touch(id);
	};

	/** After a start with a source that cannot be reached, or is refused: what was synced last may be at hand, and is then kept up. */
	const recover = async (application: Application, client: Client, signal: AbortSignal) => {
		const last = application.status?.sync?.revision;
		if (state.revision !== undefined || !last || !following.source) return;
		try {
			const checked = await check(await following.source.tree(last), application, client, signal);
			if (checked.problems.length === 0) take(checked.desired, revisionAt(application, [last]));
		} catch (error) {
			// The problem that led here is the one to tell.
			if (!(error instanceof SourceError)) throw error;
		}
	};

	const state = {
		key,
		comparison,
		progress: createProgressFeed(),
		desired: new Map<string, Desired>() as ReadonlyMap<string, Desired>,
		revision: undefined as Revision | undefined,
		problem: undefined as Problem | undefined,
		tracked,
		synced: undefined as Revision | undefined,
		attempt: undefined as ApplicationState['attempt'],
		stumbled: undefined as ApplicationState['stumbled'],
		aside: undefined as Aside | undefined,
		reportedAt: 0,
		known: false,
		complete,
		sourceType: 'Directory' as ApplicationState['sourceType'],

		async commitOf(file: string, line: number) {
			const [commit] = state.revision ? commitsOf(state.revision) : [];
			return commit === undefined ? undefined : following.source?.blame(commit, file, line);
		},

		markStale() {
			following.stale = true;
		},

		looked: following.looked,

		async load(application: Application, client: Client, signal: AbortSignal, now: number) {
			const { source, destination, syncPolicy } = application.spec;
			const { syncOptions, managedNamespaceMetadata } = syncPolicy ?? {};
			const identity = JSON.stringify([source, destination, syncOptions, managedNamespaceMetadata]);
			const again = refusedAt !== undefined && now - refusedAt >= RECHECK_MS;
			if (!following.stale && loaded === identity && !again) return;
			refusedAt = undefined;
			try {
				const source = await following.open(application);
				following.stale = false;
				loaded = identity;
				const tree = await source.current();
				if (!tree) {
					const wanted = application.spec.source?.targetRevision ?? 'HEAD';
					const last = application.status?.sync?.revision;
					const before = state.revision ? revisionText(state.revision) : last && short(last);
					state.problem = {
						type: 'ComparisonError',
						message: before
							? `${source.url} has no revision ${wanted}: what ${before} described stays as it is until there is one`
							: `${source.url} has no revision ${wanted} yet; push one`,
					};
					await recover(application, client, signal);
					return;
				}
				const checked = await check(tree, application, client, signal);
				refuse(checked.refused);
				if (checked.problems.length > 0) {
					refusedAt = now;
					const lines = checked.problems.map(formatProblem);
					state.problem = {
						type: 'ComparisonError',
						message: cut(`revision ${short(tree.revision)} is refused, nothing of it is applied: ${summary(lines)}`),
					};
					state.progress.tell({ type: 'refused', revision: revisionAt(application, [tree.revision]), lines });
					await recover(application, client, signal);
					return;
				}
				state.problem = undefined;
				state.sourceType = checked.kustomized ? 'Kustomize' : 'Directory';
				take(checked.desired, revisionAt(application, [tree.revision]));
			} catch (error) {
				following.stale = true;
				if (!(error instanceof SourceError)) throw error;
				state.problem = { type: 'ComparisonError', message: error.message };
				await recover(application, client, signal);
			}
		},

		async at(
			revision: string,
			source: ApplicationSource,
			application: Application,
			client: Client,
			signal: AbortSignal,
		) {
			const at = async (opened: Source) => {
				const tree = await opened.tree((await opened.resolve(revision)) ?? revision);
				const checked = await check(tree, application, client, signal, source);
				return { revision: revisionAt(application, [tree.revision], [source]), ...checked };
			};
			const own = application.spec.source;
			// What was recorded has no credentials in it.
			if (own && shownSource(source).repoURL === shownSource(own).repoURL) return at(await following.open(application));
			await using other = await openSource({ ...source, targetRevision: revision }, application);
			await other.refresh();
			return await at(other);
		},

		check,
		...healing,

		left(desired: ReadonlyMap<string, Desired>) {
			return new Map([...state.tracked].filter(([id]) => !desired.has(id) && !wantedElsewhere(id)));
		},

		gone() {
			// What is being deleted already needs no second delete.
			return new Map([...state.left(state.desired)].filter(([, { metadata }]) => !metadata.deletionTimestamp));
		},

		async dispose() {
			onDesired(new Map(), state.desired);
			refuse(none);
			await following[Symbol.asyncDispose]();
		},
	};
	return state;
}

function summary(lines: readonly string[]): string {
	const shown = lines.slice(0, MAX_CONDITION_LINES).join('; ');
	return lines.length > MAX_CONDITION_LINES ? `${shown}; and ${lines.length - MAX_CONDITION_LINES} more` : shown;
}
