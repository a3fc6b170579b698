/** Hands a request that may be answered to what answers it. */
import { badRequest, methodNotAllowed, notServed } from '../../kinds/status.ts';
import type { Caller } from '../api.ts';
import type { TokenAuthenticator } from '../auth/authenticator.ts';
import { reviewOf } from '../auth/reviews.ts';
import { isObject } from '../json.ts';
import { namedSubresource, subresourceOf } from '../subresources.ts';
import type { Asked } from './attributes.ts';
import { readObject } from './body.ts';
import { type Request, type Response, whileOpen } from './exchange.ts';
import { type Answers, serveGiven } from './given.ts';
import { type Streaming, serveLog } from './kubelet.ts';
import { negotiate } from './negotiate.ts';
import { type Paths, servePath } from './paths.ts';
import { type Serving, serveResource } from './resource.ts';
import { sendJson } from './respond.ts';
import type { ResourceRoute } from './route.ts';

/** Answers what lies below /git/, for whom the authorizer lets there: `path` is the rest, with its leading slash. Never rejects. */
export type ServeGit = (
	request: Request,
	response: Response,
	path: string,
	query: string,
	user: string,
) => Promise<void>;

export interface Answering {
	readonly serving: Serving;
	readonly streaming: Streaming;
	readonly paths: Paths;
	readonly tokens: TokenAuthenticator;
	readonly answers: Answers | undefined;
	readonly git: ServeGit | undefined;
	readonly closing: AbortSignal;
}

/** Answers a request; `begun` is called when a watch has sent what there was when it began. Throws ApiError. */
export async function answer(
	with_: Answering,
	request: Request,
	response: Response,
	asked: Asked,
	caller: Caller,
	begun: () => void,
): Promise<void> {
	const { serving, paths, git, closing } = with_;
	const { route, kind, query, verb, user } = asked;
	if (route.type === 'path' && git && route.path.startsWith('/git/'))
		return git(request, response, route.path.slice('/git'.length), query.toString(), user.name);
	if (route.type === 'path') return servePath(paths, request, response, route.path, query);
	const review = reviewOf(route.group, route.version, route.plural);
	if (review && !route.name && (route.namespace !== undefined) === review.namespaced)
		return answerReview(with_, request, response, asked, review, route);
	if (!kind) throw notServed();
	const stream = namedSubresource(route.subresource)?.answer === 'stream';
	const given = subresourceOf(kind, route.subresource ?? '')?.answer === 'given';
	if (verb !== 'watch' && !stream && !given)
		return serveResource(serving, { request, response, query, caller, signal: closing }, kind, route, verb);
	return whileOpen(response, closing, async (signal) => {
		const exchange = { request, response, query, caller, signal, begun };
		if (given) return serveGiven({ api: serving.api, answers: with_.answers }, exchange, kind, route, verb);
		if (!stream) return serveResource(serving, exchange, kind, route, verb);
		const subresource = subresourceOf(kind, route.subresource ?? '');
		if (!subresource || !route.name) throw notServed();
		if (subresource.upgrade) throw badRequest('Upgrade request required');
		if (verb !== 'get') throw methodNotAllowed();
		return serveLog(with_.streaming, exchange, kind, route, caller);
	});
}

async function answerReview(
	{ serving: { api, now }, tokens }: Answering,
	request: Request,
	response: Response,
	{ user }: Asked,
	review: NonNullable<ReturnType<typeof reviewOf>>,
	{ namespace }: ResourceRoute,
): Promise<void> {
	if (request.method !== 'POST') throw methodNotAllowed();
	const form = negotiate(request.headers.accept, 'other');
	const { value: body } = await readObject(request, api.registry.schemas);
	if (!isObject(body)) throw badRequest(`the body is no ${review.kind}: it must be a JSON object`);
	const answered = await review.answer({ body, user, tokens, authorizer: api.authorizer, namespace, now: now() });
	return sendJson(request, response, 201, answered, form);
}
