/**
 * Credentials for a registry, from the pod's imagePullSecrets. Source: Kubernetes documentation, "Images", "Using a private
 * registry" and "Interpretation of config.json".
 */
import type { Pod, Secret } from '../../kinds/index.ts';
import type { RegistryAuth } from '../engine/index.ts';
import type { Objects } from './environment.ts';
import { parseReference } from './reference.ts';

interface Entry {
	readonly username?: string;
	readonly password?: string;
	readonly identitytoken?: string;
	/** Base64 of `username:password`. */
	readonly auth?: string;
}

export interface Credentials {
	/** Those that are for the image, in the order in which they are to be tried; none: it is fetched without. */
	readonly found: readonly RegistryAuth[];
	/** Names of the secrets that are not there. */
	readonly missing: readonly string[];
}

/** What the pod's secrets say about the registry of an image. */
export function credentials(pod: Pod, reference: string, objects: Objects): Credentials {
	const parsed = parseReference(reference);
	const missing: string[] = [];
	const fitting: { readonly key: string; readonly auth: RegistryAuth }[] = [];
	for (const { name } of pod.spec.imagePullSecrets ?? []) {
		const secret = name ? objects.secret(pod.metadata.namespace ?? '', name) : undefined;
		if (!secret && name) missing.push(name);
		for (const [server, entry] of Object.entries(secret ? entriesOf(secret) : {})) {
			const key = keyOf(server);
			if (parsed && matches(key, parsed.registry, parsed.path)) fitting.push({ key, auth: authOf(server, entry) });
		}
	}
	// The longer path is the more exact one; else the order is the pod's.
	fitting.sort((a, b) => (a.key === b.key ? 0 : a.key < b.key ? 1 : -1));
	return { found: fitting.map(({ auth }) => auth), missing };
}

function authOf(server: string, entry: Entry): RegistryAuth {
	const [user, ...password] = entry.auth ? Buffer.from(entry.auth, 'base64').toString().split(':') : [];
	return {
		serveraddress: server,
		username: entry.username ?? user,
		password: entry.password ?? (entry.auth ? password.join(':') : undefined),
		identitytoken: entry.identitytoken,
	};
}

/** `HOST` or `HOST/PATH` of what stands in a configuration; Docker's own calls its registry `https://index.docker.io/v1/`. */
function keyOf(server: string): string {
	const [host = '', ...path] = server.replace(/^https?:\/\//, '').split('/');
	const rest = (path[0] === 'v1' || path[0] === 'v2' ? path.slice(1) : path).filter(Boolean).join('/');
	const registry = host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
	return rest ? `${registry}/${rest}` : registry;
}

/** Each part of the host between dots may be a pattern; a path fits what begins with it; the port must be the same. */
function matches(key: string, registry: string, path: string): boolean {
	const slash = key.indexOf('/');
	const [host, prefix] = slash < 0 ? [key, ''] : [key.slice(0, slash), key.slice(slash + 1)];
	const [name = '', port] = host.split(':');
	const [wantedName = '', wantedPort] = registry.split(':');
	if (port !== wantedPort || !path.startsWith(prefix)) return false;
	const parts = name.split('.');
	const wanted = wantedName.split('.');
	return parts.length === wanted.length && parts.every((part, index) => glob(part).test(wanted[index] ?? ''));
}

const glob = (pattern: string) =>
	new RegExp(
		`^${pattern
			.replace(/[.+^${}()|[\]\\]/g, '\\$&')
			.replaceAll('*', '.*')
			.replaceAll('?', '.')}$`,
	);

function entriesOf(secret: Secret): Record<string, Entry> {
	const config = secret.data?.['.dockerconfigjson'];
	const legacy = secret.data?.['.dockercfg'];
	try {
		if (config)
			return (JSON.parse(Buffer.from(config, 'base64').toString()) as { auths?: Record<string, Entry> }).auths ?? {};
		if (legacy) return JSON.parse(Buffer.from(legacy, 'base64').toString()) as Record<string, Entry>;
	} catch {
		// A secret that is no JSON gives no credentials: the pull fails with the registry's own refusal.
	}
	return {};
}
