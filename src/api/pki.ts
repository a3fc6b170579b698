/**
 * The certificates of a server, under DATA/pki: those that the authority of the cluster has signed for it and its clients. What
 * is missing, close to its end, or names too little is made anew, at the start and by `renew`; the authority stays.
 */
import { mkdir } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Store } from '../store/store.ts';
import { openAuthority } from './authority.ts';
import { type Identity, isCurrent, issue, type KeyPair } from './certificates.ts';
import { readPair, writePair } from './key-files.ts';

/** The certificates are those of the moment: ask for them when they are needed. */
export interface Pki {
	/** DATA/pki. */
	readonly directory: string;
	/** The authority. Its key leaves the machine for the store that servers share, and for nothing else. */
	readonly authority: KeyPair;
	/** What the API server shows. */
	readonly server: KeyPair;
	/** CN=kubernetes-admin, O=system:masters: the kubeconfig's. */
	readonly admin: KeyPair;
	/** What the API server shows to agents. */
	readonly kubelet: KeyPair;
	/** CN=system:node:NAME, O=system:nodes: made when first asked for, or when it has come close to its end. */
	node(name: string): Promise<KeyPair>;
	/** Makes anew what has come close to its end, and the server's where it names too little. @returns whether anything was. */
	renew(): Promise<boolean>;
}

export interface PkiOptions {
	/** The data directory. */
	readonly dataDir: string;
	/** Where other servers of the cluster find the authority. None: this server is alone. */
	readonly store?: Store;
	/** DNS names and addresses of the server beside those of this machine. */
	readonly names?: readonly string[];
	/** Addresses of this machine. Default: those of its interfaces now. */
	readonly addresses?: readonly string[];
	/** First address of the service range: `kubernetes.default`. */
	readonly serviceAddress?: string;
	readonly clusterDomain?: string;
	/** Milliseconds since the epoch. */
	readonly now?: () => number;
}

/**
 * Loads the certificates, and makes those that are missing or no longer good. Throws where the directory cannot be written, and
 * where the authority cannot be used or is not that of the other servers.
 */
export async function openPki(options: PkiOptions): Promise<Pki> {
	const { dataDir, store, now = Date.now } = options;
	const directory = join(dataDir, 'pki');
	await mkdir(directory, { recursive: true, mode: 0o755 });
	const authority = await openAuthority(directory, store, now());
	const keep = (file: string, identity: Identity) => openPair(directory, file, authority, identity, now());
	let nodes: ReadonlyMap<string, KeyPair> = new Map();
	const keepNode = (name: string) =>
		keep(`node-${name}`, { commonName: `system:node:${name}`, organizations: ['system:nodes'], usage: 'client' });
	const load = async () => {
		const [server, admin, kubelet] = await Promise.all([
			keep('apiserver', { commonName: 'kube-apiserver', usage: 'server', names: serverNames(options) }),
			keep('admin', { commonName: 'kubernetes-admin', organizations: ['system:masters'], usage: 'client' }),
			keep('apiserver-kubelet-client', {
				commonName: 'kube-apiserver-kubelet-client',
				organizations: ['system:masters'],
				usage: 'client',
			}),
		]);
		return { server, admin, kubelet };
	};
	let own = await load();
	return {
		directory,
		authority,
		get server() {
			return own.server;
		},
		get admin() {
			return own.admin;
		},
		get kubelet() {
			return own.kubelet;
		},
		async node(name) {
			// The name becomes part of a file's name.
			if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name))
				throw new RangeError(
					`${JSON.stringify(name)} is no name of a node: lower-case letters, digits, "-" and "." only`,
				);
			const pair = await keepNode(name);
			nodes = new Map([...nodes, [name, pair]]);
			return pair;
		},
		async renew() {
			const before = { own, nodes };
			const loaded = await load();
			const names = [...nodes.keys()];
			const pairs = await Promise.all(names.map(async (name) => [name, await keepNode(name)] as const));
			own = loaded;
			nodes = new Map(pairs);
			return !isDeepStrictEqual({ own, nodes }, before);
		},
	};
}

async function openPair(
	directory: string,
	file: string,
	authority: KeyPair,
	identity: Identity,
	now: number,
): Promise<KeyPair> {
	const known = await readPair(directory, file);
	if (known && isCurrent(known, authority, identity, now)) return known;
	const pair = await issue(authority, identity, now);
	await writePair(directory, file, pair);
	return pair;
}

/** Every name under which clients of the cluster and of this machine reach the server. */
function serverNames({
	names = [],
	addresses = interfaceAddresses(),
	serviceAddress = '10.96.0.1',
	clusterDomain = 'cluster.local',
}: PkiOptions): string[] {
	const host = hostname().toLowerCase();
	const all = [
		'localhost',
		'127.0.0.1',
		'::1',
		...(/^[a-z0-9.-]+$/.test(host) ? [host] : []),
		...addresses,
		'kubernetes',
		'kubernetes.default',
		'kubernetes.default.svc',
		`kubernetes.default.svc.${clusterDomain}`,
		serviceAddress,
		...names,
	];
	return [...new Set(all)];
}

const interfaceAddresses = () =>
	Object.values(networkInterfaces())
		.flatMap((each) => each?.map(({ address }) => address) ?? [])
		.filter((address) => !address.startsWith('fe80:'));
