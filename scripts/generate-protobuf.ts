/**
 * Makes src/api/protobuf/messages.json: the field numbers of the messages in which Kubernetes' clients send objects
 * as Protocol Buffers. They are read from the file descriptors that every kubectl carries.
 * The table is kept in version control, since set-up has no kubectl of a known version to make it from. Run it again when newer
 * kinds arrive.
 * Usage: node scripts/generate-protobuf.ts [KUBECTL]
 */
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { fieldsOf, textOf } from '../src/api/protobuf/wire.ts';

/** The packages whose objects a server may be sent: the stable versions, and what they are made of. */
const wanted =
	/^k8s\.io\.(api\.(core|apps|batch|policy|networking|storage|rbac|scheduling|node|discovery|events|coordination|authentication|authorization|certificates|autoscaling|admissionregistration)\.v[12]|apimachinery\.pkg\.(apis\.meta\.v1|api\.resource|util\.intstr|runtime))$/;

/** No descriptor is larger than this, compressed. */
const longest = 200_000;
const scalar: Readonly<Record<number, string>> = { 1: 'double', 2: 'float', 8: 'bool', 9: 'string', 12: 'bytes' };

type Message = Record<string, [name: string, type: string, repeated?: 1]>;

const kubectl = process.argv[2] ?? findKubectl();
const binary = readFileSync(kubectl);
const messages: Record<string, Message> = {};
const magic = Buffer.from([0x1f, 0x8b, 0x08, 0x00]);
for (let at = binary.indexOf(magic); at >= 0; at = binary.indexOf(magic, at + 1)) {
	const file = unzip(binary.subarray(at, at + longest));
	if (file) readFile(file);
}
const names = Object.keys(messages).sort();
if (names.length === 0) throw new Error(`${kubectl} carries no file descriptors of Kubernetes' API`);
const lines = names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(messages[name])}`);
writeFileSync(new URL('../src/api/protobuf/messages.json', import.meta.url), `{\n${lines.join(',\n')}\n}\n`);
console.log(`${names.length} messages`);

function findKubectl(): string {
	for (const folder of (process.env.PATH ?? '').split(delimiter)) {
		try {
			return realpathSync(join(folder, 'kubectl'));
		} catch {
			// Not in this folder.
		}
	}
	throw new Error('no kubectl in the PATH; name one as the argument');
}

function unzip(bytes: Uint8Array): Uint8Array | undefined {
	try {
		const file = gunzipSync(bytes);
		return file.subarray(0, 200).includes('.proto') ? file : undefined;
	} catch {
		// Other bytes that look like the beginning of a gzip stream.
		return undefined;
	}
}

/** A FileDescriptorProto: package (2), message_type (4). */
function readFile(file: Uint8Array): void {
	const fields = [...fieldsOf(file)];
	const found = fields.find(({ number }) => number === 2);
	const name = found?.type === 'bytes' ? textOf(found.bytes) : '';
	if (!wanted.test(name)) return;
	for (const field of fields) if (field.number === 4 && field.type === 'bytes') readMessage(field.bytes, name);
}

/** A DescriptorProto: name (1), field (2), nested_type (3), options (7) with map_entry (7). */
function readMessage(bytes: Uint8Array, parent: string): void {
	const fields = [...fieldsOf(bytes)];
	const first = fields.find(({ number }) => number === 1);
	const name = `${parent}.${first?.type === 'bytes' ? textOf(first.bytes) : ''}`;
	const message: Message = {};
	for (const field of fields) {
		if (field.type !== 'bytes') continue;
		if (field.number === 2) {
			const { number, entry } = readField(field.bytes);
			message[number] = entry;
		} else if (field.number === 3) readMessage(field.bytes, name);
	}
	messages[name] = message;
}

/** A FieldDescriptorProto: name (1), number (3), label (4; 3 is repeated), type (5), type_name (6). */
function readField(bytes: Uint8Array): { number: number; entry: Message[string] } {
	const entry = { name: '', number: 0, label: 0, type: 0, typeName: '' };
	for (const field of fieldsOf(bytes)) {
		if (field.number === 1 && field.type === 'bytes') entry.name = textOf(field.bytes);
		if (field.number === 3 && field.type === 'varint') entry.number = Number(field.value);
		if (field.number === 4 && field.type === 'varint') entry.label = Number(field.value);
		if (field.number === 5 && field.type === 'varint') entry.type = Number(field.value);
		if (field.number === 6 && field.type === 'bytes') entry.typeName = textOf(field.bytes).replace(/^\./, '');
	}
	const type = entry.typeName || (scalar[entry.type] ?? 'int');
	return { number: entry.number, entry: entry.label === 3 ? [entry.name, type, 1] : [entry.name, type] };
}
