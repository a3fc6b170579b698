/**
 * The gRPC protocols between a node and its plugins: drivers of the Container Storage Interface, device plugins, and the
 * registration of both. They are the published ones, in protocols/*.json (scripts/generate-plugin-protocols.ts); this is the only
 * place that loads them. Fields have their JSON names, 64-bit numbers are decimal text, enumerations are their names.
 */
import { readFileSync } from 'node:fs';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { fromJSON, type PackageDefinition } from '@grpc/proto-loader';

/** Each service by its full name. */
const files = {
	'csi.v1.Identity': 'csi',
	'csi.v1.Controller': 'csi',
	'csi.v1.Node': 'csi',
	'v1beta1.Registration': 'device-plugin',
	'v1beta1.DevicePlugin': 'device-plugin',
	'pluginregistration.Registration': 'plugin-registration',
} as const;

export type ServiceName = keyof typeof files;

const loaded = new Map<string, PackageDefinition>();

/** The methods of a service, for a client or a server. */
export function serviceNamed(name: ServiceName): ServiceDefinition {
	const file = files[name];
	let definitions = loaded.get(file);
	if (!definitions) {
		const json = readFileSync(new URL(`./protocols/${file}.json`, import.meta.url), 'utf8');
		definitions = fromJSON(JSON.parse(json), {
			longs: String,
			enums: String,
			defaults: true,
			oneofs: true,
			bytes: Buffer,
		});
		loaded.set(file, definitions);
	}
	return definitions[name] as ServiceDefinition;
}
