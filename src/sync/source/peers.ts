/** The other servers of a cluster: each has an embedded repository of its own, and has the others' objects before a push is acknowledged. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Repository } from '../git/index.ts';

/** Milliseconds that another server has to take the objects of a push. */
const SPREAD_TIME = 20_000;
/** Milliseconds until another server has begun to answer. */
const CONNECT_TIME = 5_000;

export interface Peer {
	/** Of its API: `https://10.0.0.1:6443`. */
	readonly origin: string;
}

export interface Peers {
	/** The server that leads; undefined where that is this one, or none is known to. */
	leader(): Promise<Peer | undefined>;
	/** All that are there but this one. */
	others(): Promise<readonly Peer[]>;
	/** Files, in PEM, by which servers know each other. */
	readonly certificates: Certificates;
}

export interface Certificates {
	readonly ca: string;
	readonly cert: string;
	readonly key: string;
}

/** Where there is one server. */
export const alone: Peers = {
	leader: async () => undefined,
	others: async () => [],
	certificates: { ca: '', cert: '', key: '' },
};

export interface Exchange {
	/** Fetches an object and what it refers to from whoever has it; false where nobody does. */
	obtain(id: string): Promise<boolean>;
	/** Has all others obtain an object; gives those that did not. */
	spread(id: string): Promise<readonly Peer[]>;
}

export function createExchange(name: string, repository: Repository, peers: Peers): Exchange {
	return {
		async obtain(id) {
			for (const { origin } of (await repository.has(id)) ? [] : await peers.others()) {
				await repository.fetch(`${origin}/git/${name}.git`, id, peers.certificates);
				if (await repository.has(id)) break;
			}
			return repository.has(id);
		},
		async spread(id) {
			const others = await peers.others();
			const took = await Promise.all(others.map((peer) => offer(peer, `/git/${name}.git/objects?id=${id}`, peers)));
			return others.filter((_, index) => !took[index]);
		},
	};
}

async function offer(peer: Peer, path: string, { certificates }: Peers): Promise<boolean> {
	const signal = AbortSignal.timeout(SPREAD_TIME);
	try {
		const { sent, response } = await callPeer(peer, path, { method: 'POST', signal }, certificates);
		sent.end();
		const { statusCode } = (await response).resume();
		return statusCode === 200;
	} catch {
		return false;
	}
}

export interface PeerCall {
	readonly method: string;
	readonly headers?: NodeJS.Dict<string | string[]>;
	readonly signal: AbortSignal;
}

/** One request to another server, each side with its certificate, once it is connected. The body is the caller's to write, or to end. */
export async function callPeer({ origin }: Peer, path: string, call: PeerCall, certificates: Certificates) {
	const [ca, cert, key] = await Promise.all(
		[certificates.ca, certificates.cert, certificates.key].map((file) => readFile(file)),
	);
	const sent = httpsRequest(`${origin}${path}`, { ...call, ca, cert, key, agent: false });
	const silent = setTimeout(() => sent.destroy(new Error(`${origin} does not answer`)), CONNECT_TIME);
	sent.once('close', () => clearTimeout(silent));
	const connected = new Promise<void>((resolve, reject) => {
		sent.once('error', reject);
		sent.once('socket', (socket) =>
			socket.once('secureConnect', () => {
				clearTimeout(silent);
				resolve();
			}),
		);
	});
	const response = new Promise<IncomingMessage>((resolve, reject) => {
		sent.once('response', (answer: IncomingMessage) => resolve(answer));
		sent.once('error', reject);
	});
	response.catch(() => {});
	await connected;
	return { sent, response };
}
