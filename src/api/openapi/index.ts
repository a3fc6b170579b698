/**
 * The door of openapi/: the OpenAPI documents of a registry as they go over the wire. Built when first asked for, serialized
 * once, and kept until what they speak of changes. Source: KEP-2896 (OpenAPI v3).
 */
import type { Kind } from '../../kinds/kind.ts';
import type { Registry } from '../../kinds/registry.ts';
import type { Schema, Schemas } from '../../kinds/schema.ts';
import { type Document, serialize } from '../document.ts';
import { root } from './operations.ts';
import { documentV2 } from './v2.ts';
import { documentV3 } from './v3.ts';

export type { Document } from '../document.ts';

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
	/** The documents of v3 by path. */
	readonly kept: Map<string, Kept>;
	v2?: Document;
}

/** A document and what it was made of: it holds while that does, whatever else the registry gains or loses. */
interface Kept {
	readonly document: Document;
	readonly kinds: readonly Kind[];
	readonly used: readonly (readonly [name: string, schema: Schema | undefined])[];
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
	const kept = known?.kept ?? new Map<string, Kept>();
	const made: Built = { kinds, schemas, kept, v3: buildV3(kinds, schemas, kept) };
	built.set(registry, made);
	return made;
}

const sameItems = (a: readonly unknown[], b: readonly unknown[]) =>
	a.length === b.length && a.every((item, i) => item === b[i]);

function buildV3(kinds: readonly Kind[], schemas: Schemas, kept: Map<string, Kept>): OpenApiV3 {
	const byPath = Map.groupBy(kinds, (kind) => root(kind).slice(1));
	for (const [path, { kinds, used }] of kept) {
		const holds = sameItems(kinds, byPath.get(path) ?? []) && used.every(([name, schema]) => schemas[name] === schema);
		if (!holds) kept.delete(path);
	}
	const document = (path: string) => {
		const known = kept.get(path);
		if (known) return known.document;
		const here = byPath.get(path);
		if (!here) return undefined;
		const made = documentV3(here, schemas);
		const used = Object.keys(made.components.schemas).map((name) => [name, schemas[name]] as const);
		const document = serialize(made);
		kept.set(path, { document, kinds: here, used });
		return document;
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
