/**
 * Objects that clients send as Protocol Buffers (kubectl's own generators and every Go client do) become the JSON that they
 * stand for. Answers are JSON always: such clients accept it. Source: Kubernetes API concepts, "Kubernetes Protobuf encoding".
 */
import { readFileSync } from 'node:fs';
import { resolve, type Schema, type Schemas } from '../../kinds/schema.ts';
import { badRequest } from '../../kinds/status.ts';
import { limits } from '../limits.ts';
import { type Field, fieldsOf, textOf } from './wire.ts';

export const protobufType = 'application/vnd.kubernetes.protobuf';

const magic = Buffer.from('k8s\0');
const meta = 'k8s.io.apimachinery.pkg.apis.meta.v1';

type Message = Readonly<Record<string, readonly [name: string, type: string, repeated?: 1]>>;

let loaded: Readonly<Record<string, Message>> | undefined;

/** The field numbers of all messages, made by scripts/generate-protobuf.ts. */
function messages(): Readonly<Record<string, Message>> {
	loaded ??= JSON.parse(readFileSync(new URL('./messages.json', import.meta.url), 'utf8')) as Record<string, Message>;
	return loaded;
}

/**
 * The object of a body. Throws 400 for bytes that are none, or a kind whose messages are not known.
 * A field that is not set looks like one set to the zero of its type where Go keeps it by value; those are left out.
 */
export function decodeProtobuf(body: Uint8Array, schemas: Schemas): Record<string, unknown> {
	if (Buffer.compare(body.subarray(0, magic.length), magic) !== 0)
		throw badRequest('the body is no protobuf object: it does not begin with the prefix of Kubernetes');
	try {
		// runtime.Unknown: typeMeta (1) with apiVersion (1) and kind (2), raw (2).
		const unknown = new Map([...fieldsOf(body.subarray(magic.length))].map((field) => [field.number, bytesOf(field)]));
		const type = new Map(
			[...fieldsOf(unknown.get(1) ?? new Uint8Array())].map((field) => [field.number, textOf(bytesOf(field))]),
		);
		const apiVersion = type.get(1) ?? '';
		const kind = type.get(2) ?? '';
		const name = messageName(apiVersion, kind);
		if (!messages()[name])
			throw badRequest(`${apiVersion} ${kind} cannot be sent as protobuf to this server; send JSON`);
		const object = decode(unknown.get(2) ?? new Uint8Array(), name, { schemas, depth: 0 });
		return { apiVersion, kind, ...(object as Record<string, unknown>) };
	} catch (cause) {
		if (cause instanceof RangeError || cause instanceof SyntaxError)
			throw badRequest(`the body is no valid protobuf object: ${cause.message}`);
		throw cause;
	}
}

/** `apps/v1` Deployment is k8s.io.api.apps.v1.Deployment; options of requests come with the group version of their resource. */
function messageName(apiVersion: string, kind: string): string {
	if (/^(Delete|Get|List|Create|Update|Patch)Options$/.test(kind)) return `${meta}.${kind}`;
	const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
	const folder = group === 'rbac.authorization.k8s.io' ? 'rbac' : group.split('.')[0];
	return `k8s.io.api.${folder}.${version}.${kind}`;
}

interface Place {
	readonly schemas: Schemas;
	readonly depth: number;
}

/** Fields that Go keeps by value, in nearly all types: their zero means that they are not set. All other zeros were meant. */
const unsetWhenZero = new Set([
	...['hostPort', 'nodePort', 'healthCheckNodePort', 'minReadySeconds', 'generation', 'observedGeneration', 'count'],
	...['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'],
	...['hostNetwork', 'hostPID', 'hostIPC', 'stdin', 'stdinOnce', 'tty', 'readOnly', 'unschedulable', 'paused'],
	'publishNotReadyAddresses',
]);
/** Fields of those names that Go keeps by reference in these types: their zeros were meant. */
const meantWhenZero: Readonly<Record<string, string>> = {
	'k8s.io.api.core.v1.ClientIPConfig': 'timeoutSeconds',
	'k8s.io.api.core.v1.AzureDiskVolumeSource': 'readOnly',
	'k8s.io.api.core.v1.CSIVolumeSource': 'readOnly',
	'k8s.io.api.autoscaling.v1.HorizontalPodAutoscalerStatus': 'observedGeneration',
	'k8s.io.api.autoscaling.v2.HorizontalPodAutoscalerStatus': 'observedGeneration',
	[`${meta}.ListOptions`]: 'timeoutSeconds',
};
/** Strings that are kept by reference: empty ones were meant. */
const keptWhenEmpty = new Set(['storageClassName', 'volumeAttributesClassName']);

