/**
 * What only sync knows of an application, for those who ask: the manifests that it applies, and what a sync would change, now or
 * to another revision. Nothing is stored by asking.
 */
import type { Answers } from '../api/index.ts';
import {
	ApiError,
	type Application,
	badRequest,
	type Dynamic,
	keyOf,
	notServed,
	serviceUnavailable,
} from '../kinds/index.ts';
import type { Context } from '../reconcile/index.ts';
import type { Applications } from './application.ts';
import { createComparison } from './compare/compare.ts';
import { formatProblem } from './render/index.ts';
import { type Revision, revisionText, sourcesOf } from './revision.ts';
import { SourceError } from './source/index.ts';
import type { ApplicationState } from './state.ts';
import { report } from './status/report.ts';
import { timestamp } from './status/write-status.ts';
import { type Desired, managerOf } from './want/desired.ts';

/** What stands for the value of a Secret. */
const HIDDEN = '(hidden)';

/**
 * `manifests`: a List of what the application applies. `plan`: the application with the status that it would have, whose
 * resources say what a sync would change. Both of the revision that it follows, or of that in the query's `revision`.
 */
export function createAnswers(applications: Applications): Answers {
	return async ({ object, subresource, query, signal }) => {
		const { context } = applications;
		if (!context)
			throw serviceUnavailable('this server does not lead the control plane at the moment; ask the one that does');
		const application = object as Application;
		const state = applications.states.get(keyOf(application));
		if (!state)
			throw serviceUnavailable(`${application.metadata.name} has not been looked at yet; ask again in a moment`);
		const wanted = await wantedOf(application, query.get('revision') ?? undefined, state, context, signal);
		switch (subresource) {
			case 'manifests':
				return manifests(wanted.desired);
			case 'plan':
				return plan(application, wanted, state, context);
			default:
				throw notServed();
		}
	};
}

interface Wanted {
	readonly revision: Revision;
	readonly desired: ReadonlyMap<string, Desired>;
}

async function wantedOf(
	application: Application,
	asked: string | undefined,
	state: ApplicationState,
	{ client }: Context,
	signal: AbortSignal,
): Promise<Wanted> {
	const [source] = sourcesOf(application);
	if (asked === undefined || !source) {
		const { revision, desired, problem } = state;
		if (!revision) throw serviceUnavailable(problem?.message ?? 'the source has not been read yet');
		return { revision, desired };
	}
	try {
		const other = await state.at(asked, source, application, client, signal);
		if (other.problems.length === 0) return other;
		const lines = other.problems.map(formatProblem);
		throw badRequest(`revision ${revisionText(other.revision)} is refused: ${lines.join('; ')}`);
	} catch (error) {
		if (error instanceof SourceError) throw new ApiError(404, 'NotFound', error.message);
		throw error;
	}
}

function manifests(desired: ReadonlyMap<string, Desired>) {
	const items = [...desired.values()].map(({ object, kind }) =>
		kind.group === '' && kind.kind === 'Secret' ? hidden(object) : object,
	);
	return { apiVersion: 'v1', kind: 'List', metadata: {}, items };
}

/** As in the status, values of Secrets are never shown: who may ask for manifests may not read Secrets thereby. */
function hidden(secret: Dynamic): Dynamic {
	const of = (values: unknown) =>
		values && Object.fromEntries(Object.keys(values as object).map((key) => [key, HIDDEN]));
	const { data, stringData, ...rest } = secret;
	return {
		...rest,
		...(data ? { data: of(data) } : {}),
		...(stringData ? { stringData: of(stringData) } : {}),
	} as Dynamic;
}

async function plan(
	application: Application,
	{ revision, desired }: Wanted,
	state: ApplicationState,
	{ client, cache, now }: Context,
): Promise<Application> {
	const comparison = createComparison();
	const left = state.left(desired);
	for (const id of [...desired.keys(), ...left.keys()]) comparison.touch(id);
	const live = (id: string) => {
		const each = desired.get(id);
		return each ? (cache.informer(each.kind).get(each.key) as Dynamic | undefined) : left.get(id);
	};
	await comparison.refresh(desired, live, client, managerOf(application));
	const { objects } = comparison;
	const observed = { objects, revision, problems: [], known: true, sourceType: state.sourceType };
	return { ...application, status: report(application, observed, timestamp({ now })) };
}
