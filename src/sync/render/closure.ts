/** What a kustomization needs of a tree: the files it names, and those of the kustomizations it names. Nothing else is written out for it. */
import { posix } from 'node:path';
import { composeYaml } from '../../yaml.ts';
import type { Located, Tree, TreeEntry } from '../source/tree.ts';
import { bytes, MAX_DEPTH, MAX_FILE_BYTES, MAX_TOKENS } from './limits.ts';
import type { RenderProblem } from './render.ts';
import { at, isKustomization, join } from './scan.ts';

export interface Closure {
	readonly folder: Located;
	/** The kustomization file itself. */
	readonly kustomization: Located;
	readonly files: readonly Located[];
	/** Folders that it, and what it builds upon, name; its own among them where that goes in a circle. */
	readonly uses: ReadonlySet<string>;
	readonly problems: readonly RenderProblem[];
}

/**
 * The name of a field as kustomize knows it, which takes `ENVS` for `envs`. Source: Go's encoding/json, Unmarshal: names match without
 * regard to case, by which also the long s and the Kelvin sign are letters.
 */
const fold = (name: string) => name.toUpperCase().toLowerCase();
const folded = (...names: string[]): ReadonlySet<string> => new Set(names.map(fold));

/** Fields whose items are files, folders or remote places. */
const bases = folded('resources', 'bases', 'components');
/** Fields whose items are configurations of plugins: files or folders of them, or their text itself. */
const plugins = folded('generators', 'transformers', 'validators');
/** Fields of a generator, whose items may be `KEY=PATH`. kustomize fetches those that are URLs, too. */
const generated = folded('files', 'env', 'envs');
const paths = folded(
	...[...bases, ...plugins, ...generated],
	...['crds', 'configurations', 'patchesStrategicMerge', 'path', 'paths', 'valuesFile', 'additionalValuesFiles'],
);
const remote =
	/^(?:[a-z][a-z0-9+.-]*:\/\/|git::|git@|[\w.-]+@[\w.-]+:)|^(?:github|gitlab|bitbucket)\.[a-z]+[/:]|[?&]ref=/i;

/** What a patch might write into a plugin's configuration, wherever in a text it stands: in such a folder there is no telling. */
const anywhere = /https?:\/\//i;

