/**
 * The signer of the certificates by which nodes ask the API. Source: Kubernetes documentation, "Certificates and Certificate
 * Signing Requests", the signer kubernetes.io/kube-apiserver-client-kubelet.
 */
import type { Pkcs10CertificateRequest } from '@peculiar/x509';
import { x509 } from '../x509.ts';
import { type KeyPair, signFor } from './certificates.ts';

/** What of a CertificateSigningRequest counts. */
export interface NodeRequest {
	/** PEM in base64. */
	readonly request: string;
	readonly usages?: readonly string[];
	readonly expirationSeconds?: number;
}

const ALLOWED_USAGES = ['client auth', 'digital signature', 'key encipherment'];
const NODE_NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

/** What a request cannot have, in words. */
export class Unfit extends Error {
	override readonly name = 'Unfit';
}

/** The node whose certificate is asked for. Throws Unfit for a request that this signer does not sign. */
export async function nodeOfRequest(asked: NodeRequest): Promise<string> {
	const { usages = [] } = asked;
	const other = usages.find((usage) => !ALLOWED_USAGES.includes(usage));
	if (other) throw new Unfit(`the usage "${other}" is not one of ${ALLOWED_USAGES.join(', ')}`);
	if (!usages.includes('client auth')) throw new Unfit('the usage "client auth" is missing');
	const request = await parse(asked);
	if (request.extensions.some(({ type }) => type === SUBJECT_ALTERNATIVE_NAME))
		throw new Unfit('a client has no alternative names');
	if (!(await request.verify().catch(() => false))) throw new Unfit('it is not signed by its key');
	const fields = request.subjectName.toJSON().flatMap((each) => Object.entries(each));
	const valuesOf = (name: string) => fields.filter(([key]) => key === name).flatMap(([, values]) => values);
	const [commonName = '', ...more] = valuesOf('CN');
	const name = commonName.startsWith('system:node:') ? commonName.slice('system:node:'.length) : '';
	const organizations = valuesOf('O');
	if (more.length > 0 || !NODE_NAME.test(name)) throw new Unfit('its common name is not system:node:NAME');
	if (organizations.length !== 1 || organizations[0] !== 'system:nodes')
		throw new Unfit('its organization is not system:nodes');
	return name;
}

/** RFC 5280, 4.2.1.6. */
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17';

/** Signs what `nodeOfRequest` has found fit. @returns the certificate in PEM. */
export async function signNodeRequest(authority: KeyPair, asked: NodeRequest, now: number): Promise<string> {
	const node = await nodeOfRequest(asked);
	const identity = { commonName: `system:node:${node}`, organizations: ['system:nodes'], usage: 'client' } as const;
	const { expirationSeconds } = asked;
	const lifeMs = expirationSeconds === undefined ? undefined : expirationSeconds * 1000;
	return signFor(authority, identity, (await parse(asked)).publicKey, now, lifeMs);
}

async function parse({ request }: NodeRequest): Promise<Pkcs10CertificateRequest> {
	const { Pkcs10CertificateRequest } = await x509();
	try {
		return new Pkcs10CertificateRequest(Buffer.from(request, 'base64').toString('utf8'));
	} catch (cause) {
		throw new Unfit('it is no certificate request in PEM', { cause });
	}
}
