/** Calls of storage drivers by way of the agent of a node, which alone reaches their sockets. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Node } from '../../kinds/core/node.ts';
import type { KeyPair } from '../certificates.ts';
import { limits } from '../limits.ts';
import { connectAgent } from './agent-connection.ts';

/** What a driver said. */
export type DriverAnswer =
	| { readonly ok: object }
	| {
			readonly error: {
				/** The name of gRPC's status code. */
				readonly code: string;
				/** In Kubernetes' words. */
				readonly message: string;
				/** Nobody knows whether it was done. */
				readonly unsettled: boolean;
			};
	  };

export type DriverCall = (
	node: Node,
	call: { readonly driver: string; readonly service: 'Identity' | 'Controller' | 'Node'; readonly method: string },
	request: object,
	signal: AbortSignal,
) => Promise<DriverAnswer>;

/** Never rejects for what a driver or an agent does: one that is not reached is an error that is not settled. */
export function driverCalls(client: () => KeyPair): DriverCall {
	return async (node, { driver, service, method }, request, signal) => {
		try {
			const until = AbortSignal.any([signal, AbortSignal.timeout(limits.driverCall)]);
			const path = `/csi/${encodeURIComponent(driver)}/${service}/${method}`;
			const answer = JSON.parse(await post(node, path, JSON.stringify(request), client(), until)) as DriverAnswer;
			return 'ok' in answer || 'error' in answer ? answer : failed('the agent of the node answers with something else');
		} catch (error) {
			signal.throwIfAborted();
			return failed((error as Error).message);
		}
	};
}

const failed = (message: string): DriverAnswer => ({ error: { code: 'UNAVAILABLE', message, unsettled: true } });

async function post(node: Node, path: string, body: string, client: KeyPair, signal: AbortSignal): Promise<string> {
	const socket = await connectAgent(node, client, signal);
	try {
		const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
		const headers = { host: 'agent', connection: 'close', 'content-length': String(Buffer.byteLength(body)) };
		const request = httpRequest({ createConnection: () => socket, method: 'POST', path, headers, signal });
		request.on('response', resolve);
		request.on('error', reject);
		request.on('close', () => reject(new Error('the agent of the node has ended the connection')));
		request.end(body);
		const answer = await promise;
		let text = '';
		for await (const chunk of answer.setEncoding('utf8')) {
			text += chunk;
			if (text.length > limits.driverAnswer) throw new Error('the agent of the node answers with too much');
		}
		if (answer.statusCode === 200) return text;
		const { message } = JSON.parse(text) as { message?: string };
		throw new Error(message ?? `the agent of the node answers with ${answer.statusCode}`);
	} finally {
		socket.destroy();
	}
}
