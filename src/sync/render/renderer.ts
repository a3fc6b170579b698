/** The renderer: which files, their documents, kustomize's output, and what only shows in the whole (duplicates, totals). */
import { parseApiVersion } from '../../kinds/kind.ts';
import type { Located, Tree } from '../source/tree.ts';
import { type Blob, type BlobFault, parseBlob } from './blob.ts';
import { createKustomizer } from './kustomize.ts';
import { bytes, MAX_FILE_BYTES, MAX_OBJECTS, MAX_PROBLEMS, MAX_TOTAL_BYTES } from './limits.ts';
import { createRecent } from './recent.ts';
import type { Manifest, Rendered, Renderer, RenderOptions, RenderProblem } from './render.ts';
import { at, type Scan, scan } from './scan.ts';

/** Bytes of parsed files kept, about; twice what 10,000 ordinary manifests need. */
const BLOB_MEMORY = 192 * 1024 * 1024;
/** Files in remembered folder listings. */
const SCAN_MEMORY = 500_000;
/** Whole results remembered, by their objects. */
const RESULT_MEMORY = 200_000;
/** Files read at once. */
const BATCH = 64;

/** A blob at one path. */
export interface File {
	readonly size: number;
	readonly manifests: readonly Manifest[];
	readonly problems: readonly RenderProblem[];
	readonly ignored: readonly RenderProblem[];
}

interface CachedBlob {
	readonly size: number;
	readonly blob: Blob;
	/** The same content may lie in several places. */
	readonly places: Map<string, File>;
}

/** Files by content: parses what it has not seen. Shared by the walk and by kustomize. */
export interface Files {
	load(tree: Tree, files: readonly Located[], signal?: AbortSignal): Promise<readonly File[]>;
}

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

function createFiles(): Files {
	const blobs = createRecent<CachedBlob>(BLOB_MEMORY);
	const keyOf = ({ path, id }: Located) => (path.toLowerCase().endsWith('.json') ? `json:${id}` : id);
	return {
		async load(tree, wanted, signal) {
			const found = new Map<string, CachedBlob>();
			const missing = new Map<string, Located>();
			for (const file of wanted) {
				const key = keyOf(file);
				const known = blobs.get(key);
				if (known) found.set(key, known);
				else missing.set(key, file);
			}
			const toRead = [...missing];
			for (let start = 0; start < toRead.length; start += BATCH) {
				signal?.throwIfAborted();
				for (const [key, cached] of await readBatch(tree, toRead.slice(start, start + BATCH), signal)) {
					blobs.set(key, cached, cached.blob.weight);
					found.set(key, cached);
				}
			}
			return wanted.flatMap((file) => {
				const cached = found.get(keyOf(file));
				return cached ? [place(cached, file.path)] : [];
			});
		},
	};
}

async function readBatch(
	tree: Tree,
	batch: readonly [string, Located][],
	signal?: AbortSignal,
): Promise<[string, CachedBlob][]> {
	const located = batch.map(([, file]) => file);
	const sizes = await tree.sizes(located, signal);
	const small = located.filter((_, index) => (sizes[index] ?? 0) <= MAX_FILE_BYTES);
	const contents = new Map((await tree.read(small, signal)).map((content, index) => [small[index], content]));
	const read: [string, CachedBlob][] = [];
	for (const [index, [key, file]] of batch.entries()) {
		const size = sizes[index] ?? 0;
		const content = contents.get(file);
		const blob = content ? await parseBlob(content, key.startsWith('json:')) : tooLarge(size);
		read.push([key, { size, blob, places: new Map() }]);
	}
	return read;
}

const tooLarge = (size: number): Blob => ({
	objects: [],
	faults: [
		{
			line: 1,
			column: 1,
			message: `${bytes(size)} is more than the ${bytes(MAX_FILE_BYTES)} that a manifest may have`,
		},
	],
	ignored: [],
	weight: 100,
});

function place({ blob, size, places }: CachedBlob, file: string): File {
	const known = places.get(file);
	if (known) return known;
	const problem = ({ line, column, field, message }: BlobFault): RenderProblem => ({
		position: { file, line, column },
		field,
		message,
	});
	const placed: File = {
		size,
		manifests: blob.objects.map(({ object, hash, line, column, locate }) => ({
			object,
			hash,
			file,
			position: { file, line, column },
			locate: (path) => ({ file, ...locate(path) }),
		})),
		problems: blob.faults.map(problem),
		ignored: blob.ignored.map(problem),
	};
	places.set(file, placed);
	return placed;
}

function assemble(found: Scan, files: readonly File[], options: RenderOptions): Rendered {
	const manifests = files.flatMap((file) => file.manifests);
	const problems = [
		...found.problems,
		...files.flatMap((file) => file.problems),
		...duplicates(manifests, options.namespace),
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
	return Object.freeze({ manifests, problems: shorten(problems), ignored });
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
function duplicates(manifests: readonly Manifest[], namespace = 'default'): RenderProblem[] {
	const first = new Map<string, Manifest>();
	const problems: RenderProblem[] = [];
	for (const manifest of manifests) {
		const { apiVersion, kind, metadata } = manifest.object;
		const { group } = parseApiVersion(apiVersion);
		const key = `${group}/${kind}/${metadata.namespace ?? namespace}/${metadata.name}`;
		const earlier = first.get(key);
		if (!earlier) {
			first.set(key, manifest);
			continue;
		}
		const { file, line, column } = earlier.position;
		problems.push({
			position: manifest.position,
			message: `${kind} ${metadata.name} is already defined at ${file}:${line}:${column}`,
		});
	}
	return problems;
}
