/** Opens sources by their URL, and finds those that a webhook speaks of. */
import { resolve as absolute } from 'node:path';
import type { Log } from '../../log.ts';
import type { Credentials, HttpLimits } from '../git/index.ts';
import { type Embedded, embeddedReader } from './embedded.ts';
import { folderReader } from './folder.ts';
import { follow, type Reader } from './follow.ts';
import { granted, localPath } from './grants.ts';
import { localReader } from './local.ts';
import { createMirrors, remoteReader, withoutCredentials } from './remote.ts';
import { type Source, SourceError } from './source.ts';

/** Milliseconds between looks at a remote, as Argo CD has it, to which up to a third is added at random. */
export const POLL = 180_000;

export interface SourcesOptions {
	readonly dataDir: string;
	readonly log: Log;
	/** The embedded repository that a URL means, if it means one. */
	embedded?(url: string): Embedded | undefined;
	/** For remotes that want them and whose URL has none. */
	credentials?(url: string): Promise<Credentials | undefined>;
	/** Milliseconds; default POLL. */
	readonly poll?: number;
	readonly limits?: HttpLimits;
	/** In [0, 1): for jitter. */
	random?(): number;
}

export interface SourceSpec {
	/** http(s)://..., file:///PATH or /PATH (a git repository), folder:///PATH, or an embedded repository's. */
	readonly url: string;
	/** Branch, tag or commit; '' and HEAD are the default branch. A folder has none. */
	readonly revision?: string;
}

export interface Sources extends AsyncDisposable {
	/** Starts to follow. Dispose of the source to end it. A URL of a kind that is not supported gives a source that says so. */
	open(spec: SourceSpec): Source;
	/** Has every open source of these URLs look at once; gives how many there are. */
	refresh(urls: readonly string[]): number;
}

export function createSources(options: SourcesOptions): Sources {
	const { dataDir, log, poll = POLL, random = Math.random } = options;
	const mirrors = createMirrors({ dataDir, limits: options.limits, credentials: options.credentials });
	const open = new Set<Source>();
	const interval = () => poll * (1 + random() / 3);

	function readerOf({ url, revision = '' }: SourceSpec): Reader {
		const embedded = options.embedded?.(url);
		if (embedded) return embeddedReader(embedded, url, revision);
		if (/^https?:\/\//i.test(url) && URL.canParse(url)) return remoteReader(mirrors, url, revision, interval);
		const path = localPath(url);
		if (path === undefined) return unsupported(url);
		const reader = url.startsWith('folder:') ? folderReader(path, url) : localReader(path, url, revision, interval);
		return granted(reader, path, dataDir);
	}

	return {
		open(spec) {
			const reader = readerOf(spec);
			const source = follow(
				{
					...reader,
					async close() {
						open.delete(source);
						await reader.close();
					},
				},
				log,
			);
			open.add(source);
			return source;
		},
		refresh(urls) {
			const wanted = new Set(urls.map(comparable));
			const found = [...open].filter((source) => wanted.has(comparable(source.url)));
			// Its outcome is the source's state, which its readers watch.
			for (const source of found) void source.refresh();
			return found.length;
		},
		async [Symbol.asyncDispose]() {
			await Promise.all([...open].map((source) => source[Symbol.asyncDispose]()));
			await mirrors[Symbol.asyncDispose]();
		},
	};
}

/** The URL under which an application follows a watched folder. */
export function folderURL(directory: string): string {
	return `folder://${absolute(directory).split('/').map(encodeURIComponent).join('/')}`;
}

/** One form for the ways to write a repository's URL: scheme, `.git`, credentials, case of the host and the form of ssh do not tell two apart. */
export function comparable(url: string): string {
	const scp = /^[^/@:]+@([^/:]+):(?!\/\/)(.*)$/.exec(url);
	const text = scp ? `ssh://${scp[1]}/${scp[2]}` : url;
	if (!URL.canParse(text)) return text;
	const { protocol, hostname, port, pathname } = new URL(withoutCredentials(text));
	const path = decoded(pathname)
		.replace(/\/+$/, '')
		.replace(/\.git$/, '')
		.toLowerCase();
	const remote = /^(https?|ssh|git):$/.test(protocol);
	// ssh and http ports of one server differ: a port only tells servers of the same scheme apart.
	return remote ? `${hostname}${protocol === 'ssh:' || !port ? '' : `:${port}`}${path}` : `${protocol}//${path}`;
}

/** A `%` that encodes nothing stands for itself: one URL that is written badly, in a webhook or a Secret, keeps no other from being read. */
function decoded(path: string): string {
	try {
		return decodeURIComponent(path);
	} catch {
		return path;
	}
}

function unsupported(given: string): Reader {
	const ssh = /^(ssh:|git@|[^/@:]+@[^/:]+:)/.test(given);
	const url = withoutCredentials(given);
	const why = ssh
		? 'ssh is not supported: use the https:// URL of the repository, with a token where it is private'
		: 'not a URL that can be followed: use https://, http://, file:///PATH, /PATH or folder:///PATH';
	const fail = () => Promise.reject(new SourceError(url, `${url}: ${why}`));
	return { url, look: fail, tree: fail, resolve: fail, commit: fail, blame: fail, close: async () => {} };
}
