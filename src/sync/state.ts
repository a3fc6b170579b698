/**
 * What is kept in memory of one application: its source, what the source wants, and how that compares. All of it can be
 * made anew from the repository and the API, so a process that dies loses nothing.
 */
import type { Client } from '../client/index.ts';
import type { Application, ApplicationSource, Dynamic, Key } from '../kinds/index.ts';
import { type Checked, checkRevision, createDesirer, type Desirer } from './check.ts';
import { type Comparison, createComparison, isSynced } from './compare.ts';
import { healDelay } from './decide.ts';
import { type Desired, managerOf } from './desired.ts';
import { createProgressFeed, type ProgressFeed } from './progress.ts';
import { formatProblem, type Renderer } from './render/index.ts';
import { short } from './revision.ts';
import { type Source, SourceError, type Tree } from './source/index.ts';

/** Lines of problems that a condition shows. */
const MAX_CONDITION_LINES = 20;
/** How long ago a self-heal may lie to count when the same object drifts again. */
const HEAL_MEMORY_MS = 600_000;

export interface Problem {
	readonly type: 'InvalidSpecError' | 'ComparisonError' | 'SyncError';
	readonly message: string;
}

export interface ApplicationState {
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

	/** The source has, or may have, something new. */
	markStale(): void;
	/** Follows application.spec.source, and takes over its newest revision if that may have changed. */
	load(application: Application, client: Client, signal: AbortSignal): Promise<void>;
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
	/** Keeps book of when objects drifted; call with the ids whose comparison has changed. */
	noteDrift(ids: Iterable<string>, now: number): void;
	/** Keeps book of which drifted objects were mended by self-heal. */
	noteHealed(ids: Iterable<string>, now: number): void;
	/** When the earliest drift is due for self-heal. */
	healAt(): number | undefined;
	dispose(): Promise<void>;
}

export interface StateOptions {
	readonly key: Key;
	readonly renderer: Renderer;
	readonly tracked: ReadonlyMap<string, Dynamic>;
	readonly openSource: (source: ApplicationSource, application: Application) => Promise<Source>;
	/** Called when the source has something new. */
	readonly onChange: () => void;
	/** Called with what the application wants now and wanted before. */
	readonly onDesired: (now: ReadonlyMap<string, Desired>, before: ReadonlyMap<string, Desired>) => void;
}

export function createState({
	key,
	renderer,
	tracked,
	openSource,
	onChange,
	onDesired,
}: StateOptions): ApplicationState {
	const comparison = createComparison();
	const driftSince = new Map<string, number>();
	const healed = new Map<string, { readonly count: number; readonly at: number }>();
	let following: { readonly identity: string; readonly source: Source; readonly stop: AbortController } | undefined;
	let desirer: { readonly identity: string; readonly of: Desirer } | undefined;
	let stale = true;
	let loaded: string | undefined;

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

		markStale() {
			stale = true;
		},

		async load(application: Application, client: Client, signal: AbortSignal) {
			const identity = JSON.stringify([application.spec.source, application.spec.destination]);
			if (!stale && loaded === identity) return;
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
					const lines = checked.problems.map(formatProblem);
					state.problem = {
						type: 'ComparisonError',
						message: `revision ${short(tree.revision)} is refused, nothing of it is applied: ${summary(lines)}`,
					};
					state.progress.tell({ type: 'refused', revision: tree.revision, lines });
					return;
				}
				state.problem = undefined;
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

		gone() {
			const gone = new Map<string, Dynamic>();
			// What is being deleted already needs no second delete.
			for (const [id, live] of state.tracked)
				if (!state.desired.has(id) && !live.metadata.deletionTimestamp) gone.set(id, live);
			return gone;
		},

		noteDrift(ids: Iterable<string>, now: number) {
			for (const id of ids) {
				const compared = comparison.objects.get(id);
				if (!compared?.desired || isSynced(compared)) driftSince.delete(id);
				else if (!driftSince.has(id)) driftSince.set(id, now);
			}
		},

		noteHealed(ids: Iterable<string>, now: number) {
			for (const [id, { at }] of healed) if (now - at > HEAL_MEMORY_MS) healed.delete(id);
			for (const id of ids) healed.set(id, { count: (healed.get(id)?.count ?? 0) + 1, at: now });
		},

		healAt() {
			let earliest: number | undefined;
			for (const [id, since] of driftSince) {
				const due = since + healDelay(healed.get(id)?.count ?? 0);
				if (earliest === undefined || due < earliest) earliest = due;
			}
			return earliest;
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
