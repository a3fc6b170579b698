/** Where what kustomize built came from: the file that it says itself, and of a field the file that gave it its value. */
import { readFile, writeFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { parseDocument } from 'yaml';
import type { Dynamic } from '../../kinds/object.ts';
import type { Tree } from '../source/tree.ts';
import { parseBlob } from './blob.ts';
import { freezeAndHash } from './canonical.ts';
import type { Closure } from './closure.ts';
import { type File, type Files, identityOf } from './files.ts';
import type { FieldPath, Manifest, Position } from './render.ts';

/** Source: kustomize, "buildMetadata". */
const OPTION = 'originAnnotations';
const ANNOTATION = 'config.kubernetes.io/origin';

/** Has kustomize say the origin of each object; false where it would have said so anyway, and the annotation is wanted. */
export async function askForOrigins(kustomization: string): Promise<boolean> {
	// Keys are not compared: the parser compares each with all before it.
	const document = parseDocument(await readFile(kustomization, 'utf8'), { uniqueKeys: false });
	// What is broken is left to kustomize to complain about.
	if (document.errors.length > 0) return false;
	const given: unknown = document.toJS()?.buildMetadata ?? [];
	if (!Array.isArray(given) || given.includes(OPTION)) return false;
	document.set('buildMetadata', [...given, OPTION]);
	await writeFile(kustomization, document.toString());
	return true;
}

/** What kustomize printed, as a file whose objects have the positions of those that they came from. */
export async function withOrigins(
	tree: Tree,
	closure: Closure,
	{ text, asked }: { readonly text: string; readonly asked: boolean },
	files: Files,
	signal?: AbortSignal,
): Promise<File> {
	const built = await parseBlob(new TextEncoder().encode(text), false);
	const { path } = closure.kustomization;
	const sources = await files.load(
		tree,
		closure.files.filter((file) => /\.(?:ya?ml|json)$/.test(file.path) && file.path !== path),
		signal,
	);
	const byKind = Map.groupBy(
		sources.flatMap((file) => file.manifests),
		(manifest) => manifest.object.kind,
	);
	const position = { file: path, line: 1, column: 1 };
	const manifests = built.objects.map(({ object: printed, hash: given }): Manifest => {
		const file = originFile(printed, closure.folder.path);
		const object = asked ? withoutOrigin(printed) : printed;
		const hash = asked ? freezeAndHash(object) : given;
		const alike = byKind.get(object.kind) ?? [];
		const origin = originOf(
			object.metadata.name,
			alike.filter((manifest) => manifest.file === file),
		);
		if (!origin) return { object, hash, file: path, position, locate: () => position };
		const patches = alike.filter(
			(each) => each !== origin && each.object.metadata.name === origin.object.metadata.name,
		);
		const locate = (field: FieldPath) => place(field, object, [origin, ...patches]) ?? position;
		return { object, hash, file: origin.file, position: origin.position, locate };
	});
	return {
		size: text.length,
		manifests,
		broken: [],
		identities: manifests.map(identityOf),
		problems: built.faults.map(({ field, message }) => ({
			position,
			field,
			message: `in kustomize's output: ${message}`,
		})),
		ignored: [],
	};
}

/** The path that the annotation names, from the root of the source; undefined for what kustomize generated. */
function originFile({ metadata }: Dynamic, folder: string): string | undefined {
	const said = /^path: (.*)$/m.exec(metadata.annotations?.[ANNOTATION] ?? '')?.[1];
	return said && posix.join(folder, said);
}

function withoutOrigin({ metadata, ...rest }: Dynamic): Dynamic {
	const { [ANNOTATION]: _, ...annotations } = metadata.annotations ?? {};
	const { annotations: __, ...others } = metadata;
	return { ...rest, metadata: Object.keys(annotations).length > 0 ? { ...others, annotations } : others } as Dynamic;
}

/** Of the objects of a kind in one file that which was meant: by name; where a prefix or suffix was added, by the longest name within it. */
function originOf(name: string, candidates: readonly Manifest[]): Manifest | undefined {
	if (candidates.length === 1) return candidates[0];
	let best: Manifest | undefined;
	for (const candidate of candidates) {
		const given = candidate.object.metadata.name;
		if (given === name) return candidate;
		if (name.includes(given) && given.length > (best?.object.metadata.name.length ?? 0)) best = candidate;
	}
	return best;
}

/** Where a field has its value from: the first of the manifests in which it stands so. Undefined: from the kustomization itself. */
function place(field: FieldPath, built: Dynamic, [origin, ...patches]: readonly Manifest[]): Position | undefined {
	const { value } = follow(field, built, built);
	for (const manifest of origin ? [origin, ...patches] : []) {
		const found = follow(field, built, manifest.object);
		const same = typeof value === 'object' ? found.value !== undefined : found.value === value;
		if (same) return manifest.locate(found.path);
	}
	// A name that kustomize has put something before or after, or a value that the kustomization sets.
	return undefined;
}

/** The value at a path of `built` in another object, and its path there: items of lists are known by their names, where they have some. */
function follow(field: FieldPath, built: unknown, other: unknown): { path: FieldPath; value: unknown } {
	const path: (string | number)[] = [];
	let [here, there] = [built, other];
	for (const step of field) {
		here = child(here, step);
		const name = child(here, 'name');
		const named =
			Array.isArray(there) && name !== undefined ? there.findIndex((item) => child(item, 'name') === name) : -1;
		const to = named >= 0 ? named : step;
		there = child(there, to);
		path.push(to);
	}
	return { path, value: there };
}

function child(value: unknown, step: string | number): unknown {
	return typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[step] : undefined;
}
