/** Which files under a path are manifests: a matter of names alone, kept by folder id, so that only changed folders are walked. */
import picomatch from 'picomatch';
import type { Located, Tree, TreeEntry } from '../source/tree.ts';
import { MAX_ENTRIES, MAX_FOLDER_DEPTH } from './limits.ts';
import type { Recent } from './recent.ts';
import type { RenderOptions, RenderProblem } from './render.ts';

/** What a walk found, in the order of paths. */
export interface Scan {
	readonly files: readonly Located[];
	/** Folders that kustomize builds. */
	readonly kustomized: readonly Located[];
	readonly problems: readonly RenderProblem[];
	readonly ignored: readonly RenderProblem[];
	/** Of the whole subtree, manifests or not. */
	readonly entries: number;
}

const manifestName = /\.(ya?ml|json)$/i;
export const isKustomization = (name: string): boolean =>
	name === 'kustomization.yaml' || name === 'kustomization.yml' || name === 'Kustomization';

export const at = (file: string, message: string): RenderProblem => ({
	position: { file, line: 1, column: 1 },
	message,
});

const leaveOut = 'leave it out with spec.source.directory.exclude';

const nothing: Scan = { files: [], kustomized: [], problems: [], ignored: [], entries: 0 };
const failed = (file: string, message: string): Scan => ({ ...nothing, problems: [at(file, message)] });
export const join = (folder: string, name: string): string => (folder ? `${folder}/${name}` : name);

/** The path as trees write it: no leading or trailing slash, no `.`; undefined where it leaves the source. */
export function normalPath(path: string): string | undefined {
	const parts = path.split('/').filter((part) => part !== '' && part !== '.');
	return parts.includes('..') ? undefined : parts.join('/');
}

/** Walks what `options` select. `cache` may be shared between trees. */
export async function scan(
	tree: Tree,
	options: RenderOptions,
	cache: Recent<Scan>,
	signal?: AbortSignal,
): Promise<Scan> {
	const root = normalPath(options.path);
	const wrong = (message: string): Scan => ({
		...nothing,
		problems: [{ ...at(root ?? options.path, message), field: 'spec.source.path' }],
	});
	if (root === undefined) return wrong('it leaves the source');
	const start = await locate(tree, root, signal);
	if (typeof start === 'string') return wrong(start);
	return walk(start, 0, { tree, root, options, selects: selection(root, options), cache, signal });
}

/** Where a folder of the tree is, or why it cannot be had. */
export async function locate(tree: Tree, path: string, signal?: AbortSignal): Promise<Located | string> {
	let folder: Located = { path: '', id: tree.id };
	for (const name of path ? path.split('/') : []) {
		const entry = (await tree.list(folder, signal)).find((candidate) => candidate.name === name);
		const next = join(folder.path, name);
		if (!entry) return `there is no ${next} in the source at ${tree.revision.slice(0, 12)}`;
		if (entry.kind !== 'directory') return `${next} is ${kinds[entry.kind]}, not a folder`;
		folder = { path: next, id: entry.id };
	}
	return folder;
}

const kinds = { file: 'a file', symlink: 'a symbolic link', submodule: 'a submodule', directory: 'a folder' };

/** Argo CD matches its include and exclude globs on the path under the application's, and its `*` crosses slashes. */
function selection(root: string, { include, exclude }: RenderOptions): (path: string) => boolean {
	const match = (glob: string) => picomatch(glob, { bash: true, dot: true });
	const included = include ? match(include) : () => true;
	const excluded = exclude ? match(exclude) : () => false;
	return (path) => {
		const relative = root ? path.slice(root.length + 1) : path;
		return included(relative) && !excluded(relative);
	};
}

interface Walk {
	readonly tree: Tree;
	readonly root: string;
	readonly options: RenderOptions;
	readonly selects: (path: string) => boolean;
	readonly cache: Recent<Scan>;
	readonly signal: AbortSignal | undefined;
}

async function walk(folder: Located, depth: number, on: Walk): Promise<Scan> {
	const { recurse = true, include = '', exclude = '' } = on.options;
	const key = [folder.id, folder.path, on.root, recurse, include, exclude].join('\0');
	const known = on.cache.get(key);
	if (known) return known;
	if (depth > MAX_FOLDER_DEPTH) return failed(folder.path, `folders are nested deeper than ${MAX_FOLDER_DEPTH} levels`);
	const found = await read(folder, depth, on);
	on.cache.set(key, found, 1 + found.files.length + found.problems.length + found.ignored.length);
	return found;
}

async function read(folder: Located, depth: number, on: Walk): Promise<Scan> {
	const entries = await on.tree.list(folder, on.signal);
	if (entries.some((entry) => entry.kind === 'file' && isKustomization(entry.name))) {
		return { ...nothing, kustomized: [folder], entries: entries.length };
	}
	// What cannot be rendered is never an empty set: what it described before would be pruned.
	const chart = join(folder.path, 'Chart.yaml');
	if (entries.some((entry) => entry.name === 'Chart.yaml' && entry.kind === 'file') && on.selects(chart)) {
		return failed(
			chart,
			`a Helm chart, which is not rendered: put the output of \`helm template\` here, or ${leaveOut}`,
		);
	}
	const parts: Scan[] = [];
	let total = entries.length;
	for (const entry of entries) {
		// Hidden files and folders (.github, .gitlab-ci.yml, .git) are for other programs.
		if (entry.name.startsWith('.')) continue;
		const part = await look(entry, join(folder.path, entry.name), depth, on);
		if (!part) continue;
		parts.push(part);
		total += part.entries;
		if (total > MAX_ENTRIES)
			return failed(folder.path || '.', `more than ${MAX_ENTRIES} files: choose a path with fewer`);
	}
	return {
		files: parts.flatMap((part) => part.files),
		kustomized: parts.flatMap((part) => part.kustomized),
		problems: parts.flatMap((part) => part.problems),
		ignored: parts.flatMap((part) => part.ignored),
		entries: total,
	};
}

async function look(entry: TreeEntry, path: string, depth: number, on: Walk): Promise<Scan | undefined> {
	if (entry.kind === 'directory') {
		return on.options.recurse === false ? undefined : walk({ path, id: entry.id }, depth + 1, on);
	}
	if (!on.selects(path)) return undefined;
	if (entry.kind === 'submodule')
		return failed(path, `a submodule, whose content is not fetched: put its files here, or ${leaveOut}`);
	if (/\.jsonnet$/i.test(entry.name))
		return failed(path, `jsonnet, which is not rendered: put its output here, or ${leaveOut}`);
	const manifest = manifestName.test(entry.name);
	if (entry.kind === 'symlink') {
		return manifest
			? failed(path, 'a symbolic link, which is not followed: put the file itself here')
			: { ...nothing, ignored: [at(path, 'a symbolic link, which is not followed: ignored')] };
	}
	return manifest ? { ...nothing, files: [{ path, id: entry.id }] } : undefined;
}
