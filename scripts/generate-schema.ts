/**
 * Makes src/kinds/schemas.generated.json: the OpenAPI v3 schemas of the built-in kinds, named as Kubernetes names them.
 * The source is the package @kubernetes/client-node: its model files carry each field's type and format, the type
 * declarations beside them which fields are required and what they mean; each kind adds how its lists merge.
 *
 * `node scripts/generate-schema.ts` does nothing where the file is up to date. scripts/generate-kinds.ts is
 * run before it.
 */
import { createHash } from 'node:crypto';
import { existsSync, openSync, readFileSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtins } from '../src/kinds/builtins.generated.ts';
import type { Kind } from '../src/kinds/kind.ts';
import { type Merges, metaMerges } from '../src/kinds/merges.ts';
import type { Schema } from '../src/kinds/schema.ts';
import { schemaFile } from '../src/kinds/schemas.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const metaPackage = 'io.k8s.apimachinery.pkg.apis.meta';

interface Root {
	/** Absent for what is no kind of its own. */
	readonly group?: string;
	/** `io.k8s.api.core`. */
	readonly package: string;
	readonly model: string;
	/** Whether it has a List type. */
	readonly list: boolean;
}

/** What is no stored kind: requests, answers, and types that belong to core though another group refers to them first. */
const messages: readonly Root[] = [
	{ package: 'io.k8s.api.core', model: 'V1PodTemplateSpec', list: false },
	{ package: 'io.k8s.api.core', model: 'V1TopologySelectorTerm', list: false },
	{ group: '', package: 'io.k8s.api.core', model: 'V1Binding', list: false },
	...['V1Status', 'V1DeleteOptions'].map((model) => ({ group: '', package: metaPackage, model, list: false })),
	{ group: 'autoscaling', package: 'io.k8s.api.autoscaling', model: 'V1Scale', list: false },
	{ group: 'policy', package: 'io.k8s.api.policy', model: 'V1Eviction', list: false },
];

/**
 * What is generated, with all it refers to. A model's name (`V1PodSpec`) does not say its group: a type belongs to the
 * group from which it is reached first, so core stands before the groups that refer to it.
 */
const kinds = builtins.filter(({ schemas }) => !schemas);
const rootOf = (kind: Kind): Root => ({
	group: kind.group,
	package: packageOf(kind),
	model: kind.model ?? modelOf(kind),
	list: true,
});
const roots: readonly Root[] = [
	...kinds.filter(({ group }) => group === '').map(rootOf),
	...messages,
	...kinds.filter(({ group }) => group !== '').map(rootOf),
];

/** How lists merge, as all kinds together say. */
const merges: Merges = Object.assign({}, metaMerges, ...kinds.map((kind) => kind.merges));

/** Fields beyond those of the models, as the kinds say. */
const additions: Kind['additions'] = Object.assign({}, ...kinds.map((kind) => kind.additions));

/** Types of apimachinery, whoever refers to them. */
const metaTypes = new Set([
	'Condition',
	'DeleteOptions',
	'LabelSelector',
	'LabelSelectorRequirement',
	'ListMeta',
	'ManagedFieldsEntry',
	'ObjectMeta',
	'OwnerReference',
	'Preconditions',
	'ShardInfo',
	'Status',
	'StatusCause',
	'StatusDetails',
]);

const time = `${metaPackage}.v1.Time`;
const microTime = `${metaPackage}.v1.MicroTime`;
const fieldsV1 = `${metaPackage}.v1.FieldsV1`;
const intOrString = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';
const quantity = 'io.k8s.apimachinery.pkg.api.resource.Quantity';

/** The types that are no structures. */
const scalars: Record<string, Schema> = {
	[time]: {
		description: 'A point in time in RFC 3339 format, with seconds.',
		format: 'date-time',
		type: 'string',
	},
	[microTime]: {
		description: 'A point in time in RFC 3339 format, with microseconds.',
		format: 'date-time',
		type: 'string',
	},
	[fieldsV1]: {
		description:
			'A set of fields as a trie: each key names a field, an item or a value, each value what lies below it.',
		type: 'object',
		'x-kubernetes-preserve-unknown-fields': true,
	},
	[intOrString]: {
		description: 'A whole number or a string.',
		format: 'int-or-string',
		oneOf: [{ type: 'integer' }, { type: 'string' }],
	},
	[quantity]: {
		description:
			'An amount: a decimal number with an optional suffix (m, k, M, G, T, P, E), or power-of-two suffix (Ki, Mi, Gi, Ti, Pi, Ei), or decimal exponent.',
		format: 'quantity',
		oneOf: [{ type: 'string' }, { type: 'number' }],
	},
};

