/**
 * Whether a request comes from where it seems to. A page of somebody else in a browser of this machine may send requests to
 * loopback, and by a name of its own that it has made to mean 127.0.0.1 it may read the answers as well.
 * Sources: OWASP, "Cross-Site Request Forgery Prevention" (verifying the origin with standard headers) and "DNS rebinding".
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

export interface Refusal {
	readonly status: 403 | 421;
	readonly why: string;
}

/** What is wrong with a request to a server that listens on `host`; undefined where nothing is. */
export function misdirected({ headers, method }: IncomingMessage, host: string): Refusal | undefined {
	const name = hostOf(`http://${headers.host ?? ''}`);
	// A name can be made to mean this machine by whoever owns it, an address cannot.
	if (!name || !(isAddress(name) || name === 'localhost' || name.endsWith('.localhost') || name === host))
		return {
			status: 421,
			why: `this server is not ${headers.host ?? '(no Host)'}: reach it by its address, or as localhost`,
		};
	if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return undefined;
	const { origin } = headers;
	const foreign = origin !== undefined ? !sameHost(origin, headers.host) : headers['sec-fetch-site'] === 'cross-site';
	return foreign ? { status: 403, why: `a page of ${origin ?? 'another site'} may change nothing here` } : undefined;
}

const hostOf = (url: string) => URL.parse(url)?.hostname;

const isAddress = (name: string) => isIP(name.replace(/^\[|\]$/g, '')) !== 0;

function sameHost(origin: string, host: string | undefined): boolean {
	return URL.parse(origin)?.host === URL.parse(`http://${host}`)?.host;
}
