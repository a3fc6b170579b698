/** Asks a gRPC server for its health, over HTTP/2 without TLS. Source: the gRPC health checking protocol, grpc.health.v1. */
import { type ClientHttp2Session, connect, constants } from 'node:http2';

const PATH = '/grpc.health.v1.Health/Check';
/** A message's head: whether it is compressed, and its length. */
const HEAD_BYTES = 5;
/** An answer holds one number. */
const LONGEST_ANSWER = 4 * 1024;
const OK = '0';
const UNIMPLEMENTED = '12';
const SERVING = 1;
const states = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;

/** Undefined where the service is healthy, else why it is not. Rejects when the signal aborts, or nothing answers. */
export async function grpcHealth(
	address: string,
	port: number,
	service: string,
	signal: AbortSignal,
): Promise<string | undefined> {
	signal.throwIfAborted();
	const session = connect(`http://${address}:${port}`);
	const stop = () => session.destroy(new Error('given up'));
	signal.addEventListener('abort', stop, { once: true });
	try {
		const { status, message, body } = await call(session, request(service));
		if (status === UNIMPLEMENTED) {
			return `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${message}`;
		}
		if (status !== OK) return `error: health rpc probe failed: rpc error: code = ${status} desc = ${message}`;
		const state = stateOf(body);
		return state === SERVING ? undefined : `service unhealthy (responded with "${states[state] ?? state}")`;
	} finally {
		signal.removeEventListener('abort', stop);
		session.destroy();
	}
}

interface Answer {
	readonly status: string;
	readonly message: string;
	readonly body: Buffer;
}

function call(session: ClientHttp2Session, body: Uint8Array): Promise<Answer> {
	return new Promise((resolve, reject) => {
		session.on('error', reject);
		const stream = session.request({
			[constants.HTTP2_HEADER_METHOD]: 'POST',
			[constants.HTTP2_HEADER_PATH]: PATH,
			[constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
			[constants.HTTP2_HEADER_TE]: 'trailers',
			[constants.HTTP2_HEADER_USER_AGENT]: 'kube-probe/1.32',
		});
		const parts: Buffer[] = [];
		let length = 0;
		let status: string | undefined;
		let message = '';
		// An answer without a message has its status where others have their headers.
		const look = (headers: NodeJS.Dict<string | string[]>) => {
			status = headers['grpc-status']?.toString() ?? status;
			message = headers['grpc-message']?.toString() ?? message;
		};
		stream.on('response', look);
		stream.on('trailers', look);
		stream.on('data', (part: Buffer) => {
			length += part.length;
			if (length > LONGEST_ANSWER) stream.destroy(new Error('the answer is too long'));
			else parts.push(part);
		});
		// A request that never got away is cancelled by what happened to its connection.
		stream.on('error', (error) => reject(error.cause ?? error));
		stream.on('end', () => resolve({ status: status ?? 'unknown', message, body: Buffer.concat(parts) }));
		stream.end(body);
	});
}

/** The message HealthCheckRequest: the service's name is its field 1. */
function request(service: string): Buffer {
	const name = Buffer.from(service);
	const message = name.length > 0 ? Buffer.concat([Buffer.of(0x0a), varint(name.length), name]) : name;
	const head = Buffer.alloc(HEAD_BYTES);
	head.writeUInt32BE(message.length, 1);
	return Buffer.concat([head, message]);
}

/** Of the message HealthCheckResponse: its field 1, which is left out where it is 0. */
const stateOf = (body: Buffer): number => (body[HEAD_BYTES] === 0x08 ? (body[HEAD_BYTES + 1] ?? 0) : 0);

function varint(value: number): Buffer {
	const bytes: number[] = [];
	for (let left = value; ; left >>>= 7) {
		if (left < 0x80) return Buffer.from([...bytes, left]);
		bytes.push((left & 0x7f) | 0x80);
	}
}
