/**
 * Subresources that only somebody above the API can answer, such as what an application would change: who composes the process
 * gives the answer, so that rights, clients and kubectl work for such questions as for all else, and the API knows nothing of them.
 */
import type { Kind } from '../../kinds/kind.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { methodNotAllowed, notServed, serviceUnavailable } from '../../kinds/status.ts';
import type { Api } from '../api.ts';
import type { Exchange } from './exchange.ts';
import { negotiate } from './negotiate.ts';
import { sendJson } from './respond.ts';
import type { ResourceRoute } from './route.ts';

export interface Question {
	readonly kind: Kind;
	/** As it is stored; frozen. */
	readonly object: KubeObject;
	readonly subresource: string;
	readonly query: URLSearchParams;
	/** Aborts when the asker goes, or the server closes. */
	readonly signal: AbortSignal;
}

/** The object to be sent. Throws ApiError: 503 where this process cannot know. */
export type Answers = (question: Question) => Promise<object>;

export interface Given {
	readonly api: Api;
	readonly answers: Answers | undefined;
}

/** Answers a GET of such a subresource. Throws ApiError. */
export async function serveGiven(
	{ api, answers }: Given,
	exchange: Exchange,
	kind: Kind,
	{ namespace, name, subresource = '' }: ResourceRoute,
	verb: string,
): Promise<void> {
	const { request, response, query, caller, signal } = exchange;
	if (verb !== 'get') throw methodNotAllowed();
	if (name === undefined || kind.namespaced !== (namespace !== undefined)) throw notServed();
	const form = negotiate(request.headers.accept, 'other');
	const { object } = await api.get({ kind, namespace, name }, {}, caller);
	if (!answers) throw serviceUnavailable(`this server does not answer ${kind.plural}/${subresource}`);
	sendJson(request, response, 200, await answers({ kind, object, subresource, query, signal }), form);
}