/** Rejects only where the tree itself cannot be read. */
export async function closureOf(tree: Tree, folder: Located, signal?: AbortSignal): Promise<Closure> {
	const lookup = createLookup(tree, signal);
	const files = new Map<string, Located>();
	const uses = new Set<string>();
	const problems: RenderProblem[] = [];
	let kustomization = folder;
	/** Folders to look into; what those of plugins describe are no objects but configurations of plugins. */
	const pending: { readonly current: Located; readonly ofPlugins: boolean }[] = [{ current: folder, ofPlugins: false }];
	const visited = new Set<string>();
	for (let next = pending.pop(); next; next = pending.pop()) {
		const { current, ofPlugins } = next;
		const visit = `${ofPlugins} ${current.path}`;
		if (visited.has(visit)) continue;
		visited.add(visit);
		const named = (await lookup.list(current)).find((entry) => entry.kind === 'file' && isKustomization(entry.name));
		if (!named) continue;
		const file = { path: join(current.path, named.name), id: named.id };
		if (current === folder) kustomization = file;
		const reading: { readonly each: Located; readonly patches: boolean }[] = [{ each: file, patches: ofPlugins }];
		const read = new Set<string>();
		for (let next = reading.pop(); next; next = reading.pop()) {
			const { each, patches } = next;
			if (read.has(each.path)) continue;
			read.add(each.path);
			files.set(each.path, each);
			for (const { text: written, name } of await strings(tree, each, problems, signal)) {
				const field = fold(name);
				const text = generated.has(field) ? written.replace(/^[^=]*=/, '') : written;
				// The key of a generator's item may have been a part of a URL.
				const url = [text, written].find(
					(part) => (paths.has(field) && remote.test(part)) || (patches && anywhere.test(part)),
				);
				if (url !== undefined) {
					problems.push(
						at(
							file.path,
							`${name}: ${url} is remote, and nothing is fetched while rendering: vendor it into the source`,
						),
					);
					continue;
				}
				// kustomize would look there on this machine: it lets a base be anywhere.
				if (paths.has(field) && leaves(current.path, text)) {
					problems.push(at(file.path, `${field}: ${text} leads out of the source: put what it names into the source`));
					continue;
				}
				for (const candidate of candidates(written)) {
					const path = posix.normalize(posix.join(current.path, candidate));
					if (path.startsWith('..') || path === '.' || path === current.path) continue;
					const entry = await lookup.find(path);
					if (!entry) continue;
					const target = { path, id: entry.id };
					if (entry.kind === 'symlink')
						problems.push(at(path, 'a symbolic link, which is not followed: put the file itself here'));
					else if (entry.kind === 'directory') {
						pending.push({ current: target, ofPlugins: ofPlugins || plugins.has(field) });
						uses.add(path);
					} else if (entry.kind === 'file' && (plugins.has(field) || ofPlugins))
						reading.push({ each: target, patches: !plugins.has(field) && !bases.has(field) });
					else if (entry.kind === 'file') files.set(path, target);
				}
			}
		}
	}
	const sorted = [...files.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
	return { folder, kustomization, files: sorted, uses, problems };
}

const leaves = (folder: string, path: string): boolean =>
	path.split('/').includes('..') && posix.normalize(posix.join(folder, path)).split('/')[0] === '..';

/** A generator writes `files: [key=path]`. */
const candidates = (text: string): string[] => {
	if (text === '' || text.length > 1000 || /[\n\0]/.test(text) || text.startsWith('/')) return [];
	const equals = text.indexOf('=');
	return equals < 0 ? [text] : [text, text.slice(equals + 1)];
};

/**
 * Every string of a YAML file, with the field it stands in; of a plugin's configuration that is written out in place, the strings in
 * that. What is broken is left to kustomize to complain about.
 */
async function strings(
	tree: Tree,
	file: Located,
	problems: RenderProblem[],
	signal?: AbortSignal,
): Promise<{ text: string; name: string }[]> {
	const [size = 0] = await tree.sizes([file], signal);
	if (size > MAX_FILE_BYTES) {
		problems.push(
			at(file.path, `${bytes(size)} is more than the ${bytes(MAX_FILE_BYTES)} that a kustomization may have`),
		);
		return [];
	}
	const [content] = await tree.read([file], signal);
	const found: { text: string; name: string }[] = [];
	const gather = async (value: unknown, name: string, depth: number): Promise<void> => {
		if (typeof value === 'string') {
			found.push({ text: value, name });
			if (!plugins.has(fold(name))) return;
			for await (const each of documents(value)) if (typeof each === 'object') await gather(each, '', depth + 1);
		} else if (depth > MAX_DEPTH || typeof value !== 'object' || value === null) return;
		else if (Array.isArray(value)) for (const item of value) await gather(item, name, depth + 1);
		else for (const [key, item] of Object.entries(value)) await gather(item, key, depth + 1);
	};
	try {
		for await (const each of documents(new TextDecoder().decode(content))) await gather(each, '', 0);
	} catch (error) {
		problems.push(at(file.path, error instanceof Error ? error.message : String(error)));
	}
	return found;
}

async function* documents(text: string): AsyncGenerator<unknown> {
	for await (const document of composeYaml(text, { depth: MAX_DEPTH, tokens: MAX_TOKENS }))
		yield document.toJS({ maxAliasCount: 100 });
}

function createLookup(tree: Tree, signal?: AbortSignal) {
	const listed = new Map<string, Promise<readonly TreeEntry[]>>();
	const list = (folder: Located) => {
		const known = listed.get(folder.path) ?? tree.list(folder, signal);
		listed.set(folder.path, known);
		return known;
	};
	return {
		list,
		async find(path: string): Promise<TreeEntry | undefined> {
			let folder: Located = { path: '', id: tree.id };
			const parts = path.split('/').filter(Boolean);
			for (const [index, name] of parts.entries()) {
				const entry = (await list(folder)).find((candidate) => candidate.name === name);
				if (!entry || index === parts.length - 1) return entry;
				if (entry.kind !== 'directory') return undefined;
				folder = { path: join(folder.path, name), id: entry.id };
			}
			return undefined;
		},
	};
}
