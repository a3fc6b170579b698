/** A request in the name of somebody else. Source: Kubernetes documentation, "User impersonation". */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { badRequest } from '../../kinds/status.ts';
import { type Authorizer, forbiddenBy, type ResourceAttributes } from './authorizer.ts';
import { anonymous, authenticatedGroup, type User } from './user.ts';

const prefix = 'impersonate-';
const extraHeader = `${prefix}extra-`;
const serviceAccount = /^system:serviceaccount:([^:]+):([^:]+)$/;

/**
 * The user that a request acts as: `user` himself where it names nobody. Throws 400 for headers that name no user, 403 for
 * what `user` may not act as; each name, group, uid and extra is asked for by itself.
 */
export async function impersonated(
	{ headers, rawHeaders }: Pick<IncomingMessage, 'headers' | 'rawHeaders'>,
	user: User,
	authorizer: Authorizer,
): Promise<User> {
	if (!asksForIt(headers)) return user;
	const name = headers['impersonate-user'];
	const values = valuesOf(rawHeaders);
	const groups = values.get('impersonate-group') ?? [];
	const uid = headers['impersonate-uid'];
	const extra = extraOf(values);
	if (name === undefined) {
		if (groups.length > 0 || uid !== undefined || extra)
			throw badRequest('requested to impersonate groups, a uid or extra without impersonating a user');
		return user;
	}
	const ask = async (resource: string, of: string, more: Partial<ResourceAttributes> = {}) => {
		const asked: ResourceAttributes = {
			type: 'resource',
			verb: 'impersonate',
			group: '',
			version: 'v1',
			resource,
			name: of,
			...more,
		};
		const { allowed, reason } = await authorizer.authorize(user, asked);
		if (!allowed) throw forbiddenBy(user, asked, reason);
	};
	const as = String(name);
	const [, namespace, account] = serviceAccount.exec(as) ?? [];
	if (account) await ask('serviceaccounts', account, { namespace });
	else await ask('users', as);
	for (const group of groups) await ask('groups', group);
	const authentication = { group: 'authentication.k8s.io' };
	if (uid !== undefined) await ask('uids', String(uid), authentication);
	for (const [key, values] of Object.entries(extra ?? {}))
		for (const value of values) await ask('userextras', value, { ...authentication, subresource: key });

	const given =
		groups.length === 0 && account ? ['system:serviceaccounts', `system:serviceaccounts:${namespace}`] : groups;
	return {
		name: as,
		uid: uid === undefined ? undefined : String(uid),
		groups: as === anonymous.name ? anonymous.groups : [...new Set([...given, authenticatedGroup])],
		extra,
	};
}

/** Hardly a request does, and each is looked at. */
function asksForIt(headers: IncomingHttpHeaders): boolean {
	for (const name in headers) if (name.startsWith(prefix)) return true;
	return false;
}

/**
 * The values of the headers that ask for it, each by itself, whatever is in it: `headers` has them joined. Read once, since
 * there may be thousands, and it is not known yet whether the one who asks may ask for anything.
 */
function valuesOf(rawHeaders: readonly string[]): ReadonlyMap<string, readonly string[]> {
	const values = new Map<string, string[]>();
	for (const [index, written] of rawHeaders.entries()) {
		if (index % 2 !== 0) continue;
		const header = written.toLowerCase();
		if (!header.startsWith(prefix)) continue;
		const known = values.get(header);
		const value = rawHeaders[index + 1] ?? '';
		if (known) known.push(value);
		else values.set(header, [value]);
	}
	return values;
}

/** Keys are escaped, since names of headers have no upper case. Throws 400 for what is not properly escaped. */
function extraOf(values: ReadonlyMap<string, readonly string[]>): User['extra'] {
	const extra: [string, readonly string[]][] = [];
	for (const [header, of] of values) {
		if (!header.startsWith(extraHeader)) continue;
		try {
			extra.push([decodeURIComponent(header.slice(extraHeader.length)), of]);
		} catch {
			throw badRequest(`the header ${header} is not properly escaped`);
		}
	}
	return extra.length > 0 ? Object.fromEntries(extra) : undefined;
}
