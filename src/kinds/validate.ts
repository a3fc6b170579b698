/**
 * Objects against their schema, as the Kubernetes API server decodes them: unknown fields, mistyped values, required
 * fields; null counts as absent. Each schema is compiled once into closures, since every write passes through here.
 */
import type { Kind } from './kind.ts';
import type { KubeObject } from './object.ts';
import { isQuantity, quantityError } from './quantity.ts';
import { resolve, type Schema, type Schemas } from './schema.ts';
import { type ApiError, badRequest, type FieldError, fieldError, invalid } from './status.ts';

/** Where a value lies: field names, map keys and list indexes from the root. */
export type Path = readonly (string | number)[];

/** A field that the schema does not have. */
export interface Unknown {
	readonly path: Path;
	/** `spec.template.spec.containers[0].imagee`. */
	readonly field: string;
	/** `unknown field "spec.template.spec.containers[0].imagee"`, the wording of strict decoding. */
	readonly message: string;
}

/** A value of another type than the schema says. Such an object cannot be decoded, and nothing more can be said of it. */
export interface Mistyped {
	readonly path: Path;
	readonly field: string;
	/** What stands there, for people: `string "two"`. */
	readonly given: string;
	/** What belongs there, for people: `integer`. */
	readonly expected: string;
	/** `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`. */
	readonly message: string;
}

export interface Validation {
	readonly unknown: readonly Unknown[];
	readonly mistyped: readonly Mistyped[];
	/** Required fields that are absent, and values outside an enumeration. */
	readonly errors: readonly FieldError[];
}

/** Checks an object against a schema. A 3 KB object takes some microseconds. */
export function validateSchema(object: unknown, schema: Schema, schemas: Schemas): Validation {
	const findings: Finding[] = [];
	checkOf(schema, schemas)(object, findings);
	if (findings.length === 0) return sound;
	const unknown: Unknown[] = [];
	const mistyped: Mistyped[] = [];
	const errors: FieldError[] = [];
	for (const finding of findings) {
		const path = finding.path.reverse();
		const field = formatPath(path);
		switch (finding.type) {
			case 'unknown':
				unknown.push({ path, field, message: `unknown field "${field}"` });
				break;
			case 'required':
				errors.push(fieldError.required(field));
				break;
			case 'enum':
				errors.push(fieldError.notSupported(field, finding.value, finding.supported));
				break;
			case 'mistyped': {
				const into = finding.owner
					? `Go struct field ${finding.owner}.${finding.fields.reverse().join('.')}`
					: 'Go value';
				mistyped.push({
					path,
					field,
					given: describe(finding.value),
					expected: finding.expected.people,
					message:
						finding.message ?? `json: cannot unmarshal ${goKind(finding)} into ${into} of type ${finding.expected.go}`,
				});
			}
		}
	}
	return { unknown, mistyped, errors };
}

const sound: Validation = Object.freeze({ unknown: [], mistyped: [], errors: [] });

/**
 * Everything that is wrong with a decoded, defaulted and prepared object: the kind's own rules, and required fields of
 * the schema that those do not speak of. What is missing in status is no error: controllers write it, as they like.
 */
export function validateObject<T extends KubeObject>(
	kind: Kind<T>,
	object: T,
	old: T | undefined,
	schemas: Schemas,
): FieldError[] {
	const errors = kind.validate(object, old);
	const schema = schemas[kind.schema];
	if (!schema) return errors;
	const named = new Set(errors.map((error) => error.field));
	for (const error of validateSchema(object, schema, schemas).errors) {
		if (!named.has(error.field) && !error.field.startsWith('status.')) errors.push(error);
	}
	return errors;
}

/**
 * The answer to an object with mistyped fields: 400 BadRequest in the words of Kubernetes' decoder; 422 Invalid for
 * kinds that are custom resources there.
 */
export function decodeError(kind: Kind, object: unknown, mistyped: readonly Mistyped[]): ApiError {
	if (kind.group.includes('.') && !kind.group.endsWith('.k8s.io')) {
		const name = (object as Partial<KubeObject> | null)?.metadata?.name ?? '';
		const errors = mistyped.map(({ field, given, expected }) =>
			fieldError.typeInvalid(field, given, `${field} in body must be of type ${expected}`),
		);
		return invalid(kind.group, kind.kind, String(name), errors);
	}
	const [first] = mistyped;
	return badRequest(
		`${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: ${first?.message ?? 'malformed'}`,
	);
}

