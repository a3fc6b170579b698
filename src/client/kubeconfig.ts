/** Where a cluster is and who we are there. Source: the kubeconfig format, client-go tools/clientcmd/api/v1. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import { type Clock, systemClock } from './clock.ts';

/** One context of a kubeconfig with its files read. Holds secrets: never log it. */
export interface KubeConfig {
	/** `https://127.0.0.1:6443`, without a slash at the end. */
	readonly server: string;
	/** The namespace of the context. Default `default`. */
	readonly namespace: string;
	/** The name of the context, or of what else the configuration came from. */
	readonly context: string;
	/** PEM. */
	readonly ca?: string;
	readonly cert?: string;
	readonly key?: string;
	readonly token?: string;
	/** The name that the server's certificate must be for, where it is not that of the address. */
	readonly serverName?: string;
	/** Accept any certificate of the server. */
	readonly insecure?: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads a kubeconfig file. `context` is the one to use instead of its current one. Errors name the file and what is wrong with it. */
export async function loadKubeconfig(path: string, context?: string): Promise<KubeConfig> {
	const text = await readFile(path, 'utf8').catch((error: Error) => {
		// The path stands there already.
		const reason = error.message.replace(/, \w+ '.*'$/s, '');
		throw new Error(`cannot read kubeconfig ${path}: ${reason}`, { cause: error });
	});
	let document: unknown;
	try {
		document = parse(text);
	} catch (error) {
		throw new Error(`kubeconfig ${path} is not YAML: ${error instanceof Error ? error.message : error}`, {
			cause: error,
		});
	}
	return fromKubeconfig(document, path, context);
}

/** A kubeconfig that is read again when it has become another. */
export interface FollowedKubeconfig {
	/** As it was read last. */
	readonly config: KubeConfig;
	/** Reads it again where the last time is long ago; what cannot be read stays what it was. */
	refresh(): Promise<KubeConfig>;
}

/** A file is read again at most this often (ms): credentials are renewed long before they end. */
const FRESH_MS = 10_000;

/** Follows a file whose credentials somebody renews. Throws where it cannot be read at first. */
export async function followKubeconfig(
	path: string,
	context?: string,
	clock: Clock = systemClock,
): Promise<FollowedKubeconfig> {
	let config = await loadKubeconfig(path, context);
	let looked = clock.now();
	return {
		get config() {
			return config;
		},
		async refresh() {
			if (clock.now() - looked < FRESH_MS) return config;
			looked = clock.now();
			const found = await loadKubeconfig(path, context).catch(() => config);
			// One that says the same is the same.
			if (!isDeepStrictEqual(found, config)) config = found;
			return config;
		},
	};
}

async function fromKubeconfig(document: unknown, path: string, wanted: string | undefined): Promise<KubeConfig> {
	const root = fields(document);
	if (!root) throw new Error(`kubeconfig ${path} is empty or not a mapping`);
	const entry = (list: string, name: string, field: string): Fields => {
		const entries = Array.isArray(root[list]) ? root[list] : [];
		const found = fields(fields(entries.find((candidate) => fields(candidate)?.name === name))?.[field]);
		if (!found) throw new Error(`kubeconfig ${path} has no ${field} named "${name}"`);
		return found;
	};
	const context = wanted ?? text(root, 'current-context');
	if (!context) throw new Error(`kubeconfig ${path} has no current-context: name one`);
	const { cluster: clusterName, user: userName, namespace } = entry('contexts', context, 'context');
	const cluster = entry('clusters', String(clusterName), 'cluster');
	const user = userName ? entry('users', String(userName), 'user') : {};
	for (const unsupported of ['exec', 'auth-provider', 'username']) {
		if (user[unsupported] !== undefined) {
			throw new Error(
				`kubeconfig ${path}: user "${userName}" signs in by ${unsupported}, which is not supported: use a client certificate or a token`,
			);
		}
	}
	const server = text(cluster, 'server');
	if (!server || !URL.canParse(server)) {
		throw new Error(`kubeconfig ${path}: cluster "${clusterName}" has no valid server address`);
	}
	/** `NAME-data` in base64, or the file that `NAME` names. */
	const pem = async (from: Fields, name: string) => {
		const data = text(from, `${name}-data`);
		if (data) return Buffer.from(data, 'base64').toString('utf8');
		const file = text(from, name);
		return file ? readBeside(path, file) : undefined;
	};
	const tokenFile = text(user, 'tokenFile');
	return {
		server: server.replace(/\/+$/, ''),
		namespace: namespace ? String(namespace) : 'default',
		context,
		ca: await pem(cluster, 'certificate-authority'),
		cert: await pem(user, 'client-certificate'),
		key: await pem(user, 'client-key'),
		token: text(user, 'token') ?? (tokenFile ? (await readBeside(path, tokenFile)).trim() : undefined),
		serverName: text(cluster, 'tls-server-name'),
		insecure: cluster['insecure-skip-tls-verify'] === true,
	};
}

/** Reads a file that a kubeconfig names; its path is relative to the kubeconfig. */
async function readBeside(kubeconfig: string, file: string): Promise<string> {
	return readFile(resolve(dirname(kubeconfig), file), 'utf8').catch((error: Error) => {
		throw new Error(`kubeconfig ${kubeconfig} names ${file}, which cannot be read: ${error.message}`, { cause: error });
	});
}

const fields = (value: unknown): Fields | undefined =>
	typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;

const text = (from: Fields, name: string): string | undefined => {
	const value = from[name];
	return typeof value === 'string' && value !== '' ? value : undefined;
};
