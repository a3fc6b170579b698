/**
 * Credentials of remote repositories, from Secrets as Argo CD keeps them: labelled `argocd.argoproj.io/secret-type: repository`
 * with `url`, `username`, `password` (or `bearerToken`), or `repo-creds` for every repository whose URL begins with `url`; in
 * the control plane's own namespace, as there.
 * Source: Argo CD, "Declarative Setup", Repositories and Repository Credentials.
 */

import type { Client } from '../../client/index.ts';
import { type Secret, Secret as SecretKind } from '../../kinds/index.ts';
import { comparable } from '../source/index.ts';
import { controlNamespaces } from './scope.ts';

const typeLabel = 'argocd.argoproj.io/secret-type';

/** `username` is absent where `password` is a bare token. */
export interface RepositoryCredentials {
	readonly username?: string;
	readonly password: string;
}

/** Those of the Secret for this very repository, else those of the longest prefix of its URL. Only Secrets of the control plane count. */
export async function findCredentials(client: Client, url: string): Promise<RepositoryCredentials | undefined> {
	const labelSelector = `${typeLabel} in (repository,repo-creds)`;
	const lists = controlNamespaces.map((namespace) => client.list(SecretKind, { namespace, labelSelector }));
	return chooseCredentials(
		(await Promise.all(lists)).flatMap(({ items }) => items),
		url,
	);
}

/** The choice, as a pure function. */
export function chooseCredentials(secrets: readonly Secret[], url: string): RepositoryCredentials | undefined {
	const wanted = comparable(url);
	let best: { readonly length: number; readonly secret: Secret } | undefined;
	for (const secret of secrets) {
		const given = field(secret, 'url');
		// What was given for https never goes over the wire in the clear.
		if (!given || (given.startsWith('https:') && !url.startsWith('https:'))) continue;
		const exact = secret.metadata.labels?.[typeLabel] === 'repository';
		const prefix = comparable(given);
		const matches = exact
			? prefix === wanted
			: wanted === prefix || wanted.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
		const length = exact ? Number.POSITIVE_INFINITY : prefix.length;
		if (matches && (!best || length > best.length)) best = { length, secret };
	}
	if (!best) return undefined;
	const token = field(best.secret, 'bearerToken');
	return token
		? { password: token }
		: { username: field(best.secret, 'username') ?? 'git', password: field(best.secret, 'password') ?? '' };
}

function field(secret: Secret, name: string): string | undefined {
	const encoded = secret.data?.[name];
	return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8').trim();
}
