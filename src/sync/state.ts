/**
 * What is kept in memory of one application: its source, what the source wants, and how that compares. All of it can be
 * made anew from the repository and the API, so a process that dies loses nothing.
 */
import type { Client } from '../client/index.ts';
import type { Application, ApplicationSource, Dynamic, Key } from '../kinds/index.ts';
import { type Comparison, createComparison } from './compare/compare.ts';
import { createHealing, type Healing } from './compare/healing.ts';
import { formatProblem, type Renderer } from './render/index.ts';
import { type Source, SourceError, type Tree } from './source/index.ts';
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
	/** The revision of `desired`. */
	readonly revision: string | undefined;
	/** Why a newer revision, or none at all, could be taken over. */
	readonly problem: Problem | undefined;
	/** Objects of the cluster that carry the application's mark, by id. */
	readonly tracked: ReadonlyMap<string, Dynamic>;
	syncedRevision: string | undefined;
	failure: { readonly revision: string; readonly count: number; readonly at: number } | undefined;
	/** Milliseconds since the epoch of the last status written. */
	reportedAt: number;
	/** How the source is rendered, as Argo CD calls it. */
	readonly sourceType: 'Directory' | 'Kustomize';

	/** The source has, or may have, something new. */
	markStale(): void;
	/** Follows application.spec.source, and takes over its newest revision if that may have changed. */
	load(application: Application, client: Client, signal: AbortSignal, now: number): Promise<void>;
	/** Renders and checks another revision of the source. Throws SourceError. */
	at(
		revision: string,
		application: Application,
		client: Client,
		signal: AbortSignal,
	): Promise<Checked & { readonly revision: string }>;
	/** Renders and checks a tree that is not a revision of the source yet. */
	check(tree: Tree, application: Application, client: Client, signal: AbortSignal): Promise<Checked>;
	/** Objects in the cluster that the source does not want any more. */
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
	/** Called with what the application wants now and wanted before. */
	readonly onDesired: (now: ReadonlyMap<string, Desired>, before: ReadonlyMap<string, Desired>) => void;
}

