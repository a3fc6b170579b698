/** The kinds that a server knows. It changes while the server runs, when definitions of custom resources come and go. */
import { apiVersionOf, type Kind, parseApiVersion } from './kind.ts';
import type { Schemas } from './schema.ts';

export interface Registry {
	/** All kinds, in the order of registration. */
	all(): Iterable<Kind>;
	/** By REST path. */
	resource(group: string, version: string, plural: string): Kind | undefined;
	/** By the apiVersion and kind of an object. */
	of(apiVersion: string, kind: string): Kind | undefined;
	readonly schemas: Schemas;
}

export function createRegistry(kinds: readonly Kind[], schemas: Schemas): Registry {
	const byPath = new Map<string, Kind>();
	const byName = new Map<string, Kind>();
	for (const kind of kinds) {
		byPath.set(`${apiVersionOf(kind)}/${kind.plural}`, kind);
		byName.set(`${apiVersionOf(kind)}/${kind.kind}`, kind);
	}
	return {
		schemas,
		all: () => byPath.values(),
		resource: (group, version, plural) => byPath.get(`${apiVersionOf({ group, version })}/${plural}`),
		of: (apiVersion, kind) => byName.get(`${apiVersionOf(parseApiVersion(apiVersion))}/${kind}`),
	};
}
