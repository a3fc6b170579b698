/**
 * Objects against their schema, as the Kubernetes API server decodes them: unknown fields, mistyped values, required
 * fields; null counts as absent. Each schema is compiled once into closures, since every write passes through here.
 */
import type { Kind } from './kind.ts';
import type { KubeObject } from './object.ts';
import type { Schema, Schemas } from './schema.ts';
import { checkOf, type Expected, type Finding } from './schema-check.ts';
import { type ApiError, badRequest, type FieldError, fieldError, invalid } from './status.ts';

export { prune } from './prune.ts';

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
		const field = formatFieldPath(path);
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

/** Nothing to say. */
const sound: Validation = Object.freeze({ unknown: [], mistyped: [], errors: [] });

/**
 * Everything that is wrong with a decoded, defaulted and prepared object: the kind's own rules, and required fields of
 * the schema that those do not speak of. What is missing in status is no error: controllers write it, as they like.
 * `complete`: the schema was asked already, and nothing was missing.
 */
export function validateObject<T extends KubeObject>(
	kind: Kind<T>,
	object: T,
	old: T | undefined,
	schemas: Schemas,
	complete = false,
	subresource?: string,
): FieldError[] {
	const errors = kind.validate(object, old, subresource);
	const schema = schemas[kind.schema];
	if (!schema || complete) return errors;
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
	if (kind.custom) {
		const name: unknown = (object as Partial<KubeObject> | null)?.metadata?.name;
		const errors = mistyped.map(({ field, given, expected }) =>
			fieldError.typeInvalid(field, given, `${field} in body must be of type ${expected}`),
		);
		return invalid(kind.group, kind.kind, typeof name === 'string' ? name : '', errors);
	}
	const [first] = mistyped;
	return badRequest(
		`${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: ${first?.message ?? 'malformed'}`,
	);
}

/** `spec.containers[0].image`; keys that are no plain field names stand in brackets: `metadata.labels[app.kubernetes.io/name]`. */
export function formatFieldPath(path: Path): string {
	let text = '';
	for (const part of path) {
		if (typeof part === 'number') text += `[${part}]`;
		else if (/^[A-Za-z_$][\w$-]*$/.test(part)) text += text ? `.${part}` : part;
		else text += `[${part}]`;
	}
	return text;
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
