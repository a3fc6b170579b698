/** Schemas compiled into closures that find what is wrong with a value. */
import { isQuantity, quantityError } from './quantity.ts';
import { resolve, resolveStrictly, type Schema, type Schemas } from './schema.ts';

/** Collected on the way back up: paths are in reverse, so that the sound case costs nothing. */
export type Finding = {
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
export interface Expected {
	readonly people: string;
	readonly go: string;
}

/** Reports what is wrong with a value that is not null. */
export type Check = (value: unknown, findings: Finding[]) => void;

/** Unknown fields that are found beside all else: ten times as many as anybody is told. An object may consist of nothing else. */
const MOST_UNKNOWN = 1_000;

const checks = new WeakMap<Schema, Check>();

/** The compiled check of a schema. */
export function checkOf(schema: Schema, schemas: Schemas): Check {
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
	const resolved = resolveStrictly(schema, schemas);
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
				if (!open && findings.length < MOST_UNKNOWN)
					findings.push({ type: 'unknown', path: [key], fields: [key], value: field });
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

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function timeError(value: string): string {
	return `parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(value)} as "2006"`;
}

function firstIllegal(value: string): number {
	const index = value.search(/[^A-Za-z0-9+/=\r\n]/);
	return index < 0 ? value.length : index;
}
