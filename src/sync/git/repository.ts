/** A bare repository on this machine: the embedded one, a mirror of a remote, or somebody's own. */
import { mkdir, stat } from 'node:fs/promises';
import type { Commit } from '../source/source.ts';
import type { Tree } from '../source/tree.ts';
import { type Objects, openObjects } from './objects.ts';
import { GitError, git, type Identity } from './program.ts';
import { type Refs, readRefs } from './refs.ts';
import { gitTree } from './tree.ts';

/** Milliseconds that another server may take to give what was pushed to it. */
const FETCH_TIME = 60_000;
/** Milliseconds that packing a repository may take. */
const TIDY_TIME = 600_000;

export interface Repository extends AsyncDisposable {
	readonly gitdir: string;
	refs(): Promise<Refs>;
	/**
	 * Makes its branches and tags those of `wanted` as far as it has their objects; it has none that is not wanted. `seen` is
	 * what refs() gave: what has moved since is left to whoever moves it.
	 */
	align(seen: Refs, wanted: Refs): Promise<void>;
	/** Fetches an object, and what it refers to, from another server's repository. What cannot be had is no error: see `has`. */
	fetch(url: string, id: string, certificates: { ca: string; cert: string; key: string }): Promise<void>;
	/** Whether it has an object of this id. */
	has(id: string): Promise<boolean>;
	/** The commit that a branch, tag or (abbreviated) id stands for. */
	resolve(revision: string): Promise<string | undefined>;
	/** Throws GitError where there is no such commit. */
	tree(commit: string): Promise<Tree>;
	commit(id: string): Promise<Commit | undefined>;
	/** The commit that last changed a line (1-based) of a file; undefined where the file or line is not there, or is older than the history that is. */
	blame(revision: string, file: string, line: number): Promise<Commit | undefined>;
	/** Reads what only a hook's environment sees (GIT_OBJECT_DIRECTORY and its like), until disposed of. */
	quarantine(environment: NodeJS.ProcessEnv): Quarantine;
	/** Packs what has gathered, when there is enough of it. Also prunes what nothing has referred to for two weeks. */
	tidy(signal?: AbortSignal): Promise<void>;
}

export interface Quarantine extends Pick<Repository, 'tree'>, AsyncDisposable {
	/** Whether a commit has the other one in its history. */
	follows(commit: string, ancestor: string): Promise<boolean>;
}

/**
 * The references that a name may mean, the likeliest first. A branch goes before a tag, as Argo CD has it (git itself has it the
 * other way): whoever may tag may not take a branch over.
 */
export const referenceNames = (name: string): readonly string[] =>
	name === 'HEAD' || name.startsWith('refs/') ? [name] : [`refs/heads/${name}`, `refs/tags/${name}`];