/**
 * Drops the fields that the schema does not have, and null values as decoding does (a null in a map of strings becomes
 * the empty string). In place; returns the object.
 */
export function prune<T>(object: T, schema: Schema, schemas: Schemas): T {
	pruneOf(schema, schemas)(object);
	return object;
}

/** `spec.containers[0].image`; keys that are no plain field names stand in brackets: `metadata.labels[app.kubernetes.io/name]`. */
export function formatPath(path: Path): string {
	let text = '';
	for (const part of path) {
		if (typeof part === 'number') text += `[${part}]`;
		else if (/^[A-Za-z_$][\w$-]*$/.test(part)) text += text ? `.${part}` : part;
		else text += `[${part}]`;
	}
	return text;
}

/** Collected on the way back up: paths are in reverse, so that the sound case costs nothing. */
type Finding = {
	readonly path: (string | number)[];
	/** The struct fields of the path alone, and the struct that has the last of them: what Go's decoder names. */
	readonly fields: string[];
	owner?: string;
	readonly value: unknown;
} & (
	| { readonly type: 'unknown' | 'required' }
	| { readonly type: 'enum'; readonly supported: readonly string[] }
	| { readonly type: 'mistyped'; readonly expected: Expected; readonly message?: string }
);

/** A type, as people and as Go name it. */
interface Expected {
	readonly people: string;
	readonly go: string;
}

/** Reports what is wrong with a value that is not null. */
type Check = (value: unknown, findings: Finding[]) => void;
type Prune = (value: unknown) => void;

const checks = new WeakMap<Schema, Check>();
const prunes = new WeakMap<Schema, Prune>();

function checkOf(schema: Schema, schemas: Schemas): Check {
	const known = checks.get(schema);
	if (known) return known;
	// Set before it is compiled: types may contain themselves.
	let compiled: Check | undefined;
	checks.set(schema, (value, findings) => compiled?.(value, findings));
	compiled = compile(schema, schemas);
	checks.set(schema, compiled);
	return compiled;
}

function compile(schema: Schema, schemas: Schemas): Check {
	const resolved = resolve(schema, schemas);
	if (!resolved) throw new Error(`the schema refers to ${referenceOf(schema)}, which does not exist`);
	if (resolved !== schema) return checkOf(resolved, schemas);
	const expected = expectedOf(schema, schemas);
	const scalar = scalarCheck(schema, expected);
	if (scalar) return scalar;
	switch (schema.type) {
		case 'object':
			return schema.properties ? structCheck(schema, schemas, expected) : mapCheck(schema, schemas, expected);
		case 'array':
			return listCheck(schema, schemas, expected);
		default:
			return () => {};
	}
}

function structCheck(schema: Schema, schemas: Schemas, expected: Expected): Check {
	const properties = new Map<string, Check>();
	for (const [name, property] of Object.entries(schema.properties ?? {}))
		properties.set(name, checkOf(property, schemas));
	const required = schema.required ?? [];
	const open = schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true;
	const owner = expected.go.replace(/^.*\./, '');
	return (value, findings) => {
		if (!isObject(value)) {
			findings.push(mistyped(value, expected));
			return;
		}
		for (const key of Object.keys(value)) {
			const field = value[key];
			const check = properties.get(key);
			if (!check) {
				if (!open) findings.push({ type: 'unknown', path: [key], fields: [key], value: field });
				continue;
			}
			if (field === null || field === undefined) continue;
			const before = findings.length;
			check(field, findings);
			for (let i = before; i < findings.length; i++) {
				const finding = findings[i];
				if (!finding) continue;
				finding.path.push(key);
				finding.fields.push(key);
				finding.owner ??= owner;
			}
		}
		for (const key of required) {
			const field = value[key];
			if (field === null || field === undefined)
				findings.push({ type: 'required', path: [key], fields: [key], value: field });
		}
	};
}

