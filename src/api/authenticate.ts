/** Who sends a request: a client certificate of the cluster's authority, or a bearer token; and whom he acts for. */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { ApiError, unauthorized } from '../kinds/status.ts';
import { anonymous, authenticatedGroup, mastersGroup, type User } from './authorize.ts';
import type { Tokens } from './tokens.ts';

/** Users of connections by certificate: looked at once a connection. Undefined: there is no certificate. */
const connections = new WeakMap<TLSSocket, User | undefined>();

/**
 * The user of a request; `anonymous` where it carries no credentials. Throws 401 for credentials that are wrong, 403 for an
 * impersonation that is not allowed.
 */
export async function authenticate(request: IncomingMessage, tokens: Tokens): Promise<User> {
	const { authorization } = request.headers;
	let user: User | undefined;
	if (authorization !== undefined) {
		const token = /^Bearer (.+)$/i.exec(authorization)?.[1];
		user = token === undefined ? undefined : await tokens.user(token.trim());
		if (!user) throw unauthorized();
		user = { ...user, groups: [...user.groups, authenticatedGroup] };
	} else user = certified(request);
	return impersonated(request, user ?? anonymous);
}

function certified({ socket }: IncomingMessage): User | undefined {
	if (!(socket instanceof TLSSocket)) return undefined;
	if (connections.has(socket)) return connections.get(socket);
	const { subject } = socket.getPeerCertificate();
	let user: User | undefined;
	if (subject) {
		if (!socket.authorized) throw unauthorized();
		const name = one(subject.CN);
		if (!name) throw unauthorized();
		const organizations: readonly string[] = subject.O === undefined ? [] : [subject.O].flat();
		user = { name, groups: [...organizations, authenticatedGroup] };
	}
	connections.set(socket, user);
	return user;
}

const one = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value);

/** Source: Kubernetes documentation, "User impersonation". Only masters may. */
function impersonated({ headers, headersDistinct }: IncomingMessage, user: User): User {
	const name = headers['impersonate-user'];
	const groups = headersDistinct['impersonate-group'];
	const uid = headers['impersonate-uid'];
	if (name === undefined) {
		if (groups || uid) throw new ApiError(400, 'BadRequest', 'requested to impersonate groups or a uid without a user');
		return user;
	}
	if (!user.groups.includes(mastersGroup))
		throw new ApiError(
			403,
			'Forbidden',
			`users "${name}" is forbidden: User "${user.name}" cannot impersonate resource "users" in API group "" at the cluster scope`,
			{ name: String(name), kind: 'users' },
		);
	const extra: Record<string, readonly string[]> = {};
	for (const [header, values] of Object.entries(headersDistinct)) {
		if (header.startsWith('impersonate-extra-') && values)
			extra[decodeURIComponent(header.slice('impersonate-extra-'.length))] = values;
	}
	return {
		name: String(name),
		uid: uid === undefined ? undefined : String(uid),
		groups: name === anonymous.name ? anonymous.groups : [...new Set([...(groups ?? []), authenticatedGroup])],
		extra: Object.keys(extra).length > 0 ? extra : undefined,
	};
}
