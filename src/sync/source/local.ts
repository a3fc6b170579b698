/** Somebody's own repository on this machine, by path or file://. Its references are watched, and polled besides. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { watch } from 'chokidar';
import { type Identity, leadsOf, openRepository, type Repository } from '../git/index.ts';
import { repositoryReader } from './embedded.ts';
import type { LocalReader } from './grants.ts';
import { ownerAlong } from './owner.ts';
import { SourceError } from './source.ts';

const exists = (path: string) =>
	stat(path).then(
		() => true,
		() => false,
	);

/** Where the git directory of a work tree is, and of a bare repository. */
const candidates = (path: string) => [join(path, '.git'), path];

/** The git directory of a bare repository or of a work tree; undefined where there is neither. */
async function gitdirOf(path: string): Promise<string | undefined> {
	for (const candidate of candidates(path)) {
		if ((await exists(join(candidate, 'HEAD'))) && (await exists(join(candidate, 'objects')))) return candidate;
	}
	return undefined;
}

/** `path` is absolute; `poll` in milliseconds. */
export function localReader(path: string, url: string, revision: string, poll: () => number): LocalReader {
	let opened: Repository | undefined;
	let openedAs: Identity | undefined;
	async function repository(): Promise<Repository> {
		const gitdir = await gitdirOf(path);
		if (!gitdir) throw new SourceError(url, `${url}: there is no git repository at ${path}`);
		const as = await ownerAlong(gitdir);
		if (opened?.gitdir !== gitdir || openedAs?.uid !== as?.uid || openedAs?.gid !== as?.gid) {
			await opened?.[Symbol.asyncDispose]();
			opened = openRepository(gitdir, as);
			openedAs = as;
		}
		return opened;
	}
	const reader = async () => repositoryReader(await repository(), url, revision);
	return {
		url,
		poll,
		async *places() {
			for (const gitdir of candidates(path)) yield* leadsOf(gitdir);
		},
		look: async (signal) => (await reader()).look(signal),
		tree: async (wanted) => (await reader()).tree(wanted),
		resolve: async (wanted) => (await reader()).resolve(wanted),
		commit: async (wanted) => (await reader()).commit(wanted),
		blame: async (wanted, file, line) => (await reader()).blame(wanted, file, line),
		watch(changed, signal, log) {
			const places = candidates(path).flatMap((gitdir) =>
				['HEAD', 'packed-refs', 'refs'].map((name) => join(gitdir, name)),
			);
			// A link may lead to all of the machine.
			const options = { ignoreInitial: true, followSymlinks: false };
			const watcher = watch(places, { ...options, ignored: (file) => file.endsWith('.lock') });
			watcher.on('all', () => void changed());
			watcher.once('error', (error) => {
				log.warn(
					{ source: url, error: String(error) },
					'the repository cannot be watched; it is looked at from time to time',
				);
				watcher.on('error', () => {});
			});
			signal.addEventListener('abort', () => void watcher.close(), { once: true });
		},
		close: async () => opened?.[Symbol.asyncDispose](),
	};
}
