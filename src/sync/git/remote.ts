/** A mirror of a remote repository, fetched over HTTP(S) by isomorphic-git: only the revisions asked for, and of those only what is new. */
import * as fs from 'node:fs';
import isomorphic, { type ServerRef } from 'isomorphic-git';
import { SourceError } from '../source/source.ts';
import { createHttp, defaultLimits, HttpLimitError, type HttpLimits } from './http.ts';
import { GitError } from './program.ts';
import { initRepository, type Repository, referenceNames } from './repository.ts';

/** Commits of history fetched at first: enough for blame and rollback, without all of a large repository's past. */
const HISTORY = 200;

export interface Credentials {
	/** Absent for a bare token. */
	readonly username?: string;
	readonly password: string;
}

export interface MirrorOptions {
	/** http or https; credentials may stand in it. */
	readonly url: string;
	readonly gitdir: string;
	/** Asked anew for each fetch, since they are rotated. */
	credentials?(): Promise<Credentials | undefined>;
	readonly limits?: HttpLimits;
}

export interface Mirror extends AsyncDisposable {
	readonly repository: Repository;
	/**
	 * Brings what a branch, tag, commit id or HEAD means over there, and gives its commit id; undefined where the remote
	 * has none such. Asks for its references first: where nothing has moved, that is all. Throws SourceError.
	 */
	fetch(revision: string, signal: AbortSignal): Promise<string | undefined>;
}

export async function openMirror(options: MirrorOptions): Promise<Mirror> {
	const { gitdir, limits = defaultLimits } = options;
	const { url } = authorize(options.url);
	const repository = await initRepository(gitdir, {
		'remote.origin.url': url,
		'remote.origin.fetch': '+refs/heads/*:refs/heads/*',
	});
	/** isomorphic-git writes references and packs without a lock: one fetch at a time. */
	let last: Promise<unknown> = Promise.resolve();
	const waiting = new Map<string, Promise<string | undefined>>();
	const life = new AbortController();

	async function fetchNow(
		revision: string,
		headers: Readonly<Record<string, string>>,
		signal: AbortSignal,
	): Promise<string | undefined> {
		const http = createHttp(limits, signal);
		const call = { http, url, headers: { ...headers } };
		const refs = await isomorphic.listServerRefs({ ...call, symrefs: true, peelTags: true, protocolVersion: 2 });
		const wanted = meant(refs, revision);
		if (!wanted) return undefined;
		const known = await repository.resolve(wanted.commit);
		if (!known) {
			const shared = { fs, ...call, gitdir, remote: 'origin', tags: false, headers: { ...headers } };
			if (wanted.ref) {
				// Shallow at first only: later fetches bring what has come since.
				const depth = (await repository.resolve(wanted.ref)) ? undefined : HISTORY;
				await isomorphic.fetch({ ...shared, ref: wanted.ref, singleBranch: true, depth });
			} else await fetchCommit(shared, wanted.commit);
		}
		const commit = known ?? (await repository.resolve(wanted.commit));
		if (commit && wanted.ref) {
			await isomorphic.writeRef({ fs, gitdir, ref: wanted.ref, value: wanted.object ?? commit, force: true });
		}
		if (!known) await repository.tidy();
		return commit;
	}

	/** Servers need not hand out a commit by its id: then it must be in one of the branches. */
	async function fetchCommit(shared: Parameters<typeof isomorphic.fetch>[0], commit: string): Promise<void> {
		try {
			await isomorphic.fetch({ ...shared, ref: commit, singleBranch: true, depth: HISTORY });
		} catch (error) {
			if (isConnection(error)) throw error;
		}
		if (await repository.resolve(commit)) return;
		await isomorphic.fetch({ ...shared, singleBranch: false });
	}

	async function fetchOrExplain(revision: string): Promise<string | undefined> {
		life.signal.throwIfAborted();
		const { headers } = authorize(options.url, await options.credentials?.());
		try {
			return await fetchNow(revision, headers, life.signal);
		} catch (error) {
			if (life.signal.aborted) throw error;
			throw new SourceError(url, explain(url, error, headers.authorization !== undefined), { cause: error });
		}
	}

	return {
		repository,
		fetch(revision, signal) {
			const joined = waiting.get(revision) ?? enqueue(revision);
			return unlessAborted(joined, signal);
		},
		async [Symbol.asyncDispose]() {
			life.abort();
			await last;
			await repository[Symbol.asyncDispose]();
		},
	};

	/** Whoever asks for the same before its turn has come shares the answer: a webhook may wake a hundred applications. */
	function enqueue(revision: string): Promise<string | undefined> {
		const result = last.then(() => {
			waiting.delete(revision);
			return fetchOrExplain(revision);
		});
		waiting.set(revision, result);
		last = result.catch(() => undefined);
		return result;
	}
}