export function createState({
	key,
	renderer,
	tracked,
	openSource,
	onChange,
	wantedElsewhere,
	onDesired,
}: StateOptions): ApplicationState {
	const comparison = createComparison();
	const healing = createHealing(comparison);
	let following: { readonly identity: string; readonly source: Source; readonly stop: AbortController } | undefined;
	let desirer: { readonly identity: string; readonly of: Desirer } | undefined;
	let stale = true;
	let loaded: string | undefined;
	/** When a revision was refused: what it lacks in the cluster may come. */
	let refusedAt: number | undefined;

	const follow = async (application: Application) => {
		const { source } = application.spec;
		if (!source) throw new SourceError('', 'spec.source is missing');
		const identity = JSON.stringify([source.repoURL, source.targetRevision ?? 'HEAD']);
		if (following?.identity === identity) return following.source;
		await unfollow();
		const opened = await openSource(source, application);
		const stop = new AbortController();
		following = { identity, source: opened, stop };
		stale = true;
		void (async () => {
			for await (const _ of opened.changes(stop.signal)) {
				stale = true;
				onChange();
			}
		})();
		return opened;
	};
	const unfollow = async () => {
		const last = following;
		following = undefined;
		last?.stop.abort();
		await last?.source[Symbol.asyncDispose]();
	};
	const desirerOf = (application: Application, client: Client): Desirer => {
		const identity = JSON.stringify([application.spec.destination.namespace]);
		if (desirer?.identity !== identity) desirer = { identity, of: createDesirer(application, client.registry) };
		return desirer.of;
	};
	const check = async (tree: Tree, application: Application, client: Client, signal: AbortSignal): Promise<Checked> => {
		const { source, destination } = application.spec;
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
		return checkRevision(
			rendered,
			application,
			desirerOf(application, client),
			state.desired,
			client,
			managerOf(application),
			signal,
		);
	};

	/** From now on the application wants this. */
	const take = (desired: ReadonlyMap<string, Desired>, revision: string) => {
		const before = state.desired;
		state.desired = desired;
		state.revision = revision;
		onDesired(desired, before);
		for (const [id, wanted] of desired) if (before.get(id) !== wanted) comparison.touch(id);
		for (const id of before.keys()) if (!desired.has(id)) comparison.touch(id);
	};

	/** After a start with a source that cannot be reached: what was synced last may still be at hand, and is then kept up. */
	const recover = async (application: Application, client: Client, signal: AbortSignal) => {
		const last = application.status?.sync?.revision;
		if (state.revision !== undefined || !last || !following) return;
		try {
			const checked = await check(await following.source.tree(last), application, client, signal);
			if (checked.problems.length === 0) take(checked.desired, last);
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
		revision: undefined as string | undefined,
		problem: undefined as Problem | undefined,
		tracked,
		syncedRevision: undefined as string | undefined,
		failure: undefined as ApplicationState['failure'],
		reportedAt: 0,
		sourceType: 'Directory' as ApplicationState['sourceType'],

		markStale() {
			stale = true;
		},

		async load(application: Application, client: Client, signal: AbortSignal, now: number) {
			const { source, destination, syncPolicy } = application.spec;
			const identity = JSON.stringify([source, destination, syncPolicy?.syncOptions]);
			const again = refusedAt !== undefined && now - refusedAt >= RECHECK_MS;
			if (!stale && loaded === identity && !again) return;
			refusedAt = undefined;
			try {
				const source = await follow(application);
				stale = false;
				loaded = identity;
				const tree = await source.current();
				if (!tree) {
					const wanted = application.spec.source?.targetRevision ?? 'HEAD';
					const before = state.revision ?? application.status?.sync?.revision;
					state.problem = {
						type: 'ComparisonError',
						message: before
							? `${source.url} has no revision ${wanted} any more: what ${short(before)} described stays as it is until one is pushed`
							: `${source.url} has no revision ${wanted} yet; push one`,
					};
					await recover(application, client, signal);
					return;
				}
				const checked = await check(tree, application, client, signal);
				if (checked.problems.length > 0) {
					refusedAt = now;
					const lines = checked.problems.map(formatProblem);
					state.problem = {
						type: 'ComparisonError',
						message: `revision ${short(tree.revision)} is refused, nothing of it is applied: ${summary(lines)}`,
					};
					state.progress.tell({ type: 'refused', revision: tree.revision, lines });
					return;
				}
				state.problem = undefined;
				state.sourceType = checked.kustomized ? 'Kustomize' : 'Directory';
				take(checked.desired, tree.revision);
			} catch (error) {
				stale = true;
				if (!(error instanceof SourceError)) throw error;
				state.problem = { type: 'ComparisonError', message: error.message };
				await recover(application, client, signal);
			}
		},

		async at(revision: string, application: Application, client: Client, signal: AbortSignal) {
			const source = await follow(application);
			const id = (await source.resolve(revision)) ?? revision;
			const tree = await source.tree(id);
			return { revision: tree.revision, ...(await check(tree, application, client, signal)) };
		},

		check,
		...healing,

		gone() {
			const gone = new Map<string, Dynamic>();
			// What is being deleted already needs no second delete.
			for (const [id, live] of state.tracked)
				if (!state.desired.has(id) && !live.metadata.deletionTimestamp && !wantedElsewhere(id)) gone.set(id, live);
			return gone;
		},

		async dispose() {
			onDesired(new Map(), state.desired);
			await unfollow();
		},
	};
	return state;
}

function summary(lines: readonly string[]): string {
	const shown = lines.slice(0, MAX_CONDITION_LINES).join('; ');
	return lines.length > MAX_CONDITION_LINES ? `${shown}; and ${lines.length - MAX_CONDITION_LINES} more` : shown;
}
