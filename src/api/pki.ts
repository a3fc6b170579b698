/**
 * The certificates of a cluster, under DATA/pki: one authority, which signs the server's certificate and those of its
 * clients. What is missing, close to its end, or names too little is made anew; the authority stays.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { type Identity, isCurrent, issue, type KeyPair, makeAuthority } from './certificates.ts';

export interface Pki {
	/** DATA/pki. */
	readonly directory: string;
	/** The authority. Its key never leaves the machine. */
	readonly authority: KeyPair;
	/** What the API server shows. */
	readonly server: KeyPair;
	/** CN=kubernetes-admin, O=system:masters: the kubeconfig's. */
	readonly admin: KeyPair;
	/** What the API server shows to agents. */
	readonly kubelet: KeyPair;
	/** CN=system:node:NAME, O=system:nodes: made when first asked for. */
	node(name: string): Promise<KeyPair>;
}

export interface PkiOptions {
	/** The data directory. */
	readonly dataDir: string;
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

/** Loads the certificates, and makes those that are missing or no longer good. Throws where the directory cannot be written. */
export async function openPki(options: PkiOptions): Promise<Pki> {
	const { dataDir, now = Date.now } = options;
	const directory = join(dataDir, 'pki');
	await mkdir(directory, { recursive: true, mode: 0o755 });
	const authority = await openAuthority(directory, now());
	const keep = (file: string, identity: Identity) => openPair(directory, file, authority, identity, now());
	const [server, admin, kubelet] = await Promise.all([
		keep('apiserver', { commonName: 'kube-apiserver', usage: 'server', names: serverNames(options) }),
		keep('admin', { commonName: 'kubernetes-admin', organizations: ['system:masters'], usage: 'client' }),
		keep('apiserver-kubelet-client', {
			commonName: 'kube-apiserver-kubelet-client',
			organizations: ['system:masters'],
			usage: 'client',
		}),
	]);
	return {
		directory,
		authority,
		server,
		admin,
		kubelet,
		node(name) {
			// The name becomes part of a file's name.
			if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name))
				throw new RangeError(
					`${JSON.stringify(name)} is no name of a node: lower-case letters, digits, "-" and "." only`,
				);
			return keep(`node-${name}`, {
				commonName: `system:node:${name}`,
				organizations: ['system:nodes'],
				usage: 'client',
			});
		},
	};
}

async function openAuthority(directory: string, now: number): Promise<KeyPair> {
	const known = await readPair(directory, 'ca');
	// A new authority would trust nothing that this one has signed: to make it is for a person to decide.
	const wrong = known ? whatIsWrong(known, now) : await whatIsMissing(directory);
	if (wrong)
		throw new Error(
			`the certificate authority in ${directory} cannot be used: ${wrong}. Restore ca.crt and ca.key from a backup; or move both away, and a new one is made, which every copy of the kubeconfig and every other node must then be given`,
		);
	if (known) return known;
	const authority = await makeAuthority('driftless-ca', now);
	await writePair(directory, 'ca', authority);
	return authority;
}

/** Why nothing can be signed with the authority, or nobody would take what is; undefined where all is well. */
function whatIsWrong({ cert, key }: KeyPair, now: number): string | undefined {
	const certificate = attempt(() => new X509Certificate(cert));
	if (!certificate) return 'ca.crt is no certificate in PEM';
	const privateKey = attempt(() => createPrivateKey(key));
	if (!privateKey) return 'ca.key is no private key in PEM';
	if (!certificate.checkPrivateKey(privateKey)) return 'ca.key is not the key of ca.crt';
	const clock = `the clock of this machine says ${new Date(now).toISOString()}`;
	if (Date.parse(certificate.validTo) <= now) return `ca.crt is good until ${iso(certificate.validTo)}, and ${clock}`;
	if (Date.parse(certificate.validFrom) > now)
		return `ca.crt is good from ${iso(certificate.validFrom)} on, and ${clock}, which may have to be set right`;
	return undefined;
}

function attempt<Value>(read: () => Value): Value | undefined {
	try {
		return read();
	} catch {
		return undefined;
	}
}

const iso = (time: string) => new Date(time).toISOString();

async function whatIsMissing(directory: string): Promise<string | undefined> {
	const files = await readdir(directory);
	const half = ['ca.crt', 'ca.key'].find((name) => files.includes(name));
	return half && `of ca.crt and ca.key only ${half} is there`;
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

async function readPair(directory: string, file: string): Promise<KeyPair | undefined> {
	try {
		const [cert, key] = await Promise.all([
			readFile(join(directory, `${file}.crt`), 'utf8'),
			readFile(join(directory, `${file}.key`), 'utf8'),
		]);
		return { cert, key };
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
		throw cause;
	}
}

async function writePair(directory: string, file: string, { cert, key }: KeyPair): Promise<void> {
	await writeFileSafely(join(directory, `${file}.key`), key, 0o600);
	await writeFileSafely(join(directory, `${file}.crt`), cert, 0o644);
}

/** Writes a file whole or not at all, with its mode from the first byte on. */
export async function writeFileSafely(path: string, content: string, mode: number): Promise<void> {
	const draft = `${path}.new`;
	try {
		await rm(draft, { force: true });
		const file = await open(draft, 'wx', mode);
		try {
			await file.writeFile(content);
			await file.sync();
		} finally {
			await file.close();
		}
		await rename(draft, path);
	} catch (cause) {
		// The error of a write does not say of which file.
		throw new Error(`${path} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
	}
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