function mapCheck(schema: Schema, schemas: Schemas, expected: Expected): Check {
	const { additionalProperties } = schema;
	const check = typeof additionalProperties === 'object' ? checkOf(additionalProperties, schemas) : undefined;
	return (value, findings) => {
		if (!isObject(value)) {
			findings.push(mistyped(value, expected));
			return;
		}
		if (!check) return;
		for (const key of Object.keys(value)) {
			const entry = value[key];
			if (entry === null || entry === undefined) continue;
			const before = findings.length;
			check(entry, findings);
			for (let i = before; i < findings.length; i++) findings[i]?.path.push(key);
		}
	};
}

function listCheck(schema: Schema, schemas: Schemas, expected: Expected): Check {
	const check = schema.items ? checkOf(schema.items, schemas) : undefined;
	return (value, findings) => {
		if (!Array.isArray(value)) {
			findings.push(mistyped(value, expected));
			return;
		}
		if (!check) return;
		for (let index = 0; index < value.length; index++) {
			const item: unknown = value[index];
			if (item === null || item === undefined) continue;
			const before = findings.length;
			check(item, findings);
			for (let i = before; i < findings.length; i++) findings[i]?.path.push(index);
		}
	};
}

const limits: Readonly<Record<string, readonly [number, number]>> = {
	int32: [-(2 ** 31), 2 ** 31 - 1],
	int64: [-(2 ** 63), 2 ** 63],
};
const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The check of a value without parts; undefined where the schema is of an object or a list. */
function scalarCheck(schema: Schema, expected: Expected): Check | undefined {
	switch (schema.format) {
		case 'int-or-string':
			return (value, findings) => {
				if (typeof value !== 'string' && !Number.isInteger(value)) findings.push(mistyped(value, expected));
			};
		case 'quantity':
			return (value, findings) => {
				if (!isQuantity(value)) findings.push(mistyped(value, expected, quantityError));
			};
		case 'date-time':
			return (value, findings) => {
				if (typeof value !== 'string') findings.push(mistyped(value, expected));
				else if (!dateTime.test(value) || Number.isNaN(Date.parse(value)))
					findings.push(mistyped(value, expected, timeError(value)));
			};
		case 'byte':
			return (value, findings) => {
				if (typeof value !== 'string') findings.push(mistyped(value, expected));
				else if (!base64.test(value.replace(/[\r\n]/g, '')))
					findings.push(mistyped(value, expected, `illegal base64 data at input byte ${firstIllegal(value)}`));
			};
	}
	switch (schema.type) {
		case 'string': {
			const supported = schema.enum?.map(String);
			const allowed = supported && new Set(supported);
			return (value, findings) => {
				if (typeof value !== 'string') findings.push(mistyped(value, expected));
				else if (supported && !allowed?.has(value))
					findings.push({ type: 'enum', path: [], fields: [], value, supported });
			};
		}
		case 'boolean':
			return (value, findings) => {
				if (typeof value !== 'boolean') findings.push(mistyped(value, expected));
			};
		case 'integer': {
			const [least, most] = limits[schema.format ?? ''] ?? limits.int64 ?? [0, 0];
			return (value, findings) => {
				if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most)
					findings.push(mistyped(value, expected));
			};
		}
		case 'number':
			return (value, findings) => {
				if (typeof value !== 'number') findings.push(mistyped(value, expected));
			};
		default:
			return undefined;
	}
}

function mistyped(value: unknown, expected: Expected, message?: string): Finding {
	return { type: 'mistyped', path: [], fields: [], value, expected, message };
}

