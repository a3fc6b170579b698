/** The renderer: which files, their documents, kustomize's output, and what only shows in the whole (duplicates, totals). */
import { createFiles, type File } from './files.ts';
import { createKustomizer } from './kustomize.ts';
import { bytes, MAX_OBJECTS, MAX_PROBLEMS, MAX_TOTAL_BYTES } from './limits.ts';
import { createRecent } from './recent.ts';
import type { Manifest, Rendered, Renderer, RenderOptions, RenderProblem } from './render.ts';
import { at, normalPath, type Scan, scan } from './scan.ts';

/** Files in remembered folder listings. */
const SCAN_MEMORY = 500_000;
/** Whole results remembered, by their objects. */
const RESULT_MEMORY = 200_000;

export function createRenderer(): Renderer {
	const scans = createRecent<Scan>(SCAN_MEMORY);
	const results = createRecent<Rendered>(RESULT_MEMORY);
	const files = createFiles();
	const kustomizer = createKustomizer(files);
	return {
		async render(tree, options, signal) {
			const { path, recurse = true, include = '', exclude = '', namespace = 'default' } = options;
			const key = [tree.id, path, recurse, include, exclude, namespace].join('\0');
			const known = results.get(key);
			if (known) return known;
			const found = await scan(tree, options, scans, signal);
			const parts = [await files.load(tree, found.files, signal)];
			const built = await kustomizer.build(tree, found.kustomized, signal);
			parts.push(built.files);
			const rendered = assemble(found, parts.flat(), options);
			// A child that timed out says nothing about the tree: the next render tries again.
			if (!built.transient) results.set(key, rendered, 1 + rendered.manifests.length);
			return rendered;
		},
	};
}

function assemble(found: Scan, files: readonly File[], options: RenderOptions): Rendered {
	const manifests = files.flatMap((file) => file.manifests);
	const problems = [
		...found.problems,
		...files.flatMap((file) => file.problems),
		...duplicates(files, options.namespace),
	];
	const total = files.reduce((sum, file) => sum + file.size, 0);
	const root = options.path || '.';
	if (total > MAX_TOTAL_BYTES) {
		problems.push(
			at(root, `${bytes(total)} of manifests are more than the ${bytes(MAX_TOTAL_BYTES)} that a path may have`),
		);
	}
	if (manifests.length > MAX_OBJECTS)
		problems.push(at(root, `${manifests.length} objects are more than the ${MAX_OBJECTS} that a path may have`));
	problems.sort(byPosition);
	const ignored = [...found.ignored, ...files.flatMap((file) => file.ignored)].sort(byPosition);
	const kustomized = found.kustomized.some(({ path }) => path === normalPath(options.path));
	const broken = files.flatMap((file) => file.broken);
	return Object.freeze({ manifests, broken, problems: shorten(problems), ignored, kustomized });
}

function byPosition({ position: a }: RenderProblem, { position: b }: RenderProblem): number {
	if (a.file !== b.file) return a.file < b.file ? -1 : 1;
	return a.line - b.line || a.column - b.column;
}

function shorten(problems: RenderProblem[]): readonly RenderProblem[] {
	const last = problems[MAX_PROBLEMS - 1];
	if (!last || problems.length === MAX_PROBLEMS) return problems;
	const rest = problems.length - MAX_PROBLEMS;
	return [...problems.slice(0, MAX_PROBLEMS), { position: last.position, message: `and ${rest} more problems` }];
}

/** An object that stands twice: which of the two is meant? */
function duplicates(files: readonly File[], namespace = 'default'): RenderProblem[] {
	const first = new Map<string, Manifest>();
	const problems: RenderProblem[] = [];
	for (const file of files) {
		for (const [index, manifest] of file.manifests.entries()) {
			const own = manifest.object.metadata.namespace || namespace;
			const identity = file.identities[index] ?? '';
			const key = own === namespace ? identity : `${own}/${identity}`;
			const earlier = first.get(key);
			if (earlier) problems.push(twice(manifest, earlier));
			else first.set(key, manifest);
		}
	}
	return problems;
}

function twice(manifest: Manifest, earlier: Manifest): RenderProblem {
	const { kind, metadata } = manifest.object;
	const { file, line, column } = earlier.position;
	return {
		position: manifest.position,
		message: `${kind} ${metadata.name} is already defined at ${file}:${line}:${column}`,
	};
}