/** Fields that the models have as plain strings (or maps of them) and that are quantities. */
const quantities = new Set([
	'CSIStorageCapacity.capacity',
	'CSIStorageCapacity.maximumVolumeSize',
	'ContainerStatus.allocatedResources',
	'DeviceCapacity.value',
	'EmptyDirVolumeSource.sizeLimit',
	'LimitRangeItem.default',
	'LimitRangeItem.defaultRequest',
	'LimitRangeItem.max',
	'LimitRangeItem.maxLimitRequestRatio',
	'LimitRangeItem.min',
	'MetricTarget.averageValue',
	'MetricTarget.value',
	'MetricValueStatus.averageValue',
	'MetricValueStatus.value',
	'NodeStatus.allocatable',
	'NodeStatus.capacity',
	'Overhead.podFixed',
	'PersistentVolumeClaimStatus.allocatedResources',
	'PersistentVolumeClaimStatus.capacity',
	'PersistentVolumeSpec.capacity',
	'PodSpec.overhead',
	'PodStatus.allocatedResources',
	'ResourceFieldSelector.divisor',
	'ResourceQuotaSpec.hard',
	'ResourceQuotaStatus.hard',
	'ResourceQuotaStatus.used',
	'ResourceRequirements.limits',
	'ResourceRequirements.requests',
	'VolumeResourceRequirements.limits',
	'VolumeResourceRequirements.requests',
]);

const packageDirectory = dirname(dirname(fileURLToPath(import.meta.resolve('@kubernetes/client-node'))));
const models = join(packageDirectory, 'dist/gen/models');

main();

function main(): void {
	const made = fingerprint();
	if (existsSync(schemaFile) && head(made.length + 10).includes(made)) return;
	const schemas = generate();
	// Renamed into place: a reader sees the whole old or the whole new file.
	const temporary = new URL(`./schemas.${process.pid}.generated.json`, schemaFile);
	writeFileSync(temporary, JSON.stringify({ made, schemas }));
	renameSync(temporary, schemaFile);
}

/** Changes with whatever the result depends on. */
function fingerprint(): string {
	const hash = createHash('sha256');
	hash.update(readFileSync(new URL(import.meta.url)));
	hash.update(JSON.stringify([roots, merges, additions]));
	const manifest: { version: string } = JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8'));
	return hash.update(manifest.version).digest('hex');
}

/** The first bytes of the file that is there: `{"made":"…"`. */
function head(length: number): string {
	const buffer = Buffer.alloc(length);
	const file = openSync(schemaFile, 'r');
	return buffer.toString('utf8', 0, readSync(file, buffer));
}

