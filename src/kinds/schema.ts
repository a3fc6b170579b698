/**
 * The schema of a kind: the part of OpenAPI v3 that Kubernetes uses, with its x-kubernetes extensions. The schemas of
 * the built-in kinds are generated at set-up (scripts/generate-schema.ts); those of custom resources come with their definitions.
 */
export interface Schema {
	/** `#/components/schemas/NAME` into Schemas. */
	$ref?: string;
	allOf?: readonly Schema[];
	/** Only for readers of the published schema, beside the formats int-or-string and quantity. */
	oneOf?: readonly Schema[];
	type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
	/** int32, int64, double, byte, date-time, int-or-string, quantity (a string or number), micro-time. */
	format?: string;
	description?: string;
	default?: unknown;
	enum?: readonly unknown[];
	properties?: Readonly<Record<string, Schema>>;
	required?: readonly string[];
	additionalProperties?: Schema | boolean;
	items?: Schema;
	/** Server-side apply: how a list merges. Absent means atomic. */
	'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
	'x-kubernetes-list-map-keys'?: readonly string[];
	'x-kubernetes-map-type'?: 'atomic' | 'granular';
	/** Strategic merge patch. */
	'x-kubernetes-patch-strategy'?: string;
	'x-kubernetes-patch-merge-key'?: string;
	'x-kubernetes-int-or-string'?: boolean;
	'x-kubernetes-preserve-unknown-fields'?: boolean;
	'x-kubernetes-group-version-kind'?: readonly { group: string; version: string; kind: string }[];
}

/** Named schemas, by their OpenAPI name (`io.k8s.api.core.v1.PodSpec`). */
export type Schemas = Readonly<Record<string, Schema>>;

const prefix = '#/components/schemas/';

/** The schema that `schema` stands for: follows `$ref`, also through an `allOf` of one (how OpenAPI v3 attaches defaults to a reference). */
export function resolve(schema: Schema | undefined, schemas: Schemas): Schema | undefined {
	let current = schema;
	while (current) {
		const ref = current.$ref ?? (current.allOf?.length === 1 ? current.allOf[0]?.$ref : undefined);
		if (!ref) return current;
		current = schemas[ref.slice(prefix.length)];
	}
	return undefined;
}

/** As resolve, and throws for a reference to a schema that does not exist: a defect of the schemas, not of an object. */
export function resolveStrictly(schema: Schema, schemas: Schemas): Schema {
	const resolved = resolve(schema, schemas);
	if (resolved) return resolved;
	throw new Error(`the schema refers to ${schema.$ref ?? schema.allOf?.[0]?.$ref}, which does not exist`);
}
