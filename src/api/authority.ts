/**
 * The certificate authority of a cluster. A server that is alone has it in its data directory. Servers that share a store have
 * it there as well, where whoever comes first has put it, so that one that joins needs nothing but the store. It lies outside
 * of what the API serves: no right of the API reads it. See docs/decisions/0021-authority.md.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { Conflict, type Store } from '../store/store.ts';
import { fingerprint, type KeyPair, makeAuthority } from './certificates.ts';
import { readPair, writePair } from './key-files.ts';

/** In the store, the authority as JSON: its certificate and its key, in PEM. */
const KEY = '/authority/ca';

/**
 * The authority of the directory and, where there is one, of the store that servers share; made where neither has one. Throws
 * where one cannot be used, or where both have one and they differ: what one has signed the other does not trust, and which of
 * them is to go is for a person to decide.
 */
export async function openAuthority(directory: string, store: Store | undefined, now: number): Promise<KeyPair> {
	const kept = store && (await readShared(store));
	const own = await readPair(directory, 'ca');
	const damage = own ? whatIsWrong(own, now) : await whatIsMissing(directory);
	if (damage)
		throw new Error(
			`the certificate authority in ${directory} cannot be used: ${damage}. Restore ca.crt and ca.key from a backup; or move both away, and ${kept ? 'that of the store is taken' : 'a new one is made, which every copy of the kubeconfig and every other node must then be given'}`,
		);
	const authority = kept ?? own ?? (await makeAuthority('driftless-ca', now));
	const wrong = whatIsWrong(authority, now);
	if (wrong)
		throw new Error(
			`the certificate authority in the store cannot be used: ${wrong}. Restore the store from a backup; or stop all servers, remove the key ${KEY} of the store and pki/ca.* of each data directory, and a new one is made, which every copy of the kubeconfig and every other node must then be given`,
		);
	if (store && !kept && !(await share(store, authority))) return openAuthority(directory, store, now);
	if (!own) await writePair(directory, 'ca', authority);
	else if (fingerprint(own.cert) !== fingerprint(authority.cert))
		throw new Error(
			`the certificate authority in ${directory} is not that of the other servers on this store. To join them, move ${directory} away: theirs is taken then, and copies of the old kubeconfig work no more. To keep it, use another store`,
		);
	return authority;
}

async function readShared(store: Store): Promise<KeyPair | undefined> {
	const entry = await store.get(KEY);
	const parse = () => JSON.parse(Buffer.from(entry?.value ?? []).toString('utf8')) as KeyPair;
	// What cannot be read is no certificate, and told as that.
	return entry && (attempt(parse) ?? { cert: '', key: '' });
}

/** @returns whether it is the store's from now on: another server may have been first. */
async function share(store: Store, { cert, key }: KeyPair): Promise<boolean> {
	const value = Buffer.from(JSON.stringify({ cert, key }));
	try {
		await store.commit({ puts: [{ key: KEY, value }], expect: [{ key: KEY, modified: 'absent' }] });
		return true;
	} catch (error) {
		if (error instanceof Conflict) return false;
		throw error;
	}
}

/** Why nothing can be signed with the authority, or nobody would take what is; undefined where all is well. */
function whatIsWrong({ cert, key }: KeyPair, now: number): string | undefined {
	const certificate = attempt(() => new X509Certificate(cert));
	if (!certificate) return 'ca.crt is no certificate in PEM';
	const privateKey = attempt(() => createPrivateKey(key));
	if (!privateKey) return 'ca.key is no private key in PEM';
	if (!certificate.checkPrivateKey(privateKey)) return 'ca.key is not the key of ca.crt';
	const clock = `the clock of this machine says ${new Date(now).toISOString()}`;
	if (Date.parse(certificate.validTo) <= now) return `ca.crt is good until ${iso(certificate.validTo)}, and ${clock}`;
	if (Date.parse(certificate.validFrom) > now)
		return `ca.crt is good from ${iso(certificate.validFrom)} on, and ${clock}, which may have to be set right`;
	return undefined;
}

function attempt<Value>(read: () => Value): Value | undefined {
	try {
		return read();
	} catch {
		return undefined;
	}
}

const iso = (time: string) => new Date(time).toISOString();

async function whatIsMissing(directory: string): Promise<string | undefined> {
	const files = await readdir(directory);
	const half = ['ca.crt', 'ca.key'].find((name) => files.includes(name));
	return half && `of ca.crt and ca.key only ${half} is there`;
}
