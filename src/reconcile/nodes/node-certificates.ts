/**
 * Gives nodes the certificates that they ask for, each for itself, and clears away requests that nobody waits for any more.
 * Source: Kubernetes documentation, "Certificates and Certificate Signing Requests" and "TLS bootstrapping"; the times are those of
 * kube-controller-manager's csrcleaner.
 */
import { CertificateSigningRequest, timestamp } from '../../kinds/index.ts';
import { type Controller, controller } from '../runtime/controller.ts';
import { unlessGone } from '../runtime/refusal.ts';

/** Who signs certificates by which nodes ask the API. Requests to other signers are left to these. */
export const NODE_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet';
/** How long a request stays when it has been answered, and while nobody has. */
const ANSWERED_MS = 3_600_000;
const PENDING_MS = 24 * 3_600_000;

type Spec = CertificateSigningRequest['spec'];

export interface NodeSigner {
	/** The node whose certificate is asked for. Rejects, saying why, for what is never signed. */
	nodeOf(spec: Spec): Promise<string>;
	/** @returns the certificate in PEM. */
	sign(spec: Spec, now: number): Promise<string>;
}

export function nodeCertificates(signer: NodeSigner): Controller {
	return controller({
		name: 'node-certificates',
		for: CertificateSigningRequest,
		async reconcile(key, { client, cache, now }) {
			const request = cache.informer(CertificateSigningRequest).get(key);
			if (!request) return;
			const { metadata } = request;
			const status = isAnswered(request) ? undefined : await answer(request, signer, now());
			if (status)
				await unlessGone(
					client.patch(
						CertificateSigningRequest,
						metadata,
						{ type: 'merge', body: { metadata: { resourceVersion: metadata.resourceVersion }, status } },
						{ subresource: 'status' },
					),
				);
			const left = leftOf(status ? { ...request, status } : request, now());
			if (left > 0) return { after: left };
			const { uid, resourceVersion } = metadata;
			await unlessGone(client.delete(CertificateSigningRequest, metadata, { preconditions: { uid, resourceVersion } }));
			return;
		},
	});
}

type Status = NonNullable<CertificateSigningRequest['status']>;

const has = ({ status }: CertificateSigningRequest, ...types: readonly string[]) =>
	status?.conditions?.some(({ type }) => types.includes(type)) ?? false;

const isAnswered = (request: CertificateSigningRequest) =>
	Boolean(request.status?.certificate) || has(request, 'Denied', 'Failed');

/** In how many ms the request goes. */
function leftOf(request: CertificateSigningRequest, now: number): number {
	const { metadata, status } = request;
	const times = (status?.conditions ?? []).map(({ lastUpdateTime }) => Date.parse(lastUpdateTime ?? ''));
	const since = Math.max(Date.parse(metadata.creationTimestamp ?? ''), ...times.filter((time) => !Number.isNaN(time)));
	return since + (isAnswered(request) ? ANSWERED_MS : PENDING_MS) - now;
}

/** The status of a request that is signed, or never will be; undefined where somebody else is to decide. */
async function answer(
	request: CertificateSigningRequest,
	signer: NodeSigner,
	now: number,
): Promise<Status | undefined> {
	const { spec, status } = request;
	if (spec.signerName !== NODE_SIGNER) return undefined;
	const condition = (type: string, reason: string, message: string): Status['conditions'] => {
		const time = timestamp(now);
		return [
			...(status?.conditions ?? []),
			{ type, status: 'True', reason, message, lastUpdateTime: time, lastTransitionTime: time },
		];
	};
	let node: string;
	try {
		node = await signer.nodeOf(spec);
	} catch (error) {
		return { conditions: condition('Failed', 'SignerValidationFailure', (error as Error).message) };
	}
	const approved = has(request, 'Approved');
	if (!approved && !mayHave(spec, node)) return undefined;
	return {
		conditions: approved
			? status?.conditions
			: condition('Approved', 'AutoApproved', `${spec.username} may have a certificate of the node ${node}`),
		certificate: Buffer.from(await signer.sign(spec, now)).toString('base64'),
	};
}

/** A node its own; an administrator that of any node. */
function mayHave({ username, groups = [] }: Spec, node: string): boolean {
	if (groups.includes('system:masters')) return true;
	return groups.includes('system:nodes') && username === `system:node:${node}`;
}
