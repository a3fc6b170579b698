/** The repository that driftless itself serves for pushes. Its changes are announced by the push that makes them. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { initRepository, isCommitId, type Repository, referenceNames, requireGit, shortName } from '../git/index.ts';
import type { Reader } from './follow.ts';
import { type Heads, ownHeads } from './heads.ts';
import { alone, createExchange, type Exchange, type Peers } from './peers.ts';
import { SourceError } from './source.ts';

/** Bytes of one push: what a hostile or mistaken one may take of the disk before it is refused. */
export const MAX_PUSH_BYTES = 512 * 1024 * 1024;

export interface Embedded extends AsyncDisposable {
	/** `default`: it is served as `/git/default.git`. */
	readonly name: string;
	readonly repository: Repository;
	/** Where its branches and tags are. */
	readonly heads: Heads;
	/** The objects of the other servers' repositories. */
	readonly exchange: Exchange;
	/** Makes the references of the repository, which clones see, those of `heads`. */
	align(): Promise<void>;
	/** Tells all who follow the repository that its references have moved; settles when they have looked. */
	announce(): Promise<void>;
	/** Returns what ends the listening. */
	listen(listener: () => Promise<void>): () => void;
}

export interface EmbeddedOptions {
	/** Default: `default`. */
	readonly name?: string;
	/** Who keeps its heads. Default: the repository itself. */
	readonly heads?: (name: string, repository: Repository) => Heads;
	/** Default: there is one server. */
	readonly peers?: Peers;
}

/** Opens DATA/git/NAME.git, and makes it where there is none. */
export async function openEmbedded(dataDir: string, options: EmbeddedOptions = {}): Promise<Embedded> {
	const { name = 'default', heads: keeper = (_, repository) => ownHeads(repository) } = options;
	await requireGit();
	const listeners = new Set<() => Promise<void>>();
	const repository = await initRepository(join(dataDir, 'git', `${name}.git`), {
		'http.receivepack': 'true',
		'http.getanyfile': 'false',
		'receive.fsckObjects': 'true',
		'transfer.fsckObjects': 'true',
		'receive.maxInputSize': String(MAX_PUSH_BYTES),
		'receive.advertisePushOptions': 'true',
		// Other servers fetch what was pushed by its id, before a reference has it.
		'uploadpack.allowAnySHA1InWant': 'true',
		'receive.denyDeleteCurrent': 'ignore',
		'receive.denyNonFastForwards': 'false',
		// What a CI job has checked out is most often shallow.
		'receive.shallowUpdate': 'true',
		// The server tidies up between pushes: a collection in the background would outlive it.
		'receive.autogc': 'false',
		'gc.auto': '1000',
		// An accepted push survives a power cut: git's default leaves loose objects and references to the kernel.
		'core.fsync': 'committed,reference',
	});
	await removeQuarantines(repository.gitdir);
	const heads = keeper(name, repository);
	const exchange = createExchange(name, repository, options.peers ?? alone);
	return {
		name,
		repository,
		heads,
		exchange,
		async align() {
			// In this order: a push moves the heads first, so that what was seen here is never newer than they are.
			const seen = await repository.refs();
			await repository.align(seen, await heads.read());
		},
		async announce() {
			await Promise.all([...listeners].map((listener) => listener()));
		},
		listen(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		[Symbol.asyncDispose]: () => repository[Symbol.asyncDispose](),
	};
}

/** What pushes that died with an earlier process have left: up to MAX_PUSH_BYTES each. No push is under way yet. */
async function removeQuarantines(gitdir: string): Promise<void> {
	const objects = join(gitdir, 'objects');
	for (const name of await readdir(objects)) {
		if (/^(?:tmp_objdir-)?incoming-/.test(name)) await rm(join(objects, name), { recursive: true, force: true });
	}
}

/** Follows a branch, tag or commit of an embedded repository, which stays open. */
export function embeddedReader(embedded: Embedded, url: string, revision: string): Reader {
	const { repository, heads, exchange } = embedded;
	const resolve = async (wanted: string) => {
		const refs = await heads.read();
		const names = wanted === '' || wanted === 'HEAD' ? ['refs/heads/main'] : referenceNames(wanted);
		const ref = names.find((name) => refs.has(name));
		const head = ref && refs.get(ref);
		if (!head) return isCommitId(wanted) ? repository.resolve(wanted) : undefined;
		if (await exchange.obtain(head)) return repository.resolve(head);
		throw new SourceError(
			url,
			`${shortName(ref)} is at ${head.slice(0, 12)}, which no server that is there has in its embedded repository: push that commit, or one that follows it, to this server`,
		);
	};
	return {
		...repositoryReader(repository, url, revision),
		look: () => resolve(revision),
		resolve,
		watch(changed, signal) {
			signal.addEventListener('abort', embedded.listen(changed), { once: true });
		},
		close: async () => {},
	};
}

/** What is read of a repository in the same way wherever it came from. */
export function repositoryReader(
	repository: Repository,
	url: string,
	revision: string,
): Omit<Reader, 'watch' | 'close'> {
	const resolve = async (wanted: string) => {
		for (const name of wanted === '' ? ['HEAD'] : referenceNames(wanted)) {
			const commit = await repository.resolve(name);
			if (commit) return commit;
		}
		return isCommitId(wanted) ? repository.resolve(wanted) : undefined;
	};
	return {
		url,
		look: () => resolve(revision),
		tree: (wanted) => repository.tree(wanted),
		resolve,
		commit: (wanted) => repository.commit(wanted),
		blame: (wanted, file, line) => repository.blame(wanted, file, line),
	};
}
