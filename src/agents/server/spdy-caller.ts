/**
 * A caller on SPDY, as clients before Kubernetes 1.31 are, and newer ones where WebSockets do not get through. Each of the
 * process's streams is one of the connection, named by its header `streamType`. Source: Kubernetes' remote command protocol,
 * v4.channel.k8s.io, which these clients all speak.
 */
import type { Duplex } from 'node:stream';
import { badRequest } from '../../kinds/index.ts';
import { type Caller, parseSize } from './process.ts';
import { spdyConnection } from './spdy.ts';
import { V4 } from './websocket.ts';

export const SPDY = 'SPDY/3.1';

/** So long the caller has to open the streams that it has announced. Source: the kubelet's default. */
const STREAMS_MS = 30_000;

type Name = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';

export interface Announced {
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
	readonly tty: boolean;
}

/** Throws ApiError where the caller offers no version of the protocol that is spoken here. */
export function negotiate(offered: string | readonly string[] | undefined): void {
	const versions = [offered ?? []].flat().flatMap((text) => text.split(',').map((version) => version.trim()));
	if (!versions.includes(V4)) {
		throw badRequest(`unable to negotiate protocol: client supports [${versions.join(' ')}], server accepts [${V4}]`);
	}
}

/**
 * Takes the connection over. Resolves once the caller has opened the streams that the request announced; rejects where it
 * does not, with the connection ended.
 */
export async function acceptSpdy(socket: Duplex, head: Uint8Array, announced: Announced): Promise<Caller> {
	const answer = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', `Upgrade: ${SPDY}`];
	socket.write(`${[...answer, `X-Stream-Protocol-Version: ${V4}`].join('\r\n')}\r\n\r\n`);
	const wanted = new Set<Name>(['error']);
	for (const name of ['stdin', 'stdout'] as const) if (announced[name]) wanted.add(name);
	// A terminal has one output, and a size.
	if (announced.stderr && !announced.tty) wanted.add('stderr');
	if (announced.tty) wanted.add('resize');

	const ids = new Map<Name, number>();
	const complete = Promise.withResolvers<void>();
	let listener: Parameters<Caller['listen']>[0] | undefined;
	const heard = Promise.withResolvers<void>();
	let sizes = '';
	let inputEnded = false;
	const connection = spdyConnection(socket, head, {
		opened(id, headers) {
			const name = headers.get('streamtype') ?? headers.get('streamType');
			if (name && wanted.has(name as Name)) ids.set(name as Name, id);
			if (ids.size === wanted.size) complete.resolve();
		},
		data(id, payload) {
			// What is sent before the process is there has to wait.
			if (!listener) return heard.promise.then(() => deliver(id, payload));
			return deliver(id, payload);
		},
		ended(id) {
			if (id !== ids.get('stdin')) return;
			inputEnded = true;
			listener?.inputEnded();
		},
	});
	const deliver = (id: number, payload: Uint8Array): Promise<void> | undefined => {
		if (id === ids.get('stdin')) return listener?.input(payload);
		if (id !== ids.get('resize')) return undefined;
		// One size a line, however they are cut.
		const lines = (sizes + Buffer.from(payload).toString()).split('\n');
		sizes = lines.pop() ?? '';
		for (const size of lines.map(parseSize)) if (size) listener?.resized(size.columns, size.rows);
		return undefined;
	};
	let connected = true;
	void connection.ended.then(() => {
		connected = false;
		complete.reject(new Error('the caller has gone before it had opened its streams'));
		heard.resolve();
		listener?.gone();
	});
	const late = setTimeout(() => socket.destroy(), STREAMS_MS);
	try {
		await complete.promise;
	} finally {
		clearTimeout(late);
	}
	return {
		listen(to) {
			listener = to;
			heard.resolve();
			if (inputEnded) to.inputEnded();
			if (!connected) to.gone();
		},
		async send(channel, payload) {
			const id = ids.get(channel);
			if (id !== undefined && connected) await connection.write(id, payload);
		},
		async close() {
			for (const name of ['stdout', 'stderr', 'error'] as const) {
				const id = ids.get(name);
				if (id !== undefined && connected) await connection.write(id, new Uint8Array(), true);
			}
			await connection.close();
		},
		get connected() {
			return connected;
		},
	};
}
