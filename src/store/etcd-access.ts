/**
 * What a server shows to etcd: certificates, a name and a password. Files are read again for each new connection after a
 * fault, so that those that are renewed in time need no restart. The names are those of kube-apiserver's flags.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface EtcdAccess {
	/** PEM of who signs the certificates of the members. Default: the authorities that Node.js knows. */
	readonly caFile?: string;
	/** PEM of a client certificate and of its key: both, or none. */
	readonly certFile?: string;
	readonly keyFile?: string;
	readonly username?: string;
	/** The password, or the file that has it. */
	readonly password?: string;
	readonly passwordFile?: string;
}

/** The content of what was named. */
export interface Credentials {
	readonly ca?: Buffer;
	readonly cert?: Buffer;
	readonly key?: Buffer;
	readonly user?: { readonly name: string; readonly password: string };
}

const ETCD_URL = /^(?<scheme>etcds?):\/\/(?<hosts>[^/?#]+)\/?$/;
const ENDPOINT = /^(?:[\w.-]+|\[[\da-f:.]+\]):\d{1,5}$/i;

/**
 * The members that `etcd://HOST:PORT,...` names, or `etcds://` where they speak TLS, and how to be let in.
 * @throws RangeError for another url, and for what does not go together.
 */
export function etcdConnection(url: string, access: EtcdAccess = {}) {
	if (url.includes('@'))
		throw new RangeError('the store has a name or a password in its URL, which others could see: give them by options');
	const { scheme, hosts = '' } = ETCD_URL.exec(url)?.groups ?? {};
	const endpoints = hosts.split(',');
	if (!endpoints.every((endpoint) => ENDPOINT.test(endpoint)))
		throw new RangeError(
			`"${url}" names no store: use "sqlite", or "etcd://HOST:PORT[,HOST:PORT...]", with etcds:// for TLS`,
		);
	const { caFile, certFile, keyFile, username, password, passwordFile } = access;
	const tls = scheme === 'etcds';
	if (!tls && (caFile || certFile || keyFile))
		throw new RangeError(`certificates for etcd need TLS: name the store "${url.replace('etcd:', 'etcds:')}"`);
	if (!certFile !== !keyFile)
		throw new RangeError('a client certificate for etcd and its key are given both or not at all');
	if (!username !== !(password || passwordFile))
		throw new RangeError('a user name for etcd and a password are given both or not at all');
	return {
		endpoints: tls ? endpoints.map((endpoint) => `https://${endpoint}`) : endpoints,
		credentials: () => readCredentials(access),
	};
}

/** @throws Error that names the file that cannot be read or used. */
function readCredentials({ caFile, certFile, keyFile, username, password, passwordFile }: EtcdAccess): Credentials {
	const read = (file: string, check: (content: Buffer) => unknown): Buffer => {
		try {
			const content = readFileSync(file);
			check(content);
			return content;
		} catch (cause) {
			throw new Error(`${file}, given for etcd, cannot be used: ${cause instanceof Error ? cause.message : cause}`, {
				cause,
			});
		}
	};
	const certificate = (content: Buffer) => new X509Certificate(content);
	const cert = certFile ? read(certFile, certificate) : undefined;
	const isItsKey = (content: Buffer) => {
		if (cert && !certificate(cert).checkPrivateKey(createPrivateKey(content)))
			throw new Error(`it is not the key of ${certFile}`);
	};
	const secret = passwordFile
		? read(passwordFile, () => {})
				.toString('utf8')
				.replace(/\r?\n$/, '')
		: password;
	return {
		ca: caFile ? read(caFile, certificate) : undefined,
		cert,
		key: keyFile ? read(keyFile, isItsKey) : undefined,
		user: username && secret ? { name: username, password: secret } : undefined,
	};
}
