/** Bearer tokens from a file of lines `token,user,uid,"group1,group2"`, as Kubernetes' static token file has them. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Log } from '../../log.ts';
import type { TokenAuthenticator } from './authenticator.ts';
import type { User } from './user.ts';

/** The file is looked at again at most this often (ms), so that a token added or taken away counts without a restart. */
const freshFor = 1_000;

interface Known {
	readonly digest: Buffer;
	readonly user: User;
}

const digestOf = (token: string) => createHash('sha256').update(token).digest();

/** Reads the file when a token is first asked for; a file that does not exist has no tokens. */
export function openTokenFile(path: string, log: Log, now: () => number = Date.now): TokenAuthenticator {
	let known: readonly Known[] = [];
	let version = '';
	let checked = Number.NEGATIVE_INFINITY;
	let reading: Promise<void> | undefined;
	/** What is wrong with the file, said once and not with each request that brings a token. */
	let fault: string | undefined;

	const refresh = async () => {
		try {
			const { mtimeMs, size, ino } = await stat(path);
			const found = `${mtimeMs} ${size} ${ino}`;
			if (found !== version) {
				known = parseTokens(await readFile(path, 'utf8'));
				version = found;
			}
			fault = undefined;
		} catch (cause) {
			if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
				known = [];
				version = '';
				fault = undefined;
			} else {
				const why = cause instanceof Error ? cause.message : String(cause);
				if (why !== fault)
					log.error({ cause: why, path }, 'the token file cannot be read; the tokens read before stay valid');
				fault = why;
			}
		}
		checked = now();
	};

	return {
		async authenticate(token) {
			if (now() - checked > freshFor) {
				reading ??= refresh().finally(() => {
					reading = undefined;
				});
				await reading;
			}
			const digest = digestOf(token);
			let user: User | undefined;
			// Every token is compared, in constant time, so that the time of an answer says nothing.
			for (const each of known) if (timingSafeEqual(each.digest, digest)) user = each.user;
			return user;
		},
	};
}

/** Throws an error that names the line for a line that is none. */
function parseTokens(text: string): Known[] {
	const known: Known[] = [];
	for (const [index, line] of text.split(/\r?\n/).entries()) {
		if (line.trim() === '' || line.startsWith('#')) continue;
		const [token, name, uid, groups = ''] = fields(line);
		if (!token || !name || uid === undefined)
			throw new Error(`line ${index + 1} of the token file is not of the form token,user,uid,"group1,group2"`);
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
