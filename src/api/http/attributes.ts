/** What a request asks for, as authorization and fairness see it. */
import type { Kind } from '../../kinds/kind.ts';
import { type FieldTerm, parseFieldSelector } from '../../kinds/selectors.ts';
import { badRequest } from '../../kinds/status.ts';
import type { Attributes } from '../auth/authorizer.ts';
import type { User } from '../auth/user.ts';
import { namedSubresource } from '../subresources.ts';
import type { Request } from './exchange.ts';
import { flag } from './query.ts';
import { type ResourceRoute, type Route, routeOf } from './route.ts';

/** A request of which it is known who asks, and for what. */
export interface Asked {
	readonly route: Route;
	/** Of the resource, where it is served. */
	readonly kind: Kind | undefined;
	readonly query: URLSearchParams;
	readonly verb: string;
	readonly user: User;
	readonly attributes: Attributes;
}

const noQuery = new URLSearchParams();

/** Throws 400 for a path that is not properly escaped. */
export function locate({ url = '/' }: Request): { readonly route: Route; readonly query: URLSearchParams } {
	const mark = url.indexOf('?');
	const path = mark < 0 ? url : url.slice(0, mark);
	try {
		return { route: routeOf(path), query: mark < 0 ? noQuery : new URLSearchParams(url.slice(mark + 1)) };
	} catch {
		throw badRequest(`the path ${JSON.stringify(path)} is not properly escaped`);
	}
}

/** Throws 400 where a request names several hosts, of which each on its way may take another one. Source: RFC 9112, 3.2. */
export function checkHost({ rawHeaders }: Pick<Request, 'rawHeaders'>): void {
	let hosts = 0;
	for (let at = 0; at < rawHeaders.length; at += 2) if (rawHeaders[at]?.toLowerCase() === 'host') hosts++;
	if (hosts > 1) throw badRequest('too many Host headers');
}

/** The verb of a request, as authorization names it. */
export function verbOf({ method = '' }: Request, route: Route, query: URLSearchParams): string {
	return route.type === 'path' ? method.toLowerCase() : resourceVerb(method, route, query);
}

function resourceVerb(method: string, route: ResourceRoute, query: URLSearchParams): string {
	switch (method) {
		case 'GET':
		case 'HEAD':
			if (route.watch || (!route.name && flag(query, 'watch'))) return 'watch';
			if (route.name && !route.subresource && flag(query, 'watch')) return 'watch';
			return route.name ? 'get' : 'list';
		case 'POST':
			return 'create';
		case 'PUT':
			return 'update';
		case 'PATCH':
			return 'patch';
		case 'DELETE':
			return route.name ? 'delete' : 'deletecollection';
		default:
			return method.toLowerCase();
	}
}

/** What is asked for; connections are created, whatever method opens them. */
export function attributesOf(route: Route, verb: string, query: URLSearchParams): Attributes {
	if (route.type === 'path') return { type: 'path', verb, path: route.path };
	const { group, version, plural: resource, subresource, namespace } = route;
	const fields = verb === 'list' || verb === 'watch' || verb === 'deletecollection' ? selectedFields(query) : undefined;
	// Whoever may read one object may select that one.
	const name = route.name ?? fields?.find(({ path, negated }) => path === 'metadata.name' && !negated)?.value;
	const asked = namedSubresource(subresource)?.upgrade ? 'create' : verb;
	return { type: 'resource', verb: asked, group, version, resource, subresource, namespace, name, fields };
}

/** Undefined where nothing is selected, or what is no selector: that is told later, to those who may ask. */
function selectedFields(query: URLSearchParams): readonly FieldTerm[] | undefined {
	const text = query.get('fieldSelector');
	if (!text) return undefined;
	try {
		return parseFieldSelector(text);
	} catch {
		return undefined;
	}
}
