/** Files by content: what has been parsed once is not parsed again, wherever it lies. Shared by the walk and by kustomize. */
import { parseApiVersion } from '../../kinds/kind.ts';
import type { Located, Tree } from '../source/tree.ts';
import { type Blob, type BlobFault, type BlobObject, faulty, parseBlob } from './blob.ts';
import { bytes, MAX_FILE_BYTES } from './limits.ts';
import { createRecent } from './recent.ts';
import type { Manifest, RenderProblem } from './render.ts';

/** Bytes of parsed files kept, about: at least 20,000 ordinary manifests. */
const BLOB_MEMORY = 256 * 1024 * 1024;
/** Files read at once. */
const BATCH = 64;

/** A blob at one path. */
export interface File {
	readonly size: number;
	readonly manifests: readonly Manifest[];
	/** Those that lack what every object has. */
	readonly broken: readonly Manifest[];
	/** Of each manifest, to tell duplicates. */
	readonly identities: readonly string[];
	readonly problems: readonly RenderProblem[];
	readonly ignored: readonly RenderProblem[];
}

interface CachedBlob {
	readonly size: number;
	readonly blob: Blob;
	/** The same content may lie in several places. */
	readonly places: Map<string, File>;
}

export interface Files {
	load(tree: Tree, files: readonly Located[], signal?: AbortSignal): Promise<readonly File[]>;
}

export function createFiles(): Files {
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

const tooLarge = (size: number): Blob =>
	faulty({
		line: 1,
		column: 1,
		message: `${bytes(size)} is more than the ${bytes(MAX_FILE_BYTES)} that a manifest may have`,
	});

function place({ blob, size, places }: CachedBlob, file: string): File {
	const known = places.get(file);
	if (known) return known;
	const problem = ({ line, column, field, message }: BlobFault): RenderProblem => ({
		position: { file, line, column },
		field,
		message,
	});
	const manifest = ({ object, hash, line, column, locate }: BlobObject): Manifest => ({
		object,
		hash,
		file,
		position: { file, line, column },
		locate: (path) => ({ file, ...locate(path) }),
	});
	const manifests = blob.objects.map(manifest);
	const placed: File = {
		size,
		manifests,
		broken: blob.broken.map(manifest),
		identities: manifests.map(identityOf),
		problems: blob.faults.map(problem),
		ignored: blob.ignored.map(problem),
	};
	places.set(file, placed);
	return placed;
}

/** Group, kind and name, whatever the version. Made once per file: each render compares all. */
export function identityOf({ object: { apiVersion, kind, metadata } }: Manifest): string {
	return `${parseApiVersion(apiVersion).group}:${kind}:${metadata.name}`;
}
