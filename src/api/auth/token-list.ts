/** Bearer tokens as lines `token,user,uid,"group1,group2"`, as Kubernetes' static token file has them. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { User } from './user.ts';

export interface KnownToken {
	readonly digest: Buffer;
	readonly user: User;
}

const digestOf = (token: string) => createHash('sha256').update(token).digest();

/** The user of a token; undefined where it is none of these. */
export function userOf(known: readonly KnownToken[], token: string): User | undefined {
	const digest = digestOf(token);
	let user: User | undefined;
	// Every token is compared, in constant time, so that the time of an answer says nothing.
	for (const each of known) if (timingSafeEqual(each.digest, digest)) user = each.user;
	return user;
}

/** Empty lines, and those that begin with `#`, are no tokens. Throws an error that names the line for a line that is none. */
export function parseTokens(text: string): KnownToken[] {
	const known: KnownToken[] = [];
	for (const [index, line] of text.split(/\r?\n/).entries()) {
		if (line.trim() === '' || line.startsWith('#')) continue;
		const [token, name, uid, groups = ''] = fields(line);
		if (!token || !name || uid === undefined)
			throw new Error(`line ${index + 1} of the tokens is not of the form token,user,uid,"group1,group2"`);
		const names = groups.split(',').filter((group) => group !== '');
		known.push({ digest: digestOf(token), user: { name, uid: uid || undefined, groups: names } });
	}
	return known;
}

/** The fields of a line of CSV; a quoted one may hold commas. */
function fields(line: string): string[] {
	return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
		([, quoted, plain = '']) => quoted?.replaceAll('""', '"') ?? plain.trim(),
	);
}
