import type * as certificates from 'kubernetes-types/certificates/v1.js';
import { humanDuration } from '../age.ts';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { atomic, conditions } from '../merges.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type CertificateSigningRequest = Persisted<certificates.CertificateSigningRequest>;

const SHORTEST_S = 600;
const USAGES = [
	...['any', 'cert sign', 'client auth', 'code signing', 'content commitment', 'crl sign', 'data encipherment'],
	...['decipher only', 'digital signature', 'email protection', 'encipher only', 'ipsec end system', 'ipsec tunnel'],
	...['ipsec user', 'key agreement', 'key encipherment', 'microsoft sgc', 'netscape sgc', 'ocsp signing', 's/mime'],
	...['server auth', 'signing', 'timestamping'],
];

/** Source: Kubernetes API reference, "CertificateSigningRequest"; what a request holds, its signer looks at. */
export const CertificateSigningRequest: Kind<CertificateSigningRequest> = kind<CertificateSigningRequest>({
	group: 'certificates.k8s.io',
	version: 'v1',
	kind: 'CertificateSigningRequest',
	plural: 'certificatesigningrequests',
	schema: 'io.k8s.api.certificates.v1.CertificateSigningRequest',
	merges: {
		'io.k8s.api.certificates.v1.CertificateSigningRequestSpec': { groups: atomic, usages: atomic },
		'io.k8s.api.certificates.v1.CertificateSigningRequestStatus': conditions,
	},
	shortNames: ['csr'],
	namespaced: false,
	subresources: { status: true },
	selectableFields: { 'spec.signerName': ({ spec }) => spec.signerName },
	columns: [
		age,
		column('SignerName', 'string', 'Who is to sign.', ({ spec }) => spec.signerName),
		column('Requestor', 'string', 'Who asks.', ({ spec }) => spec.username ?? ''),
		column('RequestedDuration', 'string', 'For how long.', ({ spec: { expirationSeconds } }) =>
			expirationSeconds === undefined ? '<none>' : humanDuration(expirationSeconds * 1000),
		),
		column('Condition', 'string', 'What has become of it.', condition),
	],
	prepare(request, old) {
		// Nobody asks for something else in the name of who asked first.
		if (old) request.spec = old.spec;
	},
	validate({ spec, status }) {
		const errors: FieldError[] = [];
		const { request = '', signerName = '', expirationSeconds, usages = [] }: Partial<typeof spec> = spec ?? {};
		const text = Buffer.from(request, 'base64').toString('utf8');
		if (!/^-----BEGIN (NEW )?CERTIFICATE REQUEST-----$/m.test(text))
			errors.push(fieldError.invalid('spec.request', request, 'PEM block type must be CERTIFICATE REQUEST'));
		if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*\/[A-Za-z0-9._-]+$/.test(signerName))
			errors.push(
				fieldError.invalid(
					'spec.signerName',
					signerName,
					'must be a fully qualified domain and path of the form domain/name',
				),
			);
		if (usages.length === 0) errors.push(fieldError.required('spec.usages', ''));
		for (const [index, usage] of usages.entries())
			if (!USAGES.includes(usage)) errors.push(fieldError.notSupported(`spec.usages[${index}]`, usage, USAGES));
		if (expirationSeconds !== undefined && expirationSeconds < SHORTEST_S)
			errors.push(
				fieldError.invalid(
					'spec.expirationSeconds',
					expirationSeconds,
					`may not specify a duration less than ${SHORTEST_S} seconds (10 minutes)`,
				),
			);
		const types = new Set(status?.conditions?.map(({ type }) => type));
		if (types.has('Approved') && types.has('Denied'))
			errors.push(
				fieldError.invalid('status.conditions', 'Denied', 'Approved and Denied conditions are mutually exclusive'),
			);
		return errors;
	},
});

/** As kubectl has it: what was decided, and whether there is a certificate. */
function condition({ status }: CertificateSigningRequest): string {
	const types = new Set(status?.conditions?.map(({ type }) => type));
	const shown = [
		types.has('Denied') ? 'Denied' : types.has('Approved') ? 'Approved' : undefined,
		types.has('Failed') ? 'Failed' : undefined,
		status?.certificate ? 'Issued' : undefined,
	].filter(Boolean);
	return shown.join(',') || 'Pending';
}
