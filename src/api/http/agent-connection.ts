/** A connection to the agent of a node: TLS with the server's client certificate, the agent's own one pinned by its node. */
import { connect, type TLSSocket } from 'node:tls';
import type { Node } from '../../kinds/core/node.ts';
import { ApiError } from '../../kinds/status.ts';
import type { KeyPair } from '../certificates.ts';
import { limits } from '../limits.ts';

/** Where an agent publishes the SHA-256 of its serving certificate (hex of the DER form); two with a comma while it changes. */
export const servingCertificateAnnotation = 'driftless.io/serving-certificate-sha256';

export interface AgentAddress {
	readonly host: string;
	readonly port: number;
	/** Lower-case hex without separators. */
	readonly fingerprints: readonly string[];
}

const unreachable = (node: string, why: string) =>
	new ApiError(502, 'InternalError', `the agent of node ${JSON.stringify(node)} cannot be reached: ${why}`);

/** Where the agent of a node listens. Throws 502 where the node does not say so. */
export function agentAddress({ metadata, status }: Node): AgentAddress {
	const addresses = status?.addresses ?? [];
	const host = (
		addresses.find(({ type }) => type === 'InternalIP') ?? addresses.find(({ type }) => type === 'Hostname')
	)?.address;
	const port = status?.daemonEndpoints?.kubeletEndpoint?.Port;
	const published = metadata.annotations?.[servingCertificateAnnotation]?.replaceAll(':', '').toLowerCase();
	if (!host || !port || !(port > 0 && port < 65_536))
		throw unreachable(metadata.name, 'the node has published no address and port of it');
	if (!published) throw unreachable(metadata.name, `the node has no annotation ${servingCertificateAnnotation}`);
	return { host, port, fingerprints: published.split(',') };
}

/** Connects, and checks whom it has reached before a byte is sent. Throws 502. */
export function connectAgent(node: Node, client: KeyPair, signal: AbortSignal): Promise<TLSSocket> {
	const { name } = node.metadata;
	const { host, port, fingerprints } = agentAddress(node);
	return new Promise((resolve, reject) => {
		const socket = connect({
			host,
			port,
			cert: client.cert,
			key: client.key,
			// The certificate is self-signed; its fingerprint decides.
			rejectUnauthorized: false,
			ALPNProtocols: ['http/1.1'],
		});
		const settle = (error?: ApiError) => {
			socket.off('error', onError);
			signal.removeEventListener('abort', onAbort);
			socket.setTimeout(0);
			if (!error) return resolve(socket);
			socket.destroy();
			reject(error);
		};
		const onError = (cause: Error) => settle(unreachable(name, `${host}:${port}: ${cause.message}`));
		const onAbort = () => settle(unreachable(name, 'the request was ended'));
		socket.on('error', onError);
		signal.addEventListener('abort', onAbort);
		socket.setTimeout(limits.agentConnect, () => settle(unreachable(name, `${host}:${port} does not answer`)));
		socket.once('secureConnect', () => {
			const shown = socket.getPeerCertificate().fingerprint256?.replaceAll(':', '').toLowerCase();
			settle(
				shown && fingerprints.includes(shown)
					? undefined
					: unreachable(name, `${host}:${port} shows another certificate than the node published`),
			);
		});
	});
}
