/** Certificates of EC P-256 keys, made with WebCrypto. Files hold PEM. */
import { createPrivateKey, createPublicKey, randomBytes, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { X509Certificate as Parsed, PublicKeyType } from '@peculiar/x509';
import { privateKeyPem, x509 } from '../x509.ts';

const day = 24 * 60 * 60 * 1000;
/** Life of a certificate authority, and of what it signs (ms). */
const authorityLife = 10 * 365 * day;
const certificateLife = 365 * day;
/** A certificate is replaced when less than this part of its life is left. */
const renewalPart = 1 / 4;
/** Clocks of other machines may be behind this much (ms). */
const skew = 5 * 60 * 1000;

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A certificate with its private key, in PEM. */
export interface KeyPair {
	readonly cert: string;
	readonly key: string;
}

/** Whom a certificate names, and for what. */
export interface Identity {
	readonly commonName: string;
	readonly organizations?: readonly string[];
	readonly usage: 'client' | 'server';
	/** DNS names and IP addresses. Servers only. */
	readonly names?: readonly string[];
}

/** A new certificate authority. */
export async function makeAuthority(commonName: string, now: number): Promise<KeyPair> {
	const {
		BasicConstraintsExtension,
		KeyUsageFlags,
		KeyUsagesExtension,
		SubjectKeyIdentifierExtension,
		X509CertificateGenerator,
	} = await x509();
	const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
	const certificate = await X509CertificateGenerator.createSelfSigned({
		serialNumber: serialNumber(),
		name: [{ CN: [commonName] }],
		notBefore: new Date(now - skew),
		notAfter: new Date(now + authorityLife),
		signingAlgorithm: algorithm,
		keys,
		extensions: [
			new BasicConstraintsExtension(true, undefined, true),
			new KeyUsagesExtension(
				KeyUsageFlags.digitalSignature |
					KeyUsageFlags.keyEncipherment |
					KeyUsageFlags.keyCertSign |
					KeyUsageFlags.cRLSign,
				true,
			),
			await SubjectKeyIdentifierExtension.create(keys.publicKey),
		],
	});
	return { cert: pem(certificate), key: privateKeyPem(keys.privateKey) };
}

/** A certificate for an identity, signed by the authority, with a new key. */
export async function issue(authority: KeyPair, identity: Identity, now: number): Promise<KeyPair> {
	const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
	return { cert: await signFor(authority, identity, keys.publicKey, now), key: privateKeyPem(keys.privateKey) };
}

/** A certificate for an identity that has a key, for a year or less (ms), and no longer than the authority. @returns PEM. */
export async function signFor(
	authority: KeyPair,
	identity: Identity,
	publicKey: PublicKeyType,
	now: number,
	lifeMs = certificateLife,
): Promise<string> {
	const {
		BasicConstraintsExtension,
		ExtendedKeyUsage,
		ExtendedKeyUsageExtension,
		KeyUsageFlags,
		KeyUsagesExtension,
		SubjectAlternativeNameExtension,
		X509Certificate,
		X509CertificateGenerator,
	} = await x509();
	const issuer = new X509Certificate(authority.cert);
	const { names = [] } = identity;
	const end = now + Math.min(lifeMs, certificateLife);
	const certificate = await X509CertificateGenerator.create({
		serialNumber: serialNumber(),
		subject: [{ CN: [identity.commonName] }, ...(identity.organizations ?? []).map((name) => ({ O: [name] }))],
		issuer: issuer.subjectName.toJSON(),
		notBefore: new Date(now - skew),
		notAfter: new Date(Math.min(end, issuer.notAfter.getTime())),
		signingAlgorithm: algorithm,
		publicKey,
		signingKey: await importKey(authority.key),
		extensions: [
			new BasicConstraintsExtension(false, undefined, true),
			new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
			new ExtendedKeyUsageExtension([
				identity.usage === 'server' ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth,
			]),
			...(names.length > 0
				? [new SubjectAlternativeNameExtension(names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value })))]
				: []),
		],
	});
	return pem(certificate);
}

/** Whether a pair can stay in use: it is whole, signed by the authority, good for long enough, and names what it must. */
export function isCurrent(pair: KeyPair, authority: KeyPair, identity: Identity, now: number): boolean {
	try {
		const certificate = new X509Certificate(pair.cert);
		if (!certificate.checkPrivateKey(createPrivateKey(pair.key))) return false;
		if (!certificate.verify(createPublicKey(authority.cert))) return false;
		const end = Date.parse(certificate.validTo);
		if (end <= now || Date.parse(certificate.validFrom) > now) return false;
		// A new one would live no longer than the authority either.
		if (isNearEnd(certificate, now) && end < Date.parse(new X509Certificate(authority.cert).validTo)) return false;
		const { subject } = certificate;
		const lines = new Set(subject.split('\n'));
		if (!lines.has(`CN=${identity.commonName}`)) return false;
		const organizations = identity.organizations ?? [];
		if ([...lines].filter((line) => line.startsWith('O=')).length !== organizations.length) return false;
		if (!organizations.every((name) => lines.has(`O=${name}`))) return false;
		return (identity.names ?? []).every((name) =>
			isIP(name) ? certificate.checkIP(name) !== undefined : certificate.checkHost(name) !== undefined,
		);
	} catch {
		// What cannot be read is replaced.
		return false;
	}
}

/** Whether it is time to replace a certificate. */
export function isNearEnd(
	{ validFrom, validTo }: Pick<X509Certificate, 'validFrom' | 'validTo'>,
	now: number,
): boolean {
	const end = Date.parse(validTo);
	return end - now < (end - Date.parse(validFrom)) * renewalPart;
}

/** SHA-256 of the DER form of a certificate, in hex: how an agent's serving certificate is pinned. */
export const fingerprint = (cert: string): string =>
	new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase();

/** Positive and of 127 bits, as RFC 5280 wants it. */
function serialNumber(): string {
	const bytes = randomBytes(16);
	bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
	return bytes.toString('hex');
}

const pem = (certificate: Parsed) => `${certificate.toString('pem')}\n`;

function importKey(key: string): Promise<CryptoKey> {
	const der = createPrivateKey(key).export({ type: 'pkcs8', format: 'der' });
	return crypto.subtle.importKey('pkcs8', new Uint8Array(der), algorithm, false, ['sign']);
}
