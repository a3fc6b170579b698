/** The kubeconfig of the administrator: a file with everything in it, so that it can be copied to another machine. */
import { stringify } from 'yaml';
import type { KeyPair } from './certificates.ts';
import { writeFileSafely } from './key-files.ts';

export interface KubeconfigOptions {
	/** Where the file is written; readable by its owner only. */
	readonly path: string;
	/** `https://127.0.0.1:6443`. */
	readonly server: string;
	/** The authority's certificate, in PEM. */
	readonly authority: string;
	readonly client: KeyPair;
	/** The name that the server's certificate must be for, where it is not that of the address. */
	readonly serverName?: string;
	/** Name of cluster, user and context. */
	readonly name?: string;
	/** Default: the name with `-admin`. */
	readonly user?: string;
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Writes the file in one step. Throws where it cannot. */
export async function writeKubeconfig(options: KubeconfigOptions): Promise<void> {
	const { name = 'driftless', user = `${name}-admin`, serverName } = options;
	const cluster = {
		server: options.server,
		'certificate-authority-data': base64(options.authority),
		...(serverName && { 'tls-server-name': serverName }),
	};
	const config = {
		apiVersion: 'v1',
		kind: 'Config',
		clusters: [{ name, cluster }],
		users: [
			{
				name: user,
				user: {
					'client-certificate-data': base64(options.client.cert),
					'client-key-data': base64(options.client.key),
				},
			},
		],
		contexts: [{ name, context: { cluster: name, user } }],
		'current-context': name,
	};
	await writeFileSafely(options.path, stringify(config, { lineWidth: 0 }), 0o600);
}
