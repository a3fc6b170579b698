/** A manifest against what the server knows: its kind, and the fields and types of its schema, each fault at its line and column. */
import {
	apiVersionOf,
	type Kind,
	parseApiVersion,
	type Registry,
	resolve,
	type Schema,
	validateSchema,
} from '../../kinds/index.ts';
import { nearest } from '../../kinds/nearest.ts';
import { describe, quoteIt } from './blob.ts';
import type { FieldPath, Manifest, RenderProblem } from './render.ts';

export interface ValidateOptions {
	/** Kinds that the same push defines, and that the server will know by then. */
	defines?(apiVersion: string, kind: string): boolean;
	/** Fields that the schema does not have are let through; the API drops them. */
	readonly unknown?: boolean;
}

/** What is wrong with a manifest as such. Rules that need defaults or the live cluster are the API's, by dry run. */
export function validateManifest(
	manifest: Manifest,
	registry: Registry,
	options: ValidateOptions = {},
): RenderProblem[] {
	const { apiVersion, kind: name } = manifest.object;
	const kind = registry.of(apiVersion, name);
	if (kind?.computed)
		return [problem(manifest, ['kind'], `objects of kind ${name} are computed: they can be read only`)];
	if (kind) return validateAs(kind, manifest, registry, options);
	if (options.defines?.(apiVersion, name)) return [];
	const near = nearKind(apiVersion, name, registry);
	const meant =
		near && (near.kind === name ? `apiVersion ${apiVersionOf(near)}` : `${near.kind} (${apiVersionOf(near)})`);
	return [
		problem(
			manifest,
			[near?.kind === name ? 'apiVersion' : 'kind'],
			`there is no kind ${name} in ${apiVersion}${meant ? `: did you mean ${meant}?` : ''}`,
		),
		// The rest as of what was meant: all is told at once.
		...(near ? validateAs(near, manifest, registry, options) : []),
	];
}

/** What is wrong beside it with a manifest that lacks its kind, its apiVersion or its name. */
export function validateBroken(manifest: Manifest, registry: Registry): RenderProblem[] {
	const { apiVersion, kind: name } = manifest.object as { apiVersion?: unknown; kind?: unknown };
	if (typeof name !== 'string' || name === '') return [];
	if (typeof apiVersion === 'string' && apiVersion !== '') return validateManifest(manifest, registry);
	const near = nearKind('', name, registry);
	if (!near) return [problem(manifest, ['kind'], `there is no kind ${name}`)];
	const position = manifest.locate(['kind']);
	const right = { position, field: 'apiVersion', message: `that of ${near.kind} is ${apiVersionOf(near)}` };
	return [right, ...validateAs(near, manifest, registry)];
}

function validateAs(
	kind: Kind,
	manifest: Manifest,
	registry: Registry,
	options: ValidateOptions = {},
): RenderProblem[] {
	const schema = registry.schemas[kind.schema];
	if (!schema) return [];
	const { unknown, mistyped, errors } = validateSchema(manifest.object, schema, registry.schemas);
	return [
		...(options.unknown ? [] : unknown).map(({ path }) => {
			const near = nearest(String(path.at(-1)), fieldsAt(schema, path.slice(0, -1), registry));
			return problem(manifest, path, `unknown field${near ? `: did you mean ${near}?` : ''}`);
		}),
		...mistyped.map(({ path, expected }) =>
			problem(manifest, path, mismatch(expected, valueAt(manifest.object, path), isSecret(manifest, path))),
		),
		...errors
			.filter(({ field }) => !field.startsWith('status.'))
			.map((error) => problemAt(manifest, error.field, error.detail)),
	].sort((a, b) => a.position.line - b.position.line || a.position.column - b.position.column);
}

/** Whether a field holds what must not be shown, not even to say what is wrong with it: messages end up in statuses and logs. */
function isSecret({ object }: Manifest, path: FieldPath): boolean {
	return object.kind === 'Secret' && (path[0] === 'data' || path[0] === 'stringData');
}

function mismatch(expected: string, value: unknown, secret: boolean): string {
	const wanted = `expected ${article(expected)} ${expected}`;
	if (!secret) return `${wanted}, got ${describe(value)}${expected === 'string' ? quoteIt(value) : ''}`;
	return typeof value === 'string'
		? `${wanted}; plain text belongs under stringData`
		: `${wanted}, got ${typeof value === 'object' ? describe(value) : `a ${typeof value}`}${quoteIt(value)}`;
}

/** A fault of a field as the API names it (`spec.template.spec.containers[0].image`), at its place in the file. */
export function problemAt(manifest: Manifest, field: string, message: string): RenderProblem {
	return { position: manifest.locate(parseField(field)), field, message };
}

/** The inverse of how field errors write a path: `spec.ports[0].name`, `metadata.labels[app.kubernetes.io/name]`. */
export function parseField(field: string): FieldPath {
	const path: (string | number)[] = [];
	// What is open and never closed is no index; a bracket within one would make the search start again at each.
	for (const [, key, index] of field.matchAll(/([^.[\]]+)|\[([^[\]]*)\]/g)) {
		if (key !== undefined) path.push(key);
		else if (index !== undefined) path.push(/^\d+$/.test(index) ? Number(index) : index.replace(/^"(.*)"$/, '$1'));
	}
	return path;
}

function problem(manifest: Manifest, path: FieldPath, message: string): RenderProblem {
	return { position: manifest.locate(path), field: formatField(path), message };
}

function formatField(path: FieldPath): string {
	let text = '';
	for (const part of path) {
		if (typeof part === 'number') text += `[${part}]`;
		else if (/^[\w$-]+$/.test(part)) text += text ? `.${part}` : part;
		else text += `[${part}]`;
	}
	return text;
}

const article = (word: string) => (/^[aeiou]/.test(word) ? 'an' : 'a');

function valueAt(value: unknown, path: FieldPath): unknown {
	let current = value;
	for (const step of path) current = (current as Record<string | number, unknown> | null | undefined)?.[step];
	return current;
}

/** Names of the fields that may stand at a path. */
function fieldsAt(schema: Schema, path: FieldPath, { schemas }: Registry): readonly string[] {
	let current = resolve(schema, schemas);
	for (const step of path) {
		const { additionalProperties, items, properties } = current ?? {};
		const values = typeof additionalProperties === 'object' ? additionalProperties : undefined;
		current = resolve(typeof step === 'number' ? items : (properties?.[step] ?? values), schemas);
	}
	return Object.keys(current?.properties ?? {});
}

/** Letters by which the name of a kind may be off: APIService is no slip for Service. */
const KIND_SLIP = 2;

/** The kind that was probably meant: of that name in another group or version, or of a name that differs by a slip. */
function nearKind(apiVersion: string, name: string, registry: Registry): Kind | undefined {
	const kinds = [...registry.all()];
	const { group } = parseApiVersion(apiVersion);
	const named = (wanted: string | undefined) => {
		const same = kinds.filter((kind) => kind.kind === wanted);
		return same.find((kind) => kind.group === group) ?? same[0];
	};
	const names = kinds.map((kind) => kind.kind);
	return named(name) ?? named(nearest(name, names, KIND_SLIP));
}
