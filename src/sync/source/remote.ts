/** A repository elsewhere, by poll and by webhook. One mirror serves all who follow the same URL. */
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { type Credentials, type HttpLimits, type Mirror, openMirror } from '../git/index.ts';
import { repositoryReader } from './embedded.ts';
import type { Reader } from './follow.ts';
import { SourceError } from './source.ts';

export interface Mirrors extends AsyncDisposable {
	/** The mirror of a URL, opened once and kept while anybody uses it. */
	use(url: string): { readonly mirror: Promise<Mirror>; release(): Promise<void> };
}

export interface MirrorsOptions {
	readonly dataDir: string;
	readonly limits?: HttpLimits;
	/** Credentials for a URL, where they are not part of it. */
	credentials?(url: string): Promise<Credentials | undefined>;
}

export function createMirrors({ dataDir, limits, credentials }: MirrorsOptions): Mirrors {
	const open = new Map<string, { readonly mirror: Promise<Mirror>; users: number }>();
	const start = (url: string) => {
		// Credentials change and are no part of the name; the content is the same.
		const gitdir = join(dataDir, 'git', 'remotes', hash('sha256', withoutCredentials(url)).slice(0, 32));
		return openMirror({ url, gitdir, limits, credentials: async () => credentials?.(url) });
	};
	const close = async (mirror: Promise<Mirror>) => {
		// One that failed to open has told its users, and holds nothing.
		const opened = await mirror.catch(() => undefined);
		await opened?.[Symbol.asyncDispose]();
	};
	return {
		use(url) {
			const entry = open.get(url) ?? { mirror: start(url), users: 0 };
			entry.mirror.catch(() => open.delete(url));
			open.set(url, entry);
			entry.users++;
			return {
				mirror: entry.mirror,
				async release() {
					if (--entry.users > 0) return;
					if (open.get(url) === entry) open.delete(url);
					await close(entry.mirror);
				},
			};
		},
		async [Symbol.asyncDispose]() {
			const all = [...open.values()];
			open.clear();
			await Promise.all(all.map((entry) => close(entry.mirror)));
		},
	};
}

/** Follows a branch, tag or commit of a remote. `poll` in milliseconds. */
export function remoteReader(mirrors: Mirrors, url: string, revision: string, poll: () => number): Reader {
	const plain = withoutCredentials(url);
	let used = mirrors.use(url);
	const mirror = async () => {
		try {
			return await used.mirror;
		} catch (error) {
			// A full disk, say: the next look tries again.
			used = mirrors.use(url);
			throw error;
		}
	};
	const reader = async () => repositoryReader((await mirror()).repository, plain, revision);
	/** A revision that the mirror lacks may have come since, or lie in a branch that nobody follows yet. */
	const resolve = async (wanted: string) => {
		const known = await (await reader()).resolve(wanted);
		return known ?? (await mirror()).fetch(wanted, AbortSignal.timeout(ON_DEMAND));
	};
	return {
		url: plain,
		poll,
		look: async (signal) => (await mirror()).fetch(revision || 'HEAD', signal),
		resolve,
		async tree(wanted) {
			const commit = await (await reader()).resolve(wanted);
			if (!commit) throw new SourceError(plain, `${plain} has no revision ${wanted}`);
			return (await reader()).tree(commit);
		},
		commit: async (wanted) => (await reader()).commit(wanted),
		blame: async (wanted, file, line) => (await reader()).blame(wanted, file, line),
		close: () => used.release(),
	};
}

/** Milliseconds for a fetch that somebody waits for. */
const ON_DEMAND = 60_000;

/** As it may be shown and compared. */
export function withoutCredentials(url: string): string {
	const parsed = URL.parse(url);
	// Whatever it is, what stands before an @ may be secret. The user of `git@host:path` is not.
	if (!parsed?.host) return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)?[^/@]*:[^/]*@/i, '$1');
	parsed.username = '';
	parsed.password = '';
	return parsed.href.replace(/\/$/, '');
}