/** `main` of `refs/heads/main`. */
export const shortName = (ref: string): string => ref.replace(/^refs\/(?:heads|tags)\//, '');

/** Whether a name may be a commit's id, in full or shortened as git allows it. */
export const isCommitId = (name: string): boolean => /^[0-9a-f]{4,40}$/.test(name);

/** Opens what is there; reads nothing yet. `as`: who reads commits, trees and files; default this process. */
export function openRepository(gitdir: string, as?: Identity): Repository {
	const objects = openObjects(gitdir, {}, as);
	const resolve = async (revision: string) => (await objects.info(`${revision}^{commit}`))?.id;
	const commit = async (id: string) => {
		const object = await objects.read(`${id}^{commit}`);
		return object && parseCommit(object.id, Buffer.from(object.bytes).toString('utf8'));
	};
	/** Also those that are not here. */
	const hasParents = async (id: string) => {
		const object = await objects.read(id);
		return object !== undefined && /^tree \S+\nparent /.test(Buffer.from(object.bytes).toString('utf8'));
	};
	return {
		gitdir,
		refs: () => readRefs(gitdir),
		async align(seen, wanted) {
			// Deletions first: `a` makes room for `a/b`.
			const gone = [...seen.keys()].filter((ref) => !wanted.has(ref));
			for (const ref of [...gone, ...wanted.keys()]) {
				const [before, after] = [seen.get(ref), wanted.get(ref)];
				if (before === after || (after && !(await objects.info(after)))) continue;
				const change = after ? ['update-ref', ref, after, before ?? ''] : ['update-ref', '-d', ref, before ?? ''];
				await git(change, { gitdir }).catch((error) => {
					if (!(error instanceof GitError)) throw error;
				});
			}
		},
		async fetch(url, id, { ca, cert, key }) {
			const tls = { sslCAInfo: ca, sslCert: cert, sslKey: key };
			const settings = Object.entries(tls).flatMap(([name, file]) => ['-c', `http.${name}=${file}`]);
			const args = [...settings, 'fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--no-auto-gc', url, id];
			await git(args, { gitdir, env: { GIT_ALLOW_PROTOCOL: 'https' }, time: FETCH_TIME }).catch((error) => {
				if (!(error instanceof GitError)) throw error;
			});
		},
		has: async (id) => (await objects.info(id)) !== undefined,
		resolve,
		commit,
		tree: (id) => treeOf(objects, id),
		async blame(revision, file, line) {
			const id = await resolve(revision);
			if (!id) return undefined;
			try {
				const args = ['blame', '--no-textconv', '--porcelain', '-L', `${line},${line}`, id, '--', file];
				const output = await git(args, { gitdir, as });
				const found = output.slice(0, output.indexOf(' '));
				// Where the history that is here ends, what is older looks as if it had been written there.
				if (/^boundary$/m.test(output) && (await hasParents(found))) return undefined;
				return await commit(found);
			} catch (error) {
				// There is no such line, or the file that blame.ignoreRevsFile of the repository's own configuration names is none of
				// that kind: git would quote from it, and it may be any.
				if (error instanceof GitError && error.message.startsWith('git blame: ')) return undefined;
				throw error;
			}
		},
		quarantine(environment) {
			const quarantined = openObjects(gitdir, environment);
			return {
				tree: (id) => treeOf(quarantined, id),
				async follows(commit, ancestor) {
					if (!(await quarantined.info(ancestor))) return false;
					const args = ['merge-base', '--is-ancestor', ancestor, commit];
					return git(args, { gitdir, env: environment }).then(
						() => true,
						() => false,
					);
				},
				[Symbol.asyncDispose]: () => quarantined[Symbol.asyncDispose](),
			};
		},
		async tidy(signal) {
			await git(['-c', 'gc.autoDetach=false', 'gc', '--auto', '--quiet'], { gitdir, signal, time: TIDY_TIME });
		},
		[Symbol.asyncDispose]: () => objects[Symbol.asyncDispose](),
	};
}

/** Makes a bare repository with an unborn main where there is none. `settings` (`receive.autogc`) are written where they are not so. */
export async function initRepository(
	gitdir: string,
	settings: Readonly<Record<string, string>> = {},
): Promise<Repository> {
	const there = await stat(`${gitdir}/HEAD`).then(
		() => true,
		() => false,
	);
	if (!there) {
		await mkdir(gitdir, { recursive: true });
		await git(['init', '--quiet', '--bare', '--template=', '--initial-branch=main', gitdir]);
	}
	const file = `${gitdir}/config`;
	const present = new Set((await git(['config', '--file', file, '--list'])).split('\n'));
	for (const [name, value] of Object.entries(settings)) {
		// Listed with section and key in lower case.
		const listed = `${name.replace(/^[^.]+|[^.]+$/g, (part) => part.toLowerCase())}=${value}`;
		if (!present.has(listed)) await git(['config', '--file', file, name, value]);
	}
	return openRepository(gitdir);
}

async function treeOf(objects: Objects, commit: string): Promise<Tree> {
	const [id, tree] = await Promise.all([objects.info(`${commit}^{commit}`), objects.info(`${commit}^{tree}`)]);
	if (!id || !tree) throw new GitError(`there is no commit ${commit} here`);
	return gitTree(objects, id.id, tree.id);
}

/** Source: git-commit-tree's format: header lines, an empty line, the message. */
function parseCommit(id: string, text: string): Commit {
	const split = text.indexOf('\n\n');
	const head = split < 0 ? text : text.slice(0, split);
	const [, author = '', email = '', seconds = '0'] = /^author (.*?) ?<(.*?)> (\d+)/m.exec(head) ?? [];
	return { id, author, email, time: Number(seconds) * 1000, message: split < 0 ? '' : text.slice(split + 2).trimEnd() };
}
