/**
 * What an application was made of: each of its sources with the commit that was read, and where its objects go. Another path
 * of the same commit is another revision, since it describes other objects. Pure.
 */
import { equalJson } from '../diff/index.ts';
import type { Application, ApplicationDestination, ApplicationSource, SyncOperationResult } from '../kinds/index.ts';
import { withoutCredentials } from './source/index.ts';
import { short } from './status/revision.ts';

export interface Revision {
	/** In the order of the spec. */
	readonly sources: readonly SourceRevision[];
	readonly destination: ApplicationDestination;
}

export interface SourceRevision {
	readonly source: ApplicationSource;
	/** The id of a commit, or the hash of a folder. */
	readonly commit: string;
}

/** The form in which status and history keep a revision: Argo CD's, and the destination. */
export type Recorded = Pick<SyncOperationResult, 'revision' | 'revisions' | 'source' | 'sources' | 'destination'>;

/** The sources of an application, one or several. */
export function sourcesOf({ spec }: Pick<Application, 'spec'>): readonly ApplicationSource[] {
	return spec.sources ?? (spec.source ? [spec.source] : []);
}

/** The application as it is, at these commits: one for each of `sources`. */
export function revisionAt(
	application: Pick<Application, 'spec'>,
	commits: readonly string[],
	sources = sourcesOf(application),
): Revision {
	return {
		sources: sources.map((source, index) => ({ source, commit: commits[index] ?? '' })),
		destination: application.spec.destination,
	};
}

/** Whether two describe the same objects. Which name led to a commit does not matter. */
export function sameRevision(a: Revision | undefined, b: Revision | undefined): boolean {
	if (!a || !b || a.sources.length !== b.sources.length) return false;
	const meaning = ({ sources, destination }: Revision) => ({
		sources: sources.map(({ source, commit }) => {
			const { targetRevision: _, ...rest } = shownSource(source);
			return { source: rest, commit };
		}),
		destination,
	});
	return a === b || equalJson(meaning(a), meaning(b));
}

/** Whether one of its sources is at this commit. */
export function isAt({ sources }: Revision, commit: string): boolean {
	return sources.some((each) => each.commit === commit);
}

export function commitsOf({ sources }: Revision): string[] {
	return sources.map(({ commit }) => commit);
}

/** Its commits, short enough to look at. */
export function revisionText(revision: Revision): string {
	return commitsOf(revision).map(short).join(', ');
}

/** A source as a status shows it: who may read that need not know the credentials in a URL. */
export function shownSource(source: ApplicationSource): ApplicationSource {
	const { repoURL } = source;
	return repoURL.includes('@') ? { ...source, repoURL: withoutCredentials(repoURL) } : source;
}

export function recordOf({ sources, destination }: Revision): Recorded {
	const [first, ...more] = sources;
	if (first && more.length === 0) return { revision: first.commit, source: shownSource(first.source), destination };
	return {
		revision: '',
		revisions: sources.map(({ commit }) => commit),
		sources: sources.map(({ source }) => shownSource(source)),
		destination,
	};
}

/** The inverse of recordOf; undefined where not all of it was recorded. */
export function revisionFrom(record: Partial<Recorded> | undefined): Revision | undefined {
	if (!record?.destination) return undefined;
	const { sources = record.source ? [record.source] : [], revisions = [record.revision ?? ''], destination } = record;
	if (sources.length === 0 || sources.length !== revisions.length || revisions.includes('')) return undefined;
	return { sources: sources.map((source, index) => ({ source, commit: revisions[index] ?? '' })), destination };
}
