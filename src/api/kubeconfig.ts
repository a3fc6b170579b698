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
	/** Name of cluster, user and context. */
	readonly name?: string;
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Writes the file in one step. Throws where it cannot. */
export async function writeKubeconfig(options: KubeconfigOptions): Promise<void> {
	const { name = 'driftless' } = options;
	const user = `${name}-admin`;
	const config = {
		apiVersion: 'v1',
		kind: 'Config',
		clusters: [{ name, cluster: { server: options.server, 'certificate-authority-data': base64(options.authority) } }],
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
