/** What the sources of an application want now: the newest revision of theirs that has no problem, and why a newer one is not taken. */
import type { Client } from '../client/index.ts';
import type { Application, ApplicationSource, SourceType } from '../kinds/index.ts';
import type { Following } from './following.ts';
import { formatProblem, type Position } from './render/index.ts';
import {
	commitsOf,
	isListed,
	labelsOf,
	type Revision,
	revisionAt,
	revisionText,
	shownSource,
	sourcesOf,
} from './revision.ts';
import { type Commit, type Source, SourceError, type Tree } from './source/index.ts';
import type { Problem } from './state.ts';
import { cut } from './status/fit.ts';
import type { ProgressFeed } from './status/progress.ts';
import { short } from './status/revision.ts';
import type { Checked } from './want/check.ts';
import type { Desired } from './want/desired.ts';
import type { Part } from './want/parts.ts';

/** How soon a refused revision is looked at again. */
export const RECHECK_MS = 30_000;
/** Lines of problems that a condition shows. */
const MAX_CONDITION_LINES = 20;

/** What was made of the sources. */
export interface Wanted {
	/** By id: what the newest revision without problems describes. */
	desired: ReadonlyMap<string, Desired>;
	/** What `desired` was made of. */
	revision: Revision | undefined;
	/** Why a newer revision, or none at all, could be taken over. */
	problem: Problem | undefined;
	/** What several sources describe more than once. */
	repeated: Problem | undefined;
	/** How each source is rendered, as Argo CD calls it. */
	sourceTypes: readonly SourceType[];
}

export interface Loading {
	readonly wanted: Wanted;
	/** Follows the sources of the spec, and takes over their newest revision if that may have changed. */
	load(application: Application, client: Client, signal: AbortSignal, now: number): Promise<void>;
	/** Renders and checks other revisions, of these sources or of others. Throws SourceError. */
	at(asked: readonly Asked[], application: Application, client: Client, signal: AbortSignal): Promise<CheckedRevision>;
	/** Renders and checks trees that are no revisions of the sources yet, with what the other sources have at present. */
	checkPushed(pushed: Pushed, application: Application, client: Client, signal: AbortSignal): Promise<CheckedPush>;
	/** The commit that last changed a line of a file of the present revision; undefined where the source has no commits. */
	commitOf(position: Position): Promise<Commit | undefined>;
}

/** A revision of a source: a branch, a tag or a commit. */
export interface Asked {
	readonly source: ApplicationSource;
	readonly revision: string;
}

export type CheckedRevision = Checked & { readonly revision: Revision };

/** The tree that a push brings to a source; undefined where it brings none. */
export type Pushed = (source: ApplicationSource) => Promise<Tree> | undefined;

/** `unread` are the sources that cannot be read at present, whose objects were not looked at. */
export type CheckedPush = Checked & { readonly unread: readonly string[] };

export interface LoadingOptions {
	readonly following: Following;
	readonly openSource: (source: ApplicationSource, application: Application) => Promise<Source>;
	readonly progress: ProgressFeed;
	readonly check: (
		parts: readonly Part[],
		application: Application,
		client: Client,
		signal: AbortSignal,
		/** Whether `parts` are all that the application has: then a sync may prune what they do not describe. */
		whole?: boolean,
	) => Promise<Checked>;
	/** Called with what the application wants now, and wanted before. */
	readonly onTaken: (now: ReadonlyMap<string, Desired>, before: ReadonlyMap<string, Desired>) => void;
	/** Called with the ids of the objects that a revision is refused for. */
	readonly onRefused: (ids: ReadonlySet<string>) => void;
}

