/**
 * Makes src/agents/plugins/protocols/*.json: the gRPC protocols that plugins of a node speak, as their owners have published them.
 * That of the Container Storage Interface is read from the file descriptor that every dockerd since 23 carries; those of devices and
 * of the registration of plugins from the files of Kubernetes' kubelet, which Debian packages as golang-github-kubernetes-kubelet-dev.
 * They are kept in version control, since set-up has neither. Run it again when newer versions arrive.
 * Usage: node scripts/generate-plugin-protocols.ts DOCKERD KUBELET_APIS (the folder .../k8s.io/kubelet/pkg/apis)
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import protobuf from 'protobufjs';
import descriptor from 'protobufjs/ext/descriptor/index.js';

/** No descriptor is larger than this, compressed. */
const longest = 200_000;

const [dockerd, apis] = process.argv.slice(2);
if (!dockerd || !apis) throw new Error('usage: node scripts/generate-plugin-protocols.ts DOCKERD KUBELET_APIS');

write(
	'csi',
	ofDescriptors(readFileSync(dockerd), [
		'google/protobuf/timestamp.proto',
		'google/protobuf/wrappers.proto',
		'container-storage-interface/spec/csi.proto',
	]),
);
write('device-plugin', ofText(join(apis, 'deviceplugin/v1beta1/api.proto')));
write('plugin-registration', ofText(join(apis, 'pluginregistration/v1/api.proto')));

function write(name: string, json: object): void {
	const file = new URL(`../src/agents/plugins/protocols/${name}.json`, import.meta.url);
	writeFileSync(file, `${JSON.stringify(json, undefined, '\t')}\n`);
}

/** The files of these names among the descriptors that a program carries, compressed each. */
function ofDescriptors(program: Buffer, names: readonly string[]): object {
	const magic = Buffer.from([0x1f, 0x8b, 0x08, 0x00]);
	const found = new Map<string, protobuf.Message>();
	for (let at = program.indexOf(magic); at >= 0; at = program.indexOf(magic, at + 1)) {
		const bytes = unzip(program.subarray(at, at + longest));
		const name = bytes && names.find((each) => bytes.subarray(0, each.length + 60).includes(each));
		if (!name || found.has(name)) continue;
		const file = descriptor.FileDescriptorProto.decode(bytes) as protobuf.Message & { extension: unknown[] };
		// What extends the options of descriptors is for generators of code.
		file.extension = [];
		found.set(name, file);
	}
	if (found.size < names.length) throw new Error('the program lacks descriptors: it must be dockerd 23 or later');
	const set = { file: [...found.values()] };
	return bare(
		(protobuf.Root as unknown as { fromDescriptor(set: object): protobuf.Root }).fromDescriptor(set).toJSON(),
	);
}

function unzip(bytes: Uint8Array): Buffer | undefined {
	try {
		return gunzipSync(bytes);
	} catch {
		// Other bytes that look like the beginning of a gzip stream.
		return undefined;
	}
}

function ofText(file: string): object {
	const { root } = protobuf.parse(readFileSync(file, 'utf8'));
	return bare(root.toJSON());
}

interface Namespace {
	readonly fields?: Record<string, { type: string; rule?: string; id: number; keyType?: string }>;
	readonly oneofs?: Record<string, { oneof: string[] }>;
	readonly nested?: Record<string, Namespace>;
}

/** Without what only generators of code read; fields are named as they are in JSON, and maps are maps. */
function bare(root: object): object {
	const plain = JSON.parse(
		JSON.stringify(root, (key, value: unknown) => (['options', 'comment'].includes(key) ? undefined : value)),
	) as Namespace;
	return named(plain);
}

function named(node: Namespace): Namespace {
	const { fields, oneofs, nested, ...rest } = node;
	const entries = new Set<string>();
	const field = (each: NonNullable<typeof fields>[string]) => {
		// A map is sent as a list of entries: google/protobuf/descriptor.proto, MessageOptions.map_entry.
		const type = each.type.split('.').at(-1) ?? '';
		const entry = each.rule === 'repeated' && type.endsWith('Entry') ? nested?.[type]?.fields : undefined;
		if (!entry?.key || !entry.value) return each;
		entries.add(type);
		return { keyType: entry.key.type, type: entry.value.type, id: each.id };
	};
	const made = fields && Object.fromEntries(Object.entries(fields).map(([name, each]) => [camel(name), field(each)]));
	const inner = Object.entries(nested ?? {}).filter(([name]) => !entries.has(name));
	return {
		...rest,
		...(oneofs && {
			oneofs: Object.fromEntries(
				Object.entries(oneofs).map(([name, { oneof }]) => [camel(name), { oneof: oneof.map(camel) }]),
			),
		}),
		...(made && { fields: made }),
		...(inner.length > 0 && { nested: Object.fromEntries(inner.map(([name, each]) => [name, named(each)])) }),
	};
}

function camel(name: string): string {
	return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
