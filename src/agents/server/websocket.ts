/**
 * A caller on a WebSocket: Kubernetes' remote command channels. Each message's first byte is its channel.
 * Source: KEP-4006 and the protocol constants of apimachinery's remotecommand package.
 */
import type { RawData, WebSocket } from 'ws';
import { type Caller, parseSize } from './process.ts';

export const V5 = 'v5.channel.k8s.io';
export const V4 = 'v4.channel.k8s.io';

const STDIN = 0;
const RESIZE = 4;
/** v5 only: the next byte is the channel that the peer has closed. */
const CLOSE = 255;
const channels = { stdout: 1, stderr: 2, error: 3 } as const;

/** More than so many bytes on their way to a slow reader stop the output until it has caught up. */
const HIGH_WATER_BYTES = 1 << 20;
const NORMAL_CLOSURE = 1000;

/** The socket must be paused: it goes on when the caller is listened to. */
export function webSocketCaller(socket: WebSocket): Caller {
	return {
		listen({ input, inputEnded, resized, gone }) {
			socket.on('message', (message) => {
				const data = bytes(message);
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
			const message = Buffer.concat([Buffer.of(channels[channel]), payload]);
			return new Promise((resolve) => {
				const slow = socket.bufferedAmount > HIGH_WATER_BYTES;
				// A socket that has closed takes nothing; its close event ends the process's stream.
				socket.send(message, { binary: true }, () => slow && resolve());
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

function bytes(data: RawData): Buffer {
	if (Array.isArray(data)) return Buffer.concat(data);
	return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