/** The caller leaves; the fetch, which others may share, goes on. */
async function unlessAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
	const aborted = Promise.withResolvers<never>();
	const abort = () => aborted.reject(signal.reason);
	signal.addEventListener('abort', abort, { once: true });
	try {
		signal.throwIfAborted();
		return await Promise.race([result, aborted.promise]);
	} finally {
		signal.removeEventListener('abort', abort);
	}
}

/** The URL without credentials, and the header that carries them. */
function authorize(given: string, credentials?: Credentials): { url: string; headers: Record<string, string> } {
	const url = new URL(given);
	const username = decodeURIComponent(url.username) || credentials?.username || 'git';
	const password = decodeURIComponent(url.password) || credentials?.password;
	url.username = '';
	url.password = '';
	const plain = url.href.replace(/\/$/, '');
	if (password === undefined || password === '') return { url: plain, headers: {} };
	return {
		url: plain,
		headers: { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` },
	};
}

interface Wanted {
	/** Full name, unless it is a bare commit. */
	readonly ref?: string;
	/** What the reference names: an annotated tag's own id. */
	readonly object?: string;
	readonly commit: string;
}

/** What a revision means on the server: a branch, then a tag, then a commit's id. */
export function meant(refs: readonly ServerRef[], revision: string): Wanted | undefined {
	const byName = new Map(refs.map((ref) => [ref.ref, ref]));
	const head = byName.get('HEAD');
	if (revision === 'HEAD') {
		if (!head?.oid) return undefined;
		const branch = head.target ?? refs.find(({ ref, oid }) => ref.startsWith('refs/heads/') && oid === head.oid)?.ref;
		return { ref: branch, commit: head.oid };
	}
	for (const name of referenceNames(revision)) {
		const ref = byName.get(name);
		if (ref) return { ref: name, object: ref.oid, commit: ref.peeled ?? ref.oid };
	}
	return /^[0-9a-f]{40}$/.test(revision) ? { commit: revision } : undefined;
}

const isConnection = (error: unknown) =>
	error instanceof HttpLimitError || (error instanceof TypeError && error.message === 'fetch failed');

/** Why a remote could not be read, and what to do. */
function explain(url: string, error: unknown, hadCredentials: boolean): string {
	const { host } = new URL(url);
	if (error instanceof HttpLimitError) return `${url}: ${host} ${error.message}`;
	const { Errors } = isomorphic;
	if (error instanceof Errors.HttpError) {
		const status = error.data.statusCode;
		if (status === 401 || status === 403) {
			return hadCredentials
				? `${url}: ${host} refuses the credentials (${status}): check the user name and token`
				: `${url}: ${host} asks for credentials (${status}): keep a user name and token for it in a Secret labelled argocd.argoproj.io/secret-type: repository`;
		}
		if (status === 404)
			return `${url}: ${host} has no such repository (404), or shows it only with credentials: check the URL`;
		return `${url}: ${host} answers ${status} ${error.data.statusMessage}`;
	}
	if (error instanceof Errors.SmartHttpError || error instanceof Errors.ParseError) {
		return `${url}: what answers there is no git repository over HTTP: check the URL`;
	}
	if (error instanceof GitError) return `${url}: ${error.message}`;
	const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
	const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
	const reason = connectionErrors[code] ?? (/CERT|SIGNATURE|SSL|TLS/.test(code) ? tls : undefined);
	if (reason) return `${url}: ${reason.replaceAll('HOST', host)} (${code})`;
	return `${url}: ${cause instanceof Error ? cause.message : String(cause)}`;
}

const tls = "HOST's TLS certificate is not trusted: set NODE_EXTRA_CA_CERTS to the certificate of its authority";
const connectionErrors: Readonly<Record<string, string>> = {
	ENOTFOUND: 'there is no host HOST: check the URL and DNS',
	EAI_AGAIN: 'the name HOST cannot be looked up at present: check DNS',
	ECONNREFUSED: 'HOST refuses connections: is it up?',
	ECONNRESET: 'HOST broke the connection off',
	UND_ERR_SOCKET: 'HOST broke the connection off',
	ETIMEDOUT: 'HOST does not answer',
	UND_ERR_CONNECT_TIMEOUT: 'HOST does not answer',
	EHOSTUNREACH: 'HOST cannot be reached',
	ENETUNREACH: 'HOST cannot be reached: is there a network?',
};
