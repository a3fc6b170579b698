/** From -f and -k to objects: rendered, told apart, in their namespaces, and each fault at its place in the file. */
import type { HttpClient } from '../../client/index.ts';
import {
	apiVersionOf,
	createRegistry,
	type Dynamic,
	type Kind,
	type Registry,
	type StatusCause,
} from '../../kinds/index.ts';
import type { ApiError } from '../../kinds/status.ts';
import {
	createRenderer,
	formatProblem,
	type Manifest,
	problemAt,
	type RenderProblem,
	validateManifest,
} from '../../sync/render/index.ts';
import { UserError } from '../user-error.ts';
import { type ManifestSource, openKustomization, openSource } from './manifest-sources.ts';
import { kindOfObject } from './resource-types.ts';

export interface FileOptions {
	readonly filename?: readonly string[];
	readonly kustomize?: string;
	readonly recursive?: boolean;
}

/** One object of a file. */
export interface Given {
	readonly kind: Kind;
	/** With its namespace. */
	readonly object: Dynamic;
	/** `web.yaml:12:7: MESSAGE`. */
	at(message: string): string;
	/** A refusal of the API, a line for each field that it blames, at that field. */
	refusal(error: ApiError): readonly string[];
}

/** How many faults are shown; the rest is counted. */
const MOST_FAULTS = 20;

/**
 * Everything that the options name, in their order. `namespace` is that of -n, `otherwise` that of objects that name none.
 * Throws a UserError with a line for each fault; nothing has been sent by then but the question for kinds.
 */
export async function readManifests(
	client: HttpClient,
	options: FileOptions,
	{ namespace, otherwise }: { readonly namespace?: string; readonly otherwise: string },
	{ validate = true } = {},
): Promise<readonly Given[]> {
	const { filename = [], kustomize, recursive = false } = options;
	if (filename.length === 0 && kustomize === undefined)
		throw new UserError('name what to read: -f FILE, -f FOLDER, -f - for standard input, or -k FOLDER');
	const sources: ManifestSource[] = [];
	for (const name of filename) sources.push(await openSource(name, recursive, process.stdin));
	if (kustomize !== undefined) sources.push(await openKustomization(kustomize));

	const renderer = createRenderer();
	const faults: string[] = [];
	const given: Given[] = [];
	const known = new Map<string, string>();
	for (const source of sources) {
		const rendered = await renderer.render(source.tree, {
			path: source.path,
			recurse: source.recurse,
			namespace: namespace ?? otherwise,
		});
		const say = (problem: RenderProblem) => formatProblem({ ...problem, position: source.place(problem.position) });
		faults.push(...rendered.problems.map(say));
		for (const ignored of rendered.ignored) process.stderr.write(`warning: ${say(ignored)}\n`);
		for (const manifest of rendered.manifests) {
			const kind = await kindOfObject(client, manifest.object.apiVersion, manifest.object.kind);
			const wrong = validate || !kind ? validateManifest(manifest, withKind(client.registry, kind)) : [];
			faults.push(...wrong.map(say));
			if (!kind || wrong.length > 0) continue;
			const one = give(manifest, kind, namespace, otherwise, say);
			if (typeof one === 'string') {
				faults.push(one);
				continue;
			}
			const id = `${kind.group}/${kind.kind}/${one.object.metadata.namespace ?? ''}/${one.object.metadata.name}`;
			const place = one.at('').replace(/: $/, '');
			const earlier = known.get(id);
			if (earlier !== undefined)
				faults.push(one.at(`${kind.kind} ${one.object.metadata.name} is already defined at ${earlier}`));
			known.set(id, place);
			given.push(one);
		}
	}
	if (faults.length > 0) throw new UserError(faultText(faults), 1);
	if (given.length === 0) throw new UserError('there are no objects in what was given', 1);
	return given;
}

/** One line for one fault; for more of them their count, and a line for each. */
export function faultText(faults: readonly string[]): string {
	const [only = ''] = faults;
	if (faults.length === 1) return only;
	const rest = faults.length - MOST_FAULTS;
	const shown = faults.slice(0, MOST_FAULTS).map((fault) => `  ${fault}`);
	return [`${faults.length} faults; nothing was changed`, ...shown, ...(rest > 0 ? [`  and ${rest} more`] : [])].join(
		'\n',
	);
}

/** Its namespace is its own, or that of -n; the two must not contradict each other. */
function give(
	manifest: Manifest,
	kind: Kind,
	wanted: string | undefined,
	otherwise: string,
	say: (problem: RenderProblem) => string,
): Given | string {
	const { namespace: written, ...metadata } = manifest.object.metadata;
	if (kind.namespaced && wanted !== undefined && written !== undefined && written !== wanted) {
		const why = `the object is of the namespace ${written}, and -n says ${wanted}: leave one of them out`;
		return say(problemAt(manifest, 'metadata.namespace', why));
	}
	const namespace = kind.namespaced ? (written ?? wanted ?? otherwise) : undefined;
	const object: Dynamic = {
		...manifest.object,
		apiVersion: apiVersionOf(kind),
		metadata: { ...metadata, ...(namespace !== undefined && { namespace }) },
	};
	const at = (message: string) => say({ position: manifest.position, message });
	return {
		kind,
		object,
		at,
		refusal(error) {
			const causes = (error.status.details?.causes ?? []).filter(blames);
			if (causes.length === 0 || error.reason === 'Conflict') return [at(oneLine(error.message))];
			return causes.map(({ field, message }) => say(problemAt(manifest, field, oneLine(message ?? error.message))));
		},
	};
}

const blames = (cause: StatusCause): cause is StatusCause & { readonly field: string } => Boolean(cause.field);
const oneLine = (text: string) => text.replace(/\s*\n\s*/g, ' ');

/** The registry, with a kind that only the server knows. */
function withKind(registry: Registry, kind: Kind | undefined): Registry {
	if (!kind || registry.of(apiVersionOf(kind), kind.kind)) return registry;
	return createRegistry([...registry.all(), kind], registry.schemas);
}
