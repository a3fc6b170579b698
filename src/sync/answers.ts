/**
 * What only sync knows of an application, for those who ask: the manifests that it applies, and what a sync would change, now or
 * to another revision. Nothing is stored by asking.
 */
import { json } from 'node:stream/consumers';
import type { Answers, Question } from '../api/index.ts';
import { pathOf } from '../client/index.ts';
import {
	ApiError,
	type Application,
	badRequest,
	type Dynamic,
	keyOf,
	notServed,
	type Status,
	serviceUnavailable,
} from '../kinds/index.ts';
import type { Context } from '../reconcile/index.ts';
import type { Applications } from './application.ts';
import { blame } from './blame.ts';
import { createComparison } from './compare/compare.ts';
import { homeless } from './operation/absent.ts';
import { formatProblem } from './render/index.ts';
import { commitsOf, type Revision, revisionText, sourcesOf, wrongRevisions } from './revision.ts';
import { callPeer, type Peers, SourceError } from './source/index.ts';
import type { ApplicationState } from './state.ts';
import { report } from './status/report.ts';
import { timestamp } from './status/write-status.ts';
import type { Checked } from './want/check.ts';
import { type Desired, idOf, managerOf } from './want/desired.ts';

/** What stands for the value of a Secret. */
const HIDDEN = '(hidden)';

/** In the query of a question that another server has passed on: it is not passed on again. */
const PASSED_ON = 'passedOn';

/**
 * `manifests`: a List of what the application applies. `plan`: the application with the status that it would have, whose
 * resources say what a sync would change. Both of the revision that it follows, or of that in the query's `revision`, one for each source.
 * `blame`: who owns each field of one of its objects, and which line says it. A server
 * that does not lead asks the one that does; who may ask has been decided by then.
 */
export function createAnswers(applications: Applications, peers?: Peers): Answers {
	return async (question) => {
		const { context } = applications;
		if (!context) return passOn(question, peers);
		const { object, subresource, query, signal } = question;
		const application = object as Application;
		const outside = applications.outside(application.metadata.namespace);
		if (outside !== undefined) throw new ApiError(403, 'Forbidden', outside);
		const state = applications.states.get(keyOf(application));
		if (!state)
			throw serviceUnavailable(`${application.metadata.name} has not been looked at yet; ask again in a moment`);
		if (subresource === 'blame') return blamed(application, query, state, context);
		const wanted = await wantedOf(application, query.getAll('revision'), state, context, signal);
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

async function passOn(
	{ kind, object, subresource, query, signal }: Question,
	peers: Peers | undefined,
): Promise<object> {
	const leader = query.has(PASSED_ON) ? undefined : await peers?.leader();
	if (!leader || !peers)
		throw serviceUnavailable('no server leads the control plane at the moment; ask again in a few seconds');
	const path = `${pathOf(kind, object.metadata, subresource)}?${new URLSearchParams([...query, [PASSED_ON, '1']])}`;
	const call = { method: 'GET', headers: { accept: 'application/json' }, signal };
	try {
		const { sent, response } = await callPeer(leader, path, call, peers.certificates);
		sent.end();
		const answer = await response;
		const body = (await json(answer)) as object & Partial<Status>;
		if (answer.statusCode === 200) return body;
		throw new ApiError(answer.statusCode ?? 500, body.reason ?? 'InternalError', body.message ?? '');
	} catch (error) {
		if (error instanceof ApiError) throw error;
		throw serviceUnavailable(
			`the server that leads does not answer: ${error instanceof Error ? error.message : error}`,
		);
	}
}

interface Wanted {
	readonly revision: Revision;
	readonly desired: ReadonlyMap<string, Desired>;
	/** How each source was rendered. */
	readonly types: Checked['types'];
}

async function wantedOf(
	application: Application,
	asked: readonly string[],
	state: ApplicationState,
	{ client }: Context,
	signal: AbortSignal,
): Promise<Wanted> {
	const sources = sourcesOf(application);
	if (asked.length === 0) {
		const { revision, desired, problem } = state;
		if (!revision) throw serviceUnavailable(problem?.message ?? 'the source has not been read yet');
		return { revision, desired, types: state.sourceTypes };
	}
	const wrong = wrongRevisions(asked, sources);
	if (wrong) throw badRequest(wrong);
	try {
		const revisions = sources.map((source, index) => ({ source, revision: asked[index] ?? '' }));
		const other = await state.at(revisions, application, client, signal);
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

/** The query names the object as Argo CD's resources do: `group`, `kind`, `namespace`, `name`; and a `field`, if one is asked for. */
async function blamed(application: Application, query: URLSearchParams, state: ApplicationState, { cache }: Context) {
	const [group = '', kind = '', namespace, name = '', field] = ['group', 'kind', 'namespace', 'name', 'field'].map(
		(part) => query.get(part) || undefined,
	);
	if (!kind || !name) throw badRequest('which object? the query names its kind and name, and its group and namespace');
	const apiVersion = group ? `${group}/` : '';
	const id = idOf({ apiVersion, kind, metadata: { name, namespace } });
	const desired = state.desired.get(id);
	const live = desired ? (cache.informer(desired.kind).get(desired.key) as Dynamic | undefined) : state.tracked.get(id);
	if (!live) throw new ApiError(404, 'NotFound', `${id} is no object of the application that is in the cluster`);
	const fields = await blame(live, desired, managerOf(application), field, state.commitOf);
	if (field !== undefined && fields.length === 0)
		throw new ApiError(404, 'NotFound', `nobody owns a field ${field} of ${id}`);
	const { apiVersion: version, metadata } = live;
	const about = { apiVersion: version, kind, namespace: metadata.namespace, name: metadata.name };
	return {
		apiVersion: 'driftless.io/v1',
		kind: 'Blame',
		object: about,
		revision: state.revision && commitsOf(state.revision).join(', '),
		fields,
	};
}

async function plan(
	application: Application,
	{ revision, desired, types }: Wanted,
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
	const { syncOptions: options } = application.spec.syncPolicy ?? {};
	const lacking = homeless(objects.values(), { application, options, desired, cache });
	const observed = { objects, revision, problems: [], known: true, sourceTypes: types, homeless: lacking };
	return { ...application, status: report(application, observed, timestamp({ now })) };
}
