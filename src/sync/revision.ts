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
	/** Whether the spec has a list of sources, be it of one: then records are lists too. */
	readonly listed?: boolean;
}

export interface SourceRevision {
	readonly source: ApplicationSource;
	/** The id of a commit, or the hash of a folder. */
	readonly commit: string;
}

/** The form in which status and history keep a revision: Argo CD's, and the destination. */
export type Recorded = Pick<SyncOperationResult, 'revision' | 'revisions' | 'source' | 'sources' | 'destination'>;

/** The sources of an application: where there is a list of them, spec.source counts for nothing. Source: Argo CD, "Multiple Sources for an Application". */
export function sourcesOf({ spec }: Pick<Application, 'spec'>): readonly ApplicationSource[] {
	if (isListed({ spec })) return spec.sources ?? [];
	return spec.source ? [spec.source] : [];
}

/** Whether an application has a list of sources, be it of one. */
export const isListed = ({ spec }: Pick<Application, 'spec'>): boolean => (spec.sources?.length ?? 0) > 0;

/**
 * How each of several sources is called before the paths of its files: by its name, or else by its URL, with the revision where
 * only that tells two apart. Undefined where there is one: its files need no more than their paths.
 */
export function labelsOf(sources: readonly ApplicationSource[]): readonly (string | undefined)[] {
	if (sources.length < 2) return sources.map(() => undefined);
	const label = (source: ApplicationSource) => source.name || shownSource(source).repoURL;
	const revision = ({ targetRevision }: ApplicationSource) => targetRevision || 'HEAD';
	return sources.map((source) => {
		const alike = sources.filter((other) => label(other) === label(source));
		const told = alike.every((other) => revision(other) === revision(source));
		return told ? label(source) : `${label(source)}@${revision(source)}`;
	});
}

/** Why these cannot be the revisions of the sources; undefined where they can: one for each. */
export function wrongRevisions(
	revisions: readonly string[],
	{ length }: readonly ApplicationSource[],
): string | undefined {
	if (revisions.length === length) return undefined;
	const have = `the application has ${length === 1 ? 'one source' : `${length} sources`}`;
	return `${have}, and ${revisions.length === 1 ? 'one revision is' : `${revisions.length} revisions are`} asked for: name one for each`;
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
		listed: isListed(application),
	};
}

/** Whether two describe the same objects. Which name led to a commit does not matter, and how a source is called. */
export function sameRevision(a: Revision | undefined, b: Revision | undefined): boolean {
	if (!a || !b || a.sources.length !== b.sources.length) return false;
	const meaning = ({ sources, destination }: Revision) => ({
		sources: sources.map(({ source, commit }) => {
			const { targetRevision: _, name: __, ...rest } = shownSource(source);
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

export function recordOf({ sources, destination, listed }: Revision): Recorded {
	const [first, ...more] = sources;
	if (first && more.length === 0 && !listed)
		return { revision: first.commit, source: shownSource(first.source), destination };
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
	const both = sources.map((source, index) => ({ source, commit: revisions[index] ?? '' }));
	return { sources: both, destination, listed: record.sources !== undefined };
}
