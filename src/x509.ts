import { KeyObject } from 'node:crypto';

/**
 * The library that makes certificates. It is loaded when one is made: a tenth of what a start of the program would load, and
 * most starts make none.
 */
export async function x509(): Promise<typeof import('@peculiar/x509')> {
	// Its dependency injection needs this before its own code runs.
	await import('reflect-metadata');
	const library = await import('@peculiar/x509');
	library.cryptoProvider.set(crypto);
	return library;
}

/** A private key in PEM, as PKCS#8. */
export const privateKeyPem = (key: CryptoKey): string =>
	KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }).toString();
