/** The serving certificate of the agent: signed by itself, kept in the data directory, known to the API server by its fingerprint. */
import { createHash, createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { privateKeyPem, x509 } from '../../x509.ts';

const DAY_MS = 24 * 3600_000;
/** How long a certificate lives, and how long before its end it is replaced. */
const LIFE_MS = 365 * DAY_MS;
const RENEW_BEFORE_MS = LIFE_MS / 4;
/** Clocks of other machines may be behind this much. */
const SKEW_MS = 3600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface ServingCertificate {
	/** PEM. */
	readonly cert: string;
	readonly key: string;
	/** SHA-256 of the DER form, in hexadecimal. */
	readonly fingerprint: string;
}

/** The stored certificate, or a new one, which is stored, where there is none that serves or it is close to its end. */
export async function servingCertificate(
	dataDir: string,
	nodeName: string,
	address: string,
	now: number,
): Promise<ServingCertificate> {
	const folder = join(dataDir, 'agent');
	const file = join(folder, 'serving.pem');
	const stored = await readFile(file, 'utf8').catch(() => undefined);
	const current = stored === undefined ? undefined : parse(stored, nodeName, address, now);
	if (current) return current;
	const { cert, key } = await generate(nodeName, address, now);
	await mkdir(folder, { recursive: true, mode: 0o700 });
	await writeFile(`${file}.new`, `${key}\n${cert}\n`, { mode: 0o600 });
	await rename(`${file}.new`, file);
	return { cert, key, fingerprint: fingerprintOf(cert) };
}

function parse(stored: string, nodeName: string, address: string, now: number): ServingCertificate | undefined {
	try {
		const [key = '', cert = ''] = stored.split(/(?=-----BEGIN CERTIFICATE)/);
		const certificate = new X509Certificate(cert);
		if (!certificate.checkPrivateKey(createPrivateKey(key))) return undefined;
		const end = Date.parse(certificate.validTo);
		if (end - now < RENEW_BEFORE_MS || end - Date.parse(certificate.validFrom) > LIFE_MS + SKEW_MS) return undefined;
		if (!certificate.checkHost(nodeName) || !certificate.checkIP(address)) return undefined;
		return { cert, key, fingerprint: fingerprintOf(cert) };
	} catch {
		// What cannot be read is replaced; the API server learns the new fingerprint from the Node.
		return undefined;
	}
}

const fingerprintOf = (cert: string) => createHash('sha256').update(new X509Certificate(cert).raw).digest('hex');

async function generate(nodeName: string, address: string, now: number): Promise<{ cert: string; key: string }> {
	const { ExtendedKeyUsage, ExtendedKeyUsageExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } =
		await x509();
	const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
	const names = [
		{ type: 'dns', value: nodeName } as const,
		{ type: 'ip', value: isIP(address) ? address : '127.0.0.1' } as const,
	];
	const certificate = await X509CertificateGenerator.createSelfSigned({
		name: `CN=system:node:${nodeName}, O=system:nodes`,
		keys: { publicKey: keys.publicKey, privateKey: keys.privateKey },
		signingAlgorithm: ALGORITHM,
		notBefore: new Date(now - SKEW_MS),
		notAfter: new Date(now + LIFE_MS),
		extensions: [
			new SubjectAlternativeNameExtension(names),
			new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
		],
	});
	return { cert: certificate.toString('pem'), key: privateKeyPem(keys.privateKey) };
}