export function createLoading({ following, openSource, progress, check, onTaken, onRefused }: LoadingOptions): Loading {
	const wanted: Wanted = {
		desired: new Map(),
		revision: undefined,
		problem: undefined,
		repeated: undefined,
		sourceTypes: ['Directory'],
	};
	let loaded: string | undefined;
	/** When a revision was refused: what it lacks in the cluster may come. */
	let refusedAt: number | undefined;

	/** From now on the application wants this. */
	const take = ({ desired, repeated, types }: Checked, revision: Revision) => {
		const before = wanted.desired;
		wanted.desired = desired;
		wanted.revision = revision;
		wanted.sourceTypes = types;
		const message = cut(summary(repeated.map(formatProblem)));
		wanted.repeated = repeated.length > 0 ? { type: 'RepeatedResourceWarning', message } : undefined;
		onTaken(desired, before);
	};

	/** After a start with a source that cannot be reached, or is refused: what was synced last may be at hand, and is then kept up. */
	const recover = async (application: Application, client: Client, signal: AbortSignal) => {
		const { revision = '', revisions = [revision] } = application.status?.sync ?? {};
		const sources = sourcesOf(application);
		if (wanted.revision !== undefined || revisions.includes('') || revisions.length !== sources.length) return;
		try {
			const checked = await check(await partsAt(sources, revisions), application, client, signal);
			if (checked.problems.length === 0) take(checked, revisionAt(application, revisions));
		} catch (error) {
			// The problem that led here is the one to tell.
			if (!(error instanceof SourceError)) throw error;
		}
	};

	/** What the sources that are followed had at these commits. */
	const partsAt = (sources: readonly ApplicationSource[], commits: readonly string[]) =>
		Promise.all(
			sources.map(async (source, index): Promise<Part> => {
				const opened = following.sources[index];
				if (!opened) throw new SourceError('', 'the sources have not been opened yet');
				return { source, tree: await opened.tree(commits[index] ?? '') };
			}),
		);

	/** What the sources have now; of one that lacks its revision the text that says so. */
	const current = async (application: Application): Promise<readonly Part[] | string> => {
		const opened = await following.open(application);
		following.stale = false;
		const parts: Part[] = [];
		for (const [index, source] of sourcesOf(application).entries()) {
			const tree = await opened[index]?.current();
			if (!tree) return `${opened[index]?.url} has no revision ${source.targetRevision ?? 'HEAD'}`;
			parts.push({ source, tree });
		}
		return parts;
	};

	const isDue = (identity: string, now: number) =>
		following.stale || loaded !== identity || (refusedAt !== undefined && now - refusedAt >= RECHECK_MS);

	return {
		wanted,

		async load(application, client, signal, now) {
			const { destination, syncPolicy } = application.spec;
			const { syncOptions, managedNamespaceMetadata } = syncPolicy ?? {};
			const sources = [isListed(application), ...sourcesOf(application)];
			const identity = JSON.stringify([sources, destination, syncOptions, managedNamespaceMetadata]);
			if (!isDue(identity, now)) return;
			refusedAt = undefined;
			try {
				const parts = await current(application);
				loaded = identity;
				if (typeof parts === 'string') {
					const { revision, revisions = revision ? [revision] : [] } = application.status?.sync ?? {};
					const before = wanted.revision ? revisionText(wanted.revision) : revisions.map(short).join(', ');
					const message = before
						? `${parts}: what ${before} described stays as it is until there is one`
						: `${parts} yet; push one`;
					wanted.problem = { type: 'ComparisonError', message };
					await recover(application, client, signal);
					return;
				}
				const revision = revisionAt(
					application,
					parts.map(({ tree }) => tree.revision),
				);
				const checked = await check(parts, application, client, signal);
				onRefused(checked.refused);
				if (checked.problems.length > 0) {
					refusedAt = now;
					const lines = checked.problems.map(formatProblem);
					const text = `revision ${revisionText(revision)} is refused, nothing of it is applied: ${summary(lines)}`;
					wanted.problem = { type: 'ComparisonError', message: cut(text) };
					progress.tell({ type: 'refused', revision, lines });
					await recover(application, client, signal);
					return;
				}
				wanted.problem = undefined;
				take(checked, revision);
			} catch (error) {
				following.stale = true;
				if (!(error instanceof SourceError)) throw error;
				wanted.problem = { type: 'ComparisonError', message: error.message };
				await recover(application, client, signal);
			}
		},

		async at(asked, application, client, signal) {
			const followed = sourcesOf(application).map(shownSource);
			const opened = await following.open(application);
			await using others = new AsyncDisposableStack();
			const parts: Part[] = [];
			for (const { source, revision } of asked) {
				// What was recorded has no credentials in it.
				const own = followed.findIndex(({ repoURL }) => repoURL === shownSource(source).repoURL);
				let from = opened[own];
				if (!from) {
					from = others.use(await openSource({ ...source, targetRevision: revision }, application));
					await from.refresh();
				}
				parts.push({ source, tree: await from.tree((await from.resolve(revision)) ?? revision) });
			}
			const commits = parts.map(({ tree }) => tree.revision);
			const sources = asked.map(({ source }) => source);
			return {
				revision: revisionAt(application, commits, sources),
				...(await check(parts, application, client, signal)),
			};
		},

		async checkPushed(pushed, application, client, signal) {
			const sources = sourcesOf(application);
			// Of one source there is only what is pushed, and nothing of it need be open.
			const opened = sources.length > 1 ? await following.open(application) : [];
			const before = wanted.revision ? commitsOf(wanted.revision) : (application.status?.sync?.revisions ?? []);
			const parts: Part[] = [];
			const unread: string[] = [];
			for (const [index, source] of sources.entries()) {
				const tree = (await pushed(source)) ?? (await treeAtHand(opened[index], before[index]));
				if (tree) parts.push({ source, tree });
				else unread.push(labelsOf(sources)[index] ?? source.repoURL);
			}
			return { ...(await check(parts, application, client, signal, unread.length === 0)), unread };
		},

		async commitOf({ source, file, line }) {
			const sources = wanted.revision?.sources ?? [];
			const index = Math.max(0, labelsOf(sources.map((each) => each.source)).indexOf(source));
			const commit = sources[index]?.commit;
			return commit === undefined ? undefined : following.sources[index]?.blame(commit, file, line);
		},
	};
}

/** What a source that is followed was seen to have last, or had at a commit of before; nobody waits for a network here. */
async function treeAtHand(source: Source | undefined, before: string | undefined): Promise<Tree | undefined> {
	const revision = source?.state.revision ?? before;
	if (!source || !revision) return undefined;
	try {
		return await source.tree(revision);
	} catch (error) {
		if (!(error instanceof SourceError)) throw error;
		return undefined;
	}
}

function summary(lines: readonly string[]): string {
	const shown = lines.slice(0, MAX_CONDITION_LINES).join('; ');
	return lines.length > MAX_CONDITION_LINES ? `${shown}; and ${lines.length - MAX_CONDITION_LINES} more` : shown;
}
