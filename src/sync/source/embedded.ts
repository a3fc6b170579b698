/** The repository that driftless itself serves for pushes. Its changes are announced by the push that makes them. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { initRepository, type Repository, requireGit } from '../git/index.ts';
import type { Reader } from './follow.ts';

/** Bytes of one push: what a hostile or mistaken one may take of the disk before it is refused. */
export const MAX_PUSH_BYTES = 512 * 1024 * 1024;

export interface Embedded extends AsyncDisposable {
	/** `default`: it is served as `/git/default.git`. */
	readonly name: string;
	readonly repository: Repository;
	/** Tells all who follow the repository that its references have moved; settles when they have looked. */
	announce(): Promise<void>;
	/** Returns what ends the listening. */
	listen(listener: () => Promise<void>): () => void;
}

/** Opens DATA/git/NAME.git, and makes it where there is none. */
export async function openEmbedded(dataDir: string, name = 'default'): Promise<Embedded> {
	await requireGit();
	const listeners = new Set<() => Promise<void>>();
	const repository = await initRepository(join(dataDir, 'git', `${name}.git`), {
		'http.receivepack': 'true',
		'http.getanyfile': 'false',
		'receive.fsckObjects': 'true',
		'transfer.fsckObjects': 'true',
		'receive.maxInputSize': String(MAX_PUSH_BYTES),
		'receive.advertisePushOptions': 'true',
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
	return {
		name,
		repository,
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
	const { repository } = embedded;
	return {
		...repositoryReader(repository, url, revision),
		watch(changed, signal) {
			signal.addEventListener('abort', embedded.listen(changed), { once: true });
		},
		close: async () => {},
	};
}

/** What is read of a repository in the same way wherever it came from. HEAD is main where no other branch is checked out. */
export function repositoryReader(
	repository: Repository,
	url: string,
	revision: string,
): Omit<Reader, 'watch' | 'close'> {
	return {
		url,
		look: () => repository.resolve(qualified(revision)),
		tree: (wanted) => repository.tree(wanted),
		resolve: (wanted) => repository.resolve(wanted),
		commit: (wanted) => repository.commit(wanted),
		blame: (wanted, file, line) => repository.blame(wanted, file, line),
	};
}

const qualified = (revision: string) => (revision === '' ? 'HEAD' : revision);