function expectedOf(schema: Schema, schemas: Schemas): Expected {
	switch (schema.format) {
		case 'int-or-string':
			return { people: 'integer or string', go: 'intstr.IntOrString' };
		case 'quantity':
			return { people: 'quantity', go: 'resource.Quantity' };
		case 'date-time':
			return { people: 'date and time', go: 'string' };
		case 'byte':
			return { people: 'base64 text', go: '[]uint8' };
	}
	switch (schema.type) {
		case 'string':
			return { people: 'string', go: 'string' };
		case 'boolean':
			return { people: 'boolean', go: 'bool' };
		case 'integer':
			return { people: 'integer', go: schema.format ?? 'int64' };
		case 'number':
			return { people: 'number', go: 'float64' };
		case 'array': {
			const item = schema.items && resolve(schema.items, schemas);
			return { people: 'list', go: `[]${item ? expectedOf(item, schemas).go : 'interface {}'}` };
		}
		default: {
			const name = nameOf(schema, schemas);
			if (name) return { people: 'object', go: name.split('.').slice(-2).join('.') };
			const values = schema.additionalProperties;
			const of = typeof values === 'object' ? resolve(values, schemas) : undefined;
			return of
				? { people: 'map', go: `map[string]${expectedOf(of, schemas).go}` }
				: { people: 'object', go: 'map[string]interface {}' };
		}
	}
}

const schemaNames = new WeakMap<Schemas, Map<Schema, string>>();

/** The name under which a schema is registered. */
function nameOf(schema: Schema, schemas: Schemas): string | undefined {
	let names = schemaNames.get(schemas);
	if (!names) {
		names = new Map(Object.entries(schemas).map(([name, each]) => [each, name]));
		schemaNames.set(schemas, names);
	}
	return names.get(schema);
}

function pruneOf(schema: Schema, schemas: Schemas): Prune {
	const known = prunes.get(schema);
	if (known) return known;
	let compiled: Prune | undefined;
	prunes.set(schema, (value) => compiled?.(value));
	compiled = compilePrune(schema, schemas);
	prunes.set(schema, compiled);
	return compiled;
}

function compilePrune(schema: Schema, schemas: Schemas): Prune {
	const resolved = resolve(schema, schemas);
	if (!resolved) throw new Error(`the schema refers to ${referenceOf(schema)}, which does not exist`);
	if (resolved !== schema) return pruneOf(resolved, schemas);
	if (schema.type === 'array' && schema.items) {
		const item = pruneOf(schema.items, schemas);
		return (value) => {
			if (Array.isArray(value)) for (const each of value) item(each);
		};
	}
	if (schema.type !== 'object') return () => {};
	const values = schema.additionalProperties;
	if (!schema.properties) {
		if (typeof values !== 'object') return () => {};
		const inner = pruneOf(values, schemas);
		const ofStrings = resolve(values, schemas)?.type === 'string';
		return (value) => {
			if (!isObject(value)) return;
			for (const key of Object.keys(value)) {
				if (value[key] !== null) inner(value[key]);
				else if (ofStrings) value[key] = '';
				else delete value[key];
			}
		};
	}
	const properties = new Map<string, Prune>();
	for (const [name, property] of Object.entries(schema.properties)) properties.set(name, pruneOf(property, schemas));
	const open = schema['x-kubernetes-preserve-unknown-fields'] === true || values === true;
	return (value) => {
		if (!isObject(value)) return;
		for (const key of Object.keys(value)) {
			const inner = properties.get(key);
			if (inner && value[key] !== null) inner(value[key]);
			else if (inner || !open) delete value[key];
		}
	};
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function referenceOf(schema: Schema): string {
	return schema.$ref ?? schema.allOf?.[0]?.$ref ?? 'nothing';
}

/** What Go's JSON decoder calls the value it found. */
function goKind({ value, expected }: { readonly value: unknown; readonly expected?: Expected }): string {
	if (Array.isArray(value)) return 'array';
	if (typeof value === 'boolean') return 'bool';
	if (typeof value === 'number') return expected?.go.startsWith('int') ? `number ${value}` : 'number';
	return typeof value;
}

/** The longest piece of a wrong value that an error repeats, in characters. */
const SHOWN_VALUE = 60;

function describe(value: unknown): string {
	if (Array.isArray(value)) return 'list';
	if (typeof value === 'object') return 'object';
	const text = JSON.stringify(value) ?? 'nothing';
	return `${typeof value} ${text.length > SHOWN_VALUE ? `${text.slice(0, SHOWN_VALUE)}…` : text}`;
}

function timeError(value: string): string {
	return `parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(value)} as "2006"`;
}

function firstIllegal(value: string): number {
	const index = value.search(/[^A-Za-z0-9+/=\r\n]/);
	return index < 0 ? value.length : index;
}