function decode(bytes: Uint8Array, name: string, place: Place): unknown {
	const special = specials[name];
	if (special) return special([...fieldsOf(bytes)]);
	const message = messages()[name];
	if (!message) throw new RangeError(`the message ${name} is not known`);
	if (place.depth > limits.depth) throw new RangeError(`it is nested more than ${limits.depth} levels deep`);
	const inner = { ...place, depth: place.depth + 1 };
	const schema = schemaOf(name, place.schemas);
	const object: Record<string, unknown> = {};
	for (const field of fieldsOf(bytes)) {
		const entry = message[field.number];
		if (!entry) continue;
		const [key, type, repeated] = entry;
		if (repeated && type.endsWith('Entry') && isMap(type)) {
			const [mapKey, value] = mapEntry(bytesOf(field), type, inner);
			const map = (object[key] ?? {}) as Record<string, unknown>;
			Object.defineProperty(map, mapKey, { value, enumerable: true, writable: true, configurable: true });
			object[key] = map;
			continue;
		}
		const value = fieldValue(field, type, inner);
		if (repeated) {
			const list = (object[key] ?? []) as unknown[];
			list.push(value);
			object[key] = list;
		} else if (isInline(key, type, schema)) Object.assign(object, value);
		else if (value !== undefined && !isUnset(name, key, value)) object[key] = value;
	}
	return object;
}

function isUnset(message: string, key: string, value: unknown): boolean {
	if (value === '') return !keptWhenEmpty.has(key);
	return (value === 0 || value === false) && unsetWhenZero.has(key) && meantWhenZero[message] !== key;
}

/** The JSON of an embedded struct has its fields among those of the struct around it: the schema does not know the field. */
function isInline(key: string, type: string, schema: Schema | undefined): boolean {
	return schema?.properties !== undefined && !(key in schema.properties) && messages()[type] !== undefined;
}

/** k8s.io.api.core.v1.Pod and io.k8s.api.core.v1.Pod are the same type. */
function schemaOf(name: string, schemas: Schemas): Schema | undefined {
	return resolve(schemas[name.replace(/^k8s\.io\./, 'io.k8s.')], schemas);
}

function fieldValue(field: Field, type: string, place: Place): unknown {
	switch (type) {
		case 'string':
			return textOf(bytesOf(field));
		case 'bytes':
			return Buffer.from(bytesOf(field)).toString('base64');
		case 'bool':
			return field.type === 'varint' && field.value !== 0n;
		case 'int':
			return integerOf(field);
		case 'double':
			return Buffer.from(bytesOf(field)).readDoubleLE();
		case 'float':
			return Buffer.from(bytesOf(field)).readFloatLE();
		default:
			return decode(bytesOf(field), type, place);
	}
}

const isMap = (type: string) => {
	const message = messages()[type];
	return message?.[1]?.[0] === 'key' && message[2]?.[0] === 'value';
};

function mapEntry(bytes: Uint8Array, type: string, place: Place): [key: string, value: unknown] {
	const valueType = messages()[type]?.[2]?.[1] ?? 'string';
	let key = '';
	let value: unknown = valueType === 'string' || valueType === 'bytes' ? '' : {};
	for (const field of fieldsOf(bytes)) {
		if (field.number === 1) key = textOf(bytesOf(field));
		if (field.number === 2) value = fieldValue(field, valueType, place);
	}
	return [key, value];
}

function bytesOf(field: Field): Uint8Array {
	if (field.type === 'varint') throw new RangeError(`field ${field.number} is a number, where bytes belong`);
	return field.bytes;
}

function integerOf(field: Field | undefined): number {
	if (!field) return 0;
	if (field.type !== 'varint') throw new RangeError(`field ${field.number} is no number`);
	return Number(BigInt.asIntN(64, field.value));
}

const numbered = (fields: readonly Field[], number: number) => fields.findLast((field) => field.number === number);
const textAt = (fields: readonly Field[], number: number) => {
	const field = numbered(fields, number);
	return field ? textOf(bytesOf(field)) : '';
};

/** Messages whose JSON is no object. */
const specials: Readonly<Record<string, (fields: readonly Field[]) => unknown>> = {
	'k8s.io.apimachinery.pkg.api.resource.Quantity': (fields) => textAt(fields, 1) || '0',
	'k8s.io.apimachinery.pkg.util.intstr.IntOrString': (fields) =>
		integerOf(numbered(fields, 1)) === 1 ? textAt(fields, 3) : integerOf(numbered(fields, 2)),
	[`${meta}.Time`]: (fields) => time(fields, 0),
	[`${meta}.MicroTime`]: (fields) => time(fields, 6),
	[`${meta}.FieldsV1`]: (fields) => JSON.parse(textAt(fields, 1) || '{}') as unknown,
	'k8s.io.apimachinery.pkg.runtime.RawExtension': (fields) => JSON.parse(textAt(fields, 1) || 'null') as unknown,
	'k8s.io.api.authentication.v1.ExtraValue': items,
	'k8s.io.api.authorization.v1.ExtraValue': items,
	'k8s.io.api.certificates.v1.ExtraValue': items,
};

function items(fields: readonly Field[]): string[] {
	return fields.filter(({ number }) => number === 1).map((field) => textOf(bytesOf(field)));
}

/** RFC 3339 with so many digits of a second; the zero time is none. */
function time(fields: readonly Field[], digits: 0 | 6): string | undefined {
	if (fields.length === 0) return undefined;
	const seconds = integerOf(numbered(fields, 1));
	const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
	if (digits === 0) return `${whole}Z`;
	const micros = Math.floor(integerOf(numbered(fields, 2)) / 1000);
	return `${whole}.${String(micros).padStart(6, '0')}Z`;
}
