/**
 * A caller on a WebSocket: Kubernetes' remote command channels. Each message's first byte is its channel.
 * Source: KEP-4006 and the protocol constants of apimachinery's remotecommand package.
 */
import type { RawData, WebSocket } from 'ws';
import { type Caller, parseSize } from './process.ts';

export const V4 = 'v4.channel.k8s.io';

interface Protocol {
	/** Messages are text: the digit of their channel, and base64. */
	readonly base64?: true;
	/** The error channel carries a Status however the process has ended; before version 4 it carries the plain text of an error, and nothing of a success. */
	readonly status?: true;
}

const protocols = new Map<string, Protocol>([
	['v5.channel.k8s.io', { status: true }],
	[V4, { status: true }],
	['v4.base64.channel.k8s.io', { status: true, base64: true }],
	['channel.k8s.io', {}],
	['base64.channel.k8s.io', { base64: true }],
]);

/** For messages. */
export const protocolNames = [...protocols.keys()].join(', ');

/** The first of the offered protocols that is spoken here; false where there is none. */
export function chooseProtocol(offered: Iterable<string>): string | false {
	for (const name of offered) if (protocols.has(name)) return name;
	return false;
}

const STDIN = 0;
const RESIZE = 4;
/** v5 only: the next byte is the channel that the peer has closed. */
const CLOSE = 255;
const channels = { stdout: 1, stderr: 2, error: 3 } as const;

/** More than so many bytes on their way to a slow reader stop the output until it has caught up. */
const HIGH_WATER_BYTES = 1 << 20;
const NORMAL_CLOSURE = 1000;

/** The socket must be paused: it goes on when the caller is listened to. Without a protocol it speaks the oldest one. */
export function webSocketCaller(socket: WebSocket): Caller {
	const { base64, status } = protocols.get(socket.protocol) ?? {};
	return {
		listen({ input, inputEnded, resized, gone }) {
			socket.on('message', (message) => {
				const data = base64 ? decoded(bytes(message).toString('latin1')) : bytes(message);
				const payload = data.subarray(1);
				if (data[0] === STDIN) {
					const patience = input(payload);
					if (!patience) return;
					socket.pause();
					void patience.then(() => socket.resume());
				} else if (data[0] === CLOSE && data[1] === STDIN) {
					inputEnded();
				} else if (data[0] === RESIZE) {
					const size = parseSize(payload.toString());
					if (size) resized(size.columns, size.rows);
				}
			});
			socket.once('close', gone);
			socket.on('error', gone);
			socket.resume();
		},
		send(channel, payload) {
			const content = channel === 'error' && !status ? plainError(payload) : payload;
			if (!content) return Promise.resolve();
			const message = base64
				? `${channels[channel]}${Buffer.from(content).toString('base64')}`
				: Buffer.concat([Buffer.of(channels[channel]), content]);
			return new Promise((resolve) => {
				const slow = socket.bufferedAmount > HIGH_WATER_BYTES;
				// A socket that has closed takes nothing; its close event ends the process's stream.
				socket.send(message, { binary: !base64 }, () => slow && resolve());
				if (!slow) resolve();
			});
		},
		async close() {
			socket.close(NORMAL_CLOSURE);
		},
		get connected() {
			return socket.readyState === socket.OPEN;
		},
	};
}

const decoded = (text: string) => Buffer.concat([Buffer.of(Number(text[0])), Buffer.from(text.slice(1), 'base64')]);

/** What a Status says of an error; undefined of a success. */
function plainError(payload: Uint8Array): Uint8Array | undefined {
	const { status, message = '' } = JSON.parse(Buffer.from(payload).toString()) as { status?: string; message?: string };
	return status === 'Success' ? undefined : Buffer.from(message);
}

function bytes(data: RawData): Buffer {
	if (Array.isArray(data)) return Buffer.concat(data);
	return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
