/** From files to desired objects, each with its positions. Nothing is parsed twice: documents are kept by the id of their blob. */
import type { Dynamic } from '../../kinds/object.ts';
import type { Tree } from '../source/tree.ts';

/** 1-based; columns in UTF-16 units, as editors count. */
export interface Position {
	readonly file: string;
	readonly line: number;
	readonly column: number;
	/** Which of several sources, as revision.ts labels them. */
	readonly source?: string;
}

export type FieldPath = readonly (string | number)[];

/** One desired object. */
export interface Manifest {
	/** Deeply frozen, as written: no defaults. */
	readonly object: Dynamic;
	/** Of its canonical content: equal hashes, equal objects, whatever the file looks like. */
	readonly hash: string;
	/** Path in the source. */
	readonly file: string;
	/** Of the document. */
	readonly position: Position;
	/** Of a field (`['spec', 'replicas']`): its key, or the item of a list; of the nearest ancestor where the field is not written. */
	locate(path: FieldPath): Position;
}

/** Why something cannot be applied. */
export interface RenderProblem {
	readonly position: Position;
	/** `spec.replicas`, where a field is to blame. */
	readonly field?: string;
	readonly message: string;
}

export interface Rendered {
	/** Whether kustomize builds the folder itself. */
	readonly kustomized: boolean;
	/** In the order of their paths, and within a file as written. */
	readonly manifests: readonly Manifest[];
	/** Documents that lack their kind, their name or the like, as `problems` say: for validateBroken. */
	readonly broken: readonly Manifest[];
	/** In the order of their positions. Where there is one, the manifests are not the whole of what was meant. */
	readonly problems: readonly RenderProblem[];
	/** What was left out on purpose (YAML that is no Kubernetes object, a symbolic link, ...): worth a line to the pusher. */
	readonly ignored: readonly RenderProblem[];
}

export interface RenderOptions {
	/** Directory in the source; `''` or `.` is its root. */
	readonly path: string;
	/** Sub-folders too. Default: true. */
	readonly recurse?: boolean;
	/** Globs of Argo CD's directory source, on paths relative to `path`: `*.yaml`, `{a,b}/**`. */
	readonly include?: string;
	readonly exclude?: string;
	/** Namespace of objects that name none, to tell duplicates. Default: `default`. */
	readonly namespace?: string;
}

export interface Renderer {
	/** Costs what changed since earlier renders of the same tree or its like. Never rejects for what is in the files. */
	render(tree: Tree, options: RenderOptions, signal?: AbortSignal): Promise<Rendered>;
}

/** `web/deployment.yaml:12:7: spec.replicas: expected an integer, got the string "three"`. */
export function formatProblem({ position, field, message }: RenderProblem): string {
	return `${formatPosition(position)}: ${field ? `${field}: ` : ''}${message}`;
}

/** `web/deployment.yaml:12:7`; of one of several sources `shop//web/deployment.yaml:12:7`, as kustomize writes a path in a repository. */
export function formatPosition({ source, file, line, column }: Position): string {
	return `${source ? `${source}//` : ''}${file}:${line}:${column}`;
}