function generate(): Record<string, Schema> {
	const schemas: Record<string, Schema> = { ...scalars };
	/** OpenAPI name by model name. */
	const names = new Map<string, string>();

	for (const { model, package: from, group, list } of roots) {
		const topLevel = group === undefined ? undefined : { group };
		declare(model, from, topLevel);
		if (list) declare(`${model}List`, from, topLevel);
	}
	return Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)));

	/** Makes the schema of a model and of all it refers to; returns its OpenAPI name. */
	function declare(model: string, from: string, topLevel?: { group: string }): string {
		const known = names.get(model);
		if (known) return known;
		const { version, type } = parseModelName(model);
		const name = `${metaTypes.has(type) ? metaPackage : from}.${version}.${type}`;
		names.set(model, name);
		const declaration = readDeclaration(model);
		const { '.': whole, ...extensions } = merges[name] ?? {};
		const properties: Record<string, Schema> = {};
		for (const attribute of readAttributes(model)) {
			const field = attribute.baseName;
			const value = schemaOf(attribute.type, attribute.format, `${type}.${field}`, from);
			const description = declaration.fields.get(field)?.description;
			// A reference takes no neighbours, so that a description goes around it.
			const around = { ...(description && { description }), ...extensions[field] };
			properties[field] = value.$ref ? { ...around, allOf: [value] } : { ...around, ...value };
		}
		Object.assign(properties, additions[name]);
		for (const field of Object.keys(extensions)) {
			if (!properties[field]) throw new Error(`a kind says how ${name}.${field} merges, which ${model} does not have`);
		}
		const required = [...declaration.fields].filter(([, field]) => field.required).map(([field]) => field);
		const schema: Mutable<Schema> = { description: declaration.description, type: 'object' };
		if (Object.keys(properties).length > 0) schema.properties = properties;
		if (required.length > 0) schema.required = required;
		Object.assign(schema, whole);
		if (topLevel) schema['x-kubernetes-group-version-kind'] = [{ group: topLevel.group, version, kind: type }];
		schemas[name] = schema;
		return name;
	}

	function schemaOf(type: string, format: string, field: string, from: string): Schema {
		const list = /^Array<(.*)>$/.exec(type)?.[1];
		if (list) return { type: 'array', items: schemaOf(list, format, field, from) };
		const values = /^\{ \[key: string\]: (.*); \}$/.exec(type)?.[1];
		if (values) return { type: 'object', additionalProperties: schemaOf(values, format, field, from) };
		if (quantities.has(field)) return reference(quantity);
		if (field === 'ManagedFieldsEntry.fieldsV1') return reference(fieldsV1);
		switch (type) {
			case 'string':
				return { type, ...(format && { format }) };
			case 'boolean':
				return { type };
			case 'number':
				return format === 'double' ? { type, format } : { type: 'integer', ...(format && { format }) };
			case 'Date':
				return reference(time);
			case 'V1MicroTime':
				return reference(microTime);
			case 'IntOrString':
				return reference(intOrString);
			case 'any':
				return { 'x-kubernetes-preserve-unknown-fields': true };
			default:
				return reference(declare(type, from));
		}
	}
}

/** `io.k8s.api.core.v1.Pod` lies in io.k8s.api.core. */
function packageOf({ schema, version }: Kind): string {
	return schema.slice(0, schema.lastIndexOf(`.${version}.`));
}

function modelOf({ version, schema }: Kind): string {
	return `${version[0]?.toUpperCase()}${version.slice(1)}${schema.slice(schema.lastIndexOf('.') + 1)}`;
}

function reference(name: string): Schema {
	return { $ref: `#/components/schemas/${name}` };
}

/** `V1PodSpec`, `V1beta1Counter`, or with its group where two have the same name: `CoreV1Event`. */
function parseModelName(model: string): { version: string; type: string } {
	const parts = /^(?:[A-Z][a-z]+)??(V\d+(?:(?:alpha|beta)\d+)?)([A-Z].*)$/.exec(model);
	if (!parts?.[1] || !parts[2]) throw new Error(`the model name ${model} has no version`);
	return { version: parts[1].toLowerCase(), type: parts[2] };
}

interface Attribute {
	readonly baseName: string;
	readonly type: string;
	readonly format: string;
}

function readAttributes(model: string): Attribute[] {
	const text = readFileSync(join(models, `${model}.js`), 'utf8');
	const start = text.indexOf('.attributeTypeMap = [') + '.attributeTypeMap = '.length;
	return JSON.parse(text.slice(start, text.indexOf('\n];', start) + 2));
}

interface ModelDeclaration {
	readonly description: string;
	readonly fields: ReadonlyMap<string, { readonly description: string; readonly required: boolean }>;
}

function readDeclaration(model: string): ModelDeclaration {
	const text = readFileSync(join(models, `${model}.d.ts`), 'utf8');
	const start = text.indexOf('export declare class');
	const fields = new Map<string, { description: string; required: boolean }>();
	for (const [, comment, field, optional] of text
		.slice(start)
		.matchAll(/(?:\/\*\*([\s\S]*?)\*\/\s*)?^ {4}'([^']+)'(\?)?:/gm)) {
		if (field) fields.set(field, { description: prose(comment), required: !optional });
	}
	return { description: prose(text.slice(text.lastIndexOf('/**', start), start)), fields };
}

/** The text of a doc comment, without its stars and escapes. */
function prose(comment = ''): string {
	return comment
		.replace(/^\s*\/?\*+\/?/gm, '')
		.replaceAll('*/', '')
		.replace(/\\(['"`])/g, '$1')
		.trim();
}
