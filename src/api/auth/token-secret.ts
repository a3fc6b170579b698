/** Bearer tokens from a Secret, which every server has: those of a file are the tokens of one server only. */
import { Secret } from '../../kinds/core/secret.ts';
import { ApiError } from '../../kinds/status.ts';
import type { Log } from '../../log.ts';
import type { Api, Caller, Stored } from '../api.ts';
import type { TokenAuthenticator } from './authenticator.ts';
import { type KnownToken, parseTokens, userOf } from './token-list.ts';

const NAME = { namespace: 'kube-system', name: 'driftless-tokens' };
/** The key of the Secret that has the lines. */
const KEY = 'tokens';

/** A Secret that does not exist has no tokens. It is read in the name of the caller. */
export function tokenSecret(api: Api, caller: Caller, log: Log): TokenAuthenticator {
	let known: readonly KnownToken[] = [];
	let revision: number | undefined;
	const refresh = async () => {
		const found = await read(api, caller);
		if (found?.revision === revision) return;
		revision = found?.revision;
		try {
			known = parseTokens(Buffer.from(found?.object.data?.[KEY] ?? '', 'base64').toString('utf8'));
		} catch (cause) {
			log.error(
				{ secret: NAME, cause: cause instanceof Error ? cause.message : String(cause) },
				'the Secret of tokens cannot be read; the tokens read before stay valid',
			);
		}
	};
	return {
		async authenticate(token) {
			await refresh();
			return userOf(known, token);
		},
	};
}

/** As the cache has it: a token that is added or taken away counts as soon as this server sees that. */
async function read(api: Api, caller: Caller): Promise<Stored<Secret> | undefined> {
	try {
		return await api.get({ kind: Secret, ...NAME }, { resourceVersion: '0' }, caller);
	} catch (error) {
		if (error instanceof ApiError && error.code === 404) return undefined;
		throw error;
	}
}
