/** Credentials for a registry, from the pod's imagePullSecrets. Source: Kubernetes documentation, "Pull an Image from a Private Registry". */
import type { Pod, Secret } from '../../kinds/index.ts';
import type { RegistryAuth } from '../engine/engine.ts';
import type { Objects } from './environment.ts';

interface Entry {
	readonly username?: string;
	readonly password?: string;
	readonly identitytoken?: string;
	/** Base64 of `username:password`. */
	readonly auth?: string;
}

const DOCKER_HUB = 'docker.io';

/** The first credentials among the pod's secrets that are for the registry of the image; undefined where there are none. */
export function credentials(pod: Pod, reference: string, objects: Objects): RegistryAuth | undefined {
	const registry = registryOf(reference);
	for (const { name } of pod.spec.imagePullSecrets ?? []) {
		const secret = name ? objects.secret(pod.metadata.namespace ?? '', name) : undefined;
		for (const [server, entry] of Object.entries(secret ? entriesOf(secret) : {})) {
			if (hostOf(server) !== registry) continue;
			const [user, ...password] = entry.auth ? Buffer.from(entry.auth, 'base64').toString().split(':') : [];
			return {
				serveraddress: server,
				username: entry.username ?? user,
				password: entry.password ?? (entry.auth ? password.join(':') : undefined),
				identitytoken: entry.identitytoken,
			};
		}
	}
	return undefined;
}

/** The registry's host in an image reference. */
export function registryOf(reference: string): string {
	const slash = reference.indexOf('/');
	const first = slash < 0 ? '' : reference.slice(0, slash);
	return first.includes('.') || first.includes(':') || first === 'localhost' ? first : DOCKER_HUB;
}

/** Docker's own configuration calls its registry `https://index.docker.io/v1/`. */
function hostOf(server: string): string {
	const host = server.replace(/^https?:\/\//, '').split('/')[0] ?? '';
	return host === 'index.docker.io' || host === 'registry-1.docker.io' ? DOCKER_HUB : host;
}

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
