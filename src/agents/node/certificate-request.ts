/**
 * A node asks the API for a certificate of its own: a key that never leaves the machine, and a CertificateSigningRequest.
 * Source: Kubernetes documentation, "TLS bootstrapping".
 */
import { randomUUID, webcrypto } from 'node:crypto';
import { type Client, pause } from '../../client/index.ts';
import { CertificateSigningRequest } from '../../kinds/index.ts';
import { privateKeyPem, x509 } from '../../x509.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet';
/** How often it is looked for an answer, and for how long, in ms: whoever signs may have to come to lead first. */
const LOOK_MS = 200;
const PATIENCE_MS = 60_000;

/** PEM. */
export interface NodeCertificate {
	readonly cert: string;
	readonly key: string;
}

/** Throws where the API does not take the request, refuses it, or does not answer it in time. */
export async function requestNodeCertificate(
	client: Client,
	node: string,
	signal: AbortSignal,
): Promise<NodeCertificate> {
	const { Pkcs10CertificateRequestGenerator } = await x509();
	const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
	const request = await Pkcs10CertificateRequestGenerator.create({
		name: [{ O: ['system:nodes'] }, { CN: [`system:node:${node}`] }],
		keys: { publicKey: keys.publicKey, privateKey: keys.privateKey },
		signingAlgorithm: ALGORITHM,
	});
	const { metadata } = await client.create(CertificateSigningRequest, {
		apiVersion: 'certificates.k8s.io/v1',
		kind: 'CertificateSigningRequest',
		metadata: { name: `node-csr-${randomUUID()}` },
		spec: {
			request: Buffer.from(request.toString('pem')).toString('base64'),
			signerName: SIGNER,
			usages: ['digital signature', 'key encipherment', 'client auth'],
		},
	});
	const end = performance.now() + PATIENCE_MS;
	while (!signal.aborted) {
		const { status } = await client.get(CertificateSigningRequest, metadata);
		if (status?.certificate) {
			return {
				cert: Buffer.from(status.certificate, 'base64').toString('utf8'),
				key: privateKeyPem(keys.privateKey),
			};
		}
		const refused = status?.conditions?.find(({ type }) => type === 'Denied' || type === 'Failed');
		if (refused) throw new Error(`the certificate of the node ${node} is refused: ${refused.message ?? refused.type}`);
		if (performance.now() > end)
			throw new Error(
				`nobody has signed the request ${metadata.name} for a certificate of the node ${node} within ${PATIENCE_MS / 1000} s: does a server lead?`,
			);
		await pause(LOOK_MS, signal);
	}
	throw signal.reason;
}
