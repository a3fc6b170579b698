/** What a sync is about: the revision that the application follows, or another one that was asked for. */
import { equalJson } from '../../diff/index.ts';
import type { Application, Dynamic, Operation, SyncOperation } from '../../kinds/index.ts';
import type { Context } from '../../reconcile/index.ts';
import { type Compared, type Comparison, createComparison } from '../compare/compare.ts';
import { formatProblem } from '../render/index.ts';
import { commitsOf, type Revision, revisionText, sameRevision, sourcesOf } from '../revision.ts';
import { SourceError } from '../source/index.ts';
import type { ApplicationState } from '../state.ts';
import type { Asked, CheckedRevision } from '../unfollowed.ts';
import { type Desired, managerOf } from '../want/desired.ts';
import { othersOf, revisionsOf } from './request.ts';

export interface Subject {
	readonly revision: Revision;
	/** Everything that is wanted or was left over, as it compares, by id. */
	readonly objects: ReadonlyMap<string, Compared>;
	/** What is in the cluster and not wanted, what is on its way out included. */
	readonly left: ReadonlyMap<string, Dynamic>;
	readonly desired: ReadonlyMap<string, Desired>;
}

/** Another revision than the one that is followed, kept while a sync to it runs: it is read, rendered and checked once. */
export interface Aside {
	readonly asked: string;
	/** Undefined while it is looked at. */
	found?: { readonly checked: CheckedRevision; readonly comparison: Comparison } | { readonly error: unknown };
}

/** The revision is being looked at, and the application is woken when that is over: nobody waits for a network here. */
export const READING = 'reading';

/** Throws SourceError where the revision cannot be read, or is refused. */
export async function subjectOf(
	application: Application,
	operation: Operation,
	requested: boolean,
	state: ApplicationState,
	context: Context,
): Promise<Subject | typeof READING> {
	const asked = await askedFor(application, operation, state, context);
	if (asked) return asked;
	if (state.revision === undefined || (state.problem && requested))
		throw new SourceError('', state.problem?.message ?? 'the source has not been read yet');
	const { revision, comparison, desired } = state;
	return { revision, objects: comparison.objects, left: state.left(desired), desired };
}

async function askedFor(
	application: Application,
	{ sync = {}, initiatedBy }: Operation,
	state: ApplicationState,
	context: Context,
): Promise<Subject | typeof READING | undefined> {
	const { client, cache } = context;
	const revisions = revisionsOf(sync);
	const others = othersOf(sync);
	if (initiatedBy?.automated || (!revisions && !others)) return undefined;
	const wanted = (others ?? sourcesOf(application)).map((source, index) => ({
		source,
		revision: revisions?.[index] || source.targetRevision || 'HEAD',
	}));
	const followed = others || !state.revision ? [] : commitsOf(state.revision);
	if (
		equalJson(
			wanted.map(({ revision }) => revision),
			followed,
		)
	)
		return undefined;
	const found = look(application, wanted, state, context);
	if (!found) return READING;
	if ('error' in found) {
		state.aside = undefined;
		throw found.error;
	}
	const { checked, comparison } = found;
	if (checked.problems.length > 0) {
		state.aside = undefined;
		const problems = checked.problems.map(formatProblem).join('; ');
		throw new SourceError('', `revision ${revisionText(checked.revision)} is refused: ${problems}`);
	}
	if (sameRevision(checked.revision, state.revision)) return undefined;
	refuseToGoBack(application, sync, checked.revision, state);
	const { desired, revision } = checked;
	for (const id of desired.keys()) comparison.touch(id);
	const live = (id: string) => {
		const wanted = desired.get(id);
		return wanted && (cache.informer(wanted.kind).get(wanted.key) as Dynamic | undefined);
	};
	await comparison.refresh(desired, live, client, managerOf(application));
	return { revision, objects: comparison.objects, left: state.left(desired), desired };
}

/** What came of the look at other revisions, which is begun where it has not been; undefined while it goes on. */
function look(
	application: Application,
	wanted: readonly Asked[],
	state: ApplicationState,
	{ client, signal }: Context,
): Aside['found'] {
	const asked = JSON.stringify([wanted, application.spec.destination, application.spec.syncPolicy?.syncOptions]);
	if (state.aside?.asked === asked) return state.aside.found;
	const aside: Aside = { asked };
	state.aside = aside;
	void state
		.at(wanted, application, client, signal)
		.then(
			(checked) => {
				aside.found = { checked, comparison: createComparison() };
			},
			(error: unknown) => {
				aside.found = { error };
			},
		)
		.finally(state.wake);
	return undefined;
}

/** Automated sync would undo it in the next moment. Source: Argo CD refuses the same. */
function refuseToGoBack(
	{ metadata, spec }: Application,
	{ dryRun }: SyncOperation,
	other: Revision,
	{ revision }: ApplicationState,
): void {
	const automated = spec.syncPolicy?.automated;
	if (dryRun || !automated || automated.enabled === false) return;
	const back = revision ? `to ${revisionText(revision)} ` : '';
	throw new SourceError(
		'',
		`automated sync of ${metadata.name} would go back ${back}at once after a sync to ${revisionText(other)}: switch it off first (spec.syncPolicy.automated.enabled: false), or use: driftless rollback ${metadata.name}`,
	);
}
