/** A request that another server is to answer: the one that leads takes pushes, whichever was asked. */
import { pipeline } from 'node:stream/promises';
import type { Request, Response } from '../../api/index.ts';
import { callPeer, type Peer, type Peers } from '../source/index.ts';

/** Who pushes, as the server says that was asked. Only heard from other servers. */
export const PUSHER_HEADER = 'driftless-pusher';
/** What git's protocol needs of a request. Source: gitprotocol-http. */
const passed = ['content-type', 'content-encoding', 'content-length', 'accept', 'git-protocol', 'user-agent'];

/** Passes the request on, and the answer back as it comes. False where the other server cannot be reached: then nothing of the request is read. */
export async function passOn(
	request: Request,
	response: Response,
	to: { readonly peer: Peer; readonly path: string; readonly pusher: string; readonly peers: Peers },
): Promise<boolean> {
	const gone = new AbortController();
	response.once('close', () => gone.abort());
	const headers = Object.fromEntries(passed.map((name) => [name, request.headers[name]]).filter(([, value]) => value));
	const call = {
		method: request.method ?? 'GET',
		headers: { ...headers, [PUSHER_HEADER]: to.pusher },
		signal: gone.signal,
	};
	const reached = await callPeer(to.peer, to.path, call, to.peers.certificates).catch(() => undefined);
	if (!reached) return false;
	const { sent, response: answered } = reached;
	request.pipe(sent);
	const answer = await answered;
	const { connection: _, 'keep-alive': __, 'transfer-encoding': ___, ...kept } = answer.headers;
	response.statusCode = answer.statusCode ?? 502;
	for (const [name, value] of Object.entries(kept)) if (value !== undefined) response.setHeader(name, value);
	response.flushHeaders();
	await pipeline(answer, response);
	return true;
}
