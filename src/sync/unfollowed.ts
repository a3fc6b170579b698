/** Revisions that an application does not follow, or not yet: those that somebody asks for, and those that a push brings. */
import type { Client } from '../client/index.ts';
import type { Application, ApplicationSource } from '../kinds/index.ts';
import type { Following } from './following.ts';
import type { Check, Wanted } from './loading.ts';
import { commitsOf, labelsOf, type Revision, revisionAt, shownSource, sourcesOf } from './revision.ts';
import { type Source, SourceError, type Tree } from './source/index.ts';
import type { Checked } from './want/check.ts';
import type { Part } from './want/parts.ts';

export interface Unfollowed {
	/** Renders and checks other revisions, of these sources or of others. Throws SourceError. */
	at(asked: readonly Asked[], application: Application, client: Client, signal: AbortSignal): Promise<CheckedRevision>;
	/** Renders and checks trees that are no revisions of the sources yet, with what the other sources have at present. */
	checkPushed(pushed: Pushed, application: Application, client: Client, signal: AbortSignal): Promise<CheckedPush>;
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

export interface UnfollowedOptions {
	readonly following: Following;
	readonly openSource: (source: ApplicationSource, application: Application) => Promise<Source>;
	readonly check: Check;
	/** What was taken over last. */
	readonly wanted: Pick<Wanted, 'revision'>;
}

export function createUnfollowed({ following, openSource, check, wanted }: UnfollowedOptions): Unfollowed {
	return {
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
			return {
				...(await check(parts, application, client, signal, { whole: unread.length === 0, pushed: true })),
				unread,
			};
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
