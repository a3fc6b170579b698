/** What the sources of an application want now: the newest revision of theirs that has no problem, and why a newer one is not taken. */
import type { Client } from '../client/index.ts';
import type { Application, ApplicationSource, SourceType } from '../kinds/index.ts';
import type { Following } from './following.ts';
import { formatProblem, type Position } from './render/index.ts';
import { isListed, labelsOf, type Revision, revisionAt, revisionText, sourcesOf } from './revision.ts';
import { type Commit, SourceError } from './source/index.ts';
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
	/** The objects, by id, that the API would not have taken when they were. */
	doubtful: ReadonlySet<string>;
}

export interface CheckHow {
	/** Whether the parts are all that the application has: then a sync may prune what they do not describe. Default: they are. */
	readonly whole?: boolean;
	/** Whether they are no revision yet, and who brings them waits for the answer. */
	readonly pushed?: boolean;
}

/** Renders and checks what the sources of an application have, or would have. */
export type Check = (
	parts: readonly Part[],
	application: Application,
	client: Client,
	signal: AbortSignal,
	how?: CheckHow,
) => Promise<Checked>;

export interface Loading {
	readonly wanted: Wanted;
	/** Follows the sources of the spec, and takes over their newest revision if that may have changed. */
	load(application: Application, client: Client, signal: AbortSignal, now: number): Promise<void>;
	/** The commit that last changed a line of a file of the present revision; undefined where the source has no commits. */
	commitOf(position: Position): Promise<Commit | undefined>;
}

export interface LoadingOptions {
	readonly following: Following;
	readonly progress: ProgressFeed;
	readonly check: Check;
	/** Called with what the application wants now, and wanted before. */
	readonly onTaken: (now: ReadonlyMap<string, Desired>, before: ReadonlyMap<string, Desired>) => void;
	/** Called with the ids of the objects that a revision is refused for. */
	readonly onRefused: (ids: ReadonlySet<string>) => void;
}

export function createLoading({ following, progress, check, onTaken, onRefused }: LoadingOptions): Loading {
	const wanted: Wanted = {
		desired: new Map(),
		revision: undefined,
		problem: undefined,
		repeated: undefined,
		sourceTypes: ['Directory'],
		doubtful: new Set(),
	};
	let loaded: string | undefined;
	/** When a revision was refused: what it lacks in the cluster may come. */
	let refusedAt: number | undefined;

	/** From now on the application wants this. */
	const take = ({ desired, repeated, types, doubtful }: Checked, revision: Revision) => {
		const before = wanted.desired;
		wanted.desired = desired;
		wanted.revision = revision;
		wanted.sourceTypes = types;
		// What has not changed was not looked at again.
		wanted.doubtful = new Set([...wanted.doubtful, ...doubtful].filter((id) => desired.has(id)));
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
				progress.tell({ type: 'unread', revision: undefined, message: error.message });
				await recover(application, client, signal);
			}
		},

		async commitOf({ source, file, line }) {
			const sources = wanted.revision?.sources ?? [];
			const index = Math.max(0, labelsOf(sources.map((each) => each.source)).indexOf(source));
			const commit = sources[index]?.commit;
			return commit === undefined ? undefined : following.sources[index]?.blame(commit, file, line);
		},
	};
}

function summary(lines: readonly string[]): string {
	const shown = lines.slice(0, MAX_CONDITION_LINES).join('; ');
	return lines.length > MAX_CONDITION_LINES ? `${shown}; and ${lines.length - MAX_CONDITION_LINES} more` : shown;
}
