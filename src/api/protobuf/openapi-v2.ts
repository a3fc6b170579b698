/**
 * The definitions of the OpenAPI v2 document as Protocol Buffers: the only form in which kubectl reads them, which it does to
 * validate lists (`kind: List`) by itself. The messages are those of gnostic's OpenAPIv2.proto.
 */
import type { Registry } from '../../kinds/registry.ts';
import { isObject } from '../json.ts';
import { type Document, openApiV2 } from '../openapi/index.ts';
import { bytesField, numberField } from './wire.ts';

export const openApiV2Accepted = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
export const openApiV2Type = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

const encoded = new WeakMap<Uint8Array, Document>();

/** The document of a registry. Encoded when first asked for, and kept as long as the JSON document is. */
export function openApiV2Protobuf(registry: Registry): Document {
	const json = openApiV2(registry);
	let document = encoded.get(json.bytes);
	if (!document) {
		const value: unknown = JSON.parse(Buffer.from(json.bytes).toString());
		document = { bytes: encode(isObject(value) ? value : {}), hash: `${json.hash}-protobuf` };
		encoded.set(json.bytes, document);
	}
	return document;
}

type Fields = Readonly<Record<string, unknown>>;

/** Document: swagger (1), info (2), paths (8), definitions (9). Paths say nothing that clients of this form read. */
function encode({ swagger, info, definitions }: Fields): Uint8Array {
	const { title, version } = isObject(info) ? info : {};
	return Buffer.concat([
		bytesField(1, String(swagger)),
		bytesField(2, Buffer.concat([bytesField(1, String(title)), bytesField(2, String(version))])),
		bytesField(8, new Uint8Array()),
		bytesField(9, named(definitions)),
	]);
}

/** Definitions and Properties are alike: NamedSchema (1) of name (1) and value (2). */
function named(schemas: unknown): Uint8Array {
	const entries = isObject(schemas) ? Object.entries(schemas) : [];
	return Buffer.concat(
		entries.map(([name, schema]) =>
			bytesField(1, Buffer.concat([bytesField(1, name), bytesField(2, schemaOf(schema))])),
		),
	);
}

function schemaOf(value: unknown): Uint8Array {
	const schema = isObject(value) ? value : {};
	const parts: Uint8Array[] = [];
	const text = (number: number, field: string) => {
		const found = schema[field];
		if (typeof found === 'string') parts.push(bytesField(number, found));
	};
	text(1, '$ref');
	text(2, 'format');
	text(4, 'description');
	if (Array.isArray(schema.required)) for (const name of schema.required) parts.push(bytesField(19, String(name)));
	const { additionalProperties: values } = schema;
	// AdditionalPropertiesItem: schema (1) or boolean (2).
	if (isObject(values)) parts.push(bytesField(21, bytesField(1, schemaOf(values))));
	else if (typeof values === 'boolean') parts.push(bytesField(21, numberField(2, values ? 1 : 0)));
	if (typeof schema.type === 'string') parts.push(bytesField(22, bytesField(1, schema.type)));
	if (isObject(schema.items)) parts.push(bytesField(23, bytesField(1, schemaOf(schema.items))));
	if (Array.isArray(schema.allOf)) for (const each of schema.allOf) parts.push(bytesField(24, schemaOf(each)));
	if (isObject(schema.properties)) parts.push(bytesField(25, named(schema.properties)));
	for (const [name, extension] of Object.entries(schema)) {
		// NamedAny: name (1), value (2), which is an Any with YAML (2); JSON is YAML.
		if (name.startsWith('x-'))
			parts.push(
				bytesField(31, Buffer.concat([bytesField(1, name), bytesField(2, bytesField(2, JSON.stringify(extension)))])),
			);
	}
	return Buffer.concat(parts);
}
