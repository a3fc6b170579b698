/**
 * The door of openapi/: the OpenAPI documents of a registry as they go over the wire. Built when first asked for, serialized
 * once, and kept until the kinds of the registry change. Source: KEP-2896 (OpenAPI v3).
 */
import { createHash } from 'node:crypto';
import type { Kind } from '../../kinds/kind.ts';
import type { Registry } from '../../kinds/registry.ts';
import type { Schemas } from '../../kinds/schema.ts';
import { root } from './operations.ts';
import { documentV2 } from './v2.ts';
import { documentV3 } from './v3.ts';

/** A JSON document, serialized. */
export interface Document {
	readonly bytes: Uint8Array;
	/** Its content's hash, for ETag and for the `hash` parameter of the index: a document of one hash never changes. */
	readonly hash: string;
}

export interface OpenApiV3 {
	/** GET /openapi/v3: where the documents are. */
	readonly index: Document;
	/** GET /openapi/v3/PATH, with PATH `api/v1` or `apis/apps/v1`; undefined where there is none. */
	document(path: string): Document | undefined;
}

interface Built {
	readonly kinds: readonly Kind[];
	readonly schemas: Schemas;
	readonly v3: OpenApiV3;
	v2?: Document;
}

const built = new WeakMap<Registry, Built>();

/** The index and the documents of OpenAPI v3. */
export function openApiV3(registry: Registry): OpenApiV3 {
	return current(registry).v3;
}

/** GET /openapi/v2: everything in one Swagger 2.0 document. */
export function openApiV2(registry: Registry): Document {
	const now = current(registry);
	now.v2 ??= serialize(documentV2(now.kinds, now.schemas));
	return now.v2;
}

function current(registry: Registry): Built {
	const kinds = [...registry.all()];
	const { schemas } = registry;
	const known = built.get(registry);
	if (known && known.schemas === schemas && sameItems(known.kinds, kinds)) return known;
	const made: Built = { kinds, schemas, v3: buildV3(kinds, schemas) };
	built.set(registry, made);
	return made;
}

const sameItems = (a: readonly unknown[], b: readonly unknown[]) =>
	a.length === b.length && a.every((item, i) => item === b[i]);

function buildV3(kinds: readonly Kind[], schemas: Schemas): OpenApiV3 {
	const byPath = Map.groupBy(kinds, (kind) => root(kind).slice(1));
	const documents = new Map<string, Document>();
	const document = (path: string) => {
		const known = documents.get(path);
		if (known) return known;
		const here = byPath.get(path);
		if (!here) return undefined;
		const made = serialize(documentV3(here, schemas));
		documents.set(path, made);
		return made;
	};
	let index: Document | undefined;
	return {
		document,
		get index() {
			index ??= serialize({
				paths: Object.fromEntries(
					[...byPath.keys()]
						.sort()
						.map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${document(path)?.hash}` }]),
				),
			});
			return index;
		},
	};
}

function serialize(document: object): Document {
	const bytes = Buffer.from(JSON.stringify(document));
	return { bytes, hash: createHash('sha512').update(bytes).digest('hex').toUpperCase() };
}
