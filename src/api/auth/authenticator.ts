/**
 * Authentication: a chain of authenticators over what a request carries. The first that knows the credentials says who it
 * is; credentials that nobody knows are refused, and a request without any is anonymous.
 */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { unauthorized } from '../../kinds/status.ts';
import { anonymous, authenticatedGroup, type User } from './user.ts';

/** What credentials are found in. */
export type Credentials = Pick<IncomingMessage, 'headers' | 'socket'>;

/** Knows users by something in a request. */
export interface Authenticator {
	/** Undefined where the request has no credentials of its sort. Throws 401 for credentials that are wrong. */
	authenticate(request: Credentials): User | undefined | Promise<User | undefined>;
}

/** Knows users by bearer tokens, also by those that a TokenReview asks about. */
export interface TokenAuthenticator {
	/** The user of a token; undefined for a token that is none of its. */
	authenticate(token: string): Promise<User | undefined>;
}

/** Several sorts of tokens as one. */
export function tokenChain(tokens: readonly TokenAuthenticator[]): TokenAuthenticator {
	return {
		async authenticate(token) {
			for (const each of tokens) {
				const user = await each.authenticate(token);
				if (user) return user;
			}
			return undefined;
		},
	};
}

/** The user of a request, in the group of all who are known; `anonymous` where nobody knows him. */
export async function authenticate(request: Credentials, authenticators: readonly Authenticator[]): Promise<User> {
	for (const each of authenticators) {
		const found = each.authenticate(request);
		// Most know at once: a turn of the event loop's queue is more than they need.
		const user = found instanceof Promise ? await found : found;
		if (user) return user.groups.includes(authenticatedGroup) ? user : known(user);
	}
	return anonymous;
}

const known = (user: User): User => ({ ...user, groups: [...user.groups, authenticatedGroup] });

/** `Authorization: Bearer TOKEN`. */
export const bearer = (tokens: TokenAuthenticator): Authenticator => ({
	authenticate: ({ headers: { authorization } }) =>
		authorization === undefined ? undefined : userOf(tokens, authorization),
});

async function userOf(tokens: TokenAuthenticator, authorization: string): Promise<User> {
	const token = /^Bearer (.+)$/i.exec(authorization)?.[1];
	const user = token === undefined ? undefined : await tokens.authenticate(token.trim());
	if (!user) throw unauthorized();
	return user;
}

/** Who has made a connection, and until when (ms since the epoch) that is true. */
interface Connected {
	readonly user: User;
	readonly ends: number;
}

/** A client certificate of the cluster's authority: CN is the user, each O a group. It is good until its end, on open connections too. */
export function clientCertificate(now: () => number): Authenticator {
	/** Certificates are looked at once a connection. Undefined: there is none. */
	const connections = new WeakMap<TLSSocket, Connected | undefined>();
	return {
		authenticate({ socket }) {
			if (!(socket instanceof TLSSocket)) return undefined;
			if (!connections.has(socket)) {
				// Gone: nobody reads the answer, and the certificate cannot be read any more.
				if (socket.destroyed) return undefined;
				connections.set(socket, connectedBy(socket));
			}
			const connected = connections.get(socket);
			if (connected && connected.ends <= now()) throw unauthorized();
			return connected?.user;
		},
	};
}

/** Throws 401 for a certificate that is not of the authority, or names nobody. */
function connectedBy(socket: TLSSocket): Connected | undefined {
	const { subject, valid_to: end } = socket.getPeerCertificate();
	if (!subject) return undefined;
	if (!socket.authorized) throw unauthorized();
	const name = Array.isArray(subject.CN) ? subject.CN[0] : subject.CN;
	if (!name) throw unauthorized();
	const organizations: readonly string[] = subject.O === undefined ? [] : [subject.O].flat();
	return { user: known({ name, groups: organizations }), ends: Date.parse(end) };
}
