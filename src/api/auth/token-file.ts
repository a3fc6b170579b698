/** Bearer tokens from a file of this server. */
import { readFile, stat } from 'node:fs/promises';
import type { Log } from '../../log.ts';
import type { TokenAuthenticator } from './authenticator.ts';
import { type KnownToken, parseTokens, userOf } from './token-list.ts';

/** The file is looked at again at most this often (ms), so that a token added or taken away counts without a restart. */
const freshFor = 1_000;

/** Reads the file when a token is first asked for; a file that does not exist has no tokens. */
export function openTokenFile(path: string, log: Log, now: () => number = Date.now): TokenAuthenticator {
	let known: readonly KnownToken[] = [];
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
			return userOf(known, token);
		},
	};
}
