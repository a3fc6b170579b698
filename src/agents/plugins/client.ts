/** A client of a plugin: gRPC over a unix socket. Every call has a deadline, since a plugin may hang as well as die. */
import { Client, credentials, type MethodDefinition, status } from '@grpc/grpc-js';
import { type ServiceName, serviceNamed } from './protocol.ts';

/** The longest message that a plugin may send, in bytes: grpc's own default, said here since it is a limit of ours. */
const LONGEST_MESSAGE_BYTES = 4 << 20;
/** An error's text goes into events and conditions. */
const LONGEST_ERROR = 1024;

/** What a plugin answered that is no answer, or that it did not answer. */
export class PluginError extends Error {
	/** The name of gRPC's status code: `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `ALREADY_EXISTS`. */
	readonly code: string;
	constructor(code: string, message: string) {
		super(message.slice(0, LONGEST_ERROR));
		this.name = 'PluginError';
		this.code = code;
	}
}

export interface PluginClient extends Disposable {
	/** Calls a method that answers once. `deadline` is in milliseconds from now. Rejects with PluginError. */
	call<Response>(
		method: string,
		request: object,
		options: { readonly deadline: number; readonly signal?: AbortSignal },
	): Promise<Response>;
	/** Calls a method that answers again and again until it ends, or the signal aborts. Throws PluginError where the plugin breaks off. */
	stream<Response>(method: string, request: object, options: { readonly signal: AbortSignal }): AsyncIterable<Response>;
}

/** Connects when it is first called. `socket` is the absolute path of a unix socket. Dispose of it to end what still waits. */
export function pluginClient(socket: string, service: ServiceName): PluginClient {
	const definition = serviceNamed(service);
	const client = new Client(`unix://${socket}`, credentials.createInsecure(), {
		'grpc.max_receive_message_length': LONGEST_MESSAGE_BYTES,
		// A socket has no name that its server could be asked for by.
		'grpc.default_authority': 'localhost',
		// A plugin that comes back is found at once by the next call, which has its own pace.
		'grpc.initial_reconnect_backoff_ms': 100,
		'grpc.max_reconnect_backoff_ms': 1000,
		'grpc.use_local_subchannel_pool': 1,
	});
	const methodNamed = (name: string): MethodDefinition<object, object> => {
		const method = definition[name];
		if (!method) throw new Error(`${service} has no method ${name}`);
		return method;
	};
	return {
		call<Response>(
			name: string,
			request: object,
			{ deadline, signal }: { readonly deadline: number; readonly signal?: AbortSignal },
		) {
			const { path, requestSerialize, responseDeserialize } = methodNamed(name);
			return new Promise<Response>((resolve, reject) => {
				const call = client.makeUnaryRequest(
					path,
					requestSerialize,
					responseDeserialize,
					request,
					{ deadline: Date.now() + deadline },
					(error, answer) => {
						signal?.removeEventListener('abort', stop);
						if (error) reject(pluginError(error));
						else resolve(answer as Response);
					},
				);
				const stop = () => call.cancel();
				if (signal?.aborted) stop();
				else signal?.addEventListener('abort', stop, { once: true });
			});
		},
		async *stream<Response>(name: string, request: object, { signal }: { readonly signal: AbortSignal }) {
			if (signal.aborted) return;
			const { path, requestSerialize, responseDeserialize } = methodNamed(name);
			// Some messages wait in memory to be read: as the bytes that they came in, which are bounded, not as objects.
			const call = client.makeServerStreamRequest(path, requestSerialize, (bytes: Buffer) => bytes, request);
			const stop = () => call.cancel();
			signal.addEventListener('abort', stop, { once: true });
			try {
				for await (const bytes of call) yield responseDeserialize(bytes as Buffer) as Response;
			} catch (error) {
				if (!signal.aborted) throw pluginError(error);
			} finally {
				signal.removeEventListener('abort', stop);
				call.cancel();
			}
		},
		[Symbol.dispose]: () => client.close(),
	};
}

function pluginError(error: unknown): PluginError {
	const { code, details, message } = error as { code?: number; details?: string; message?: string };
	return new PluginError(status[code ?? status.UNKNOWN] ?? 'UNKNOWN', details || message || 'no reason given');
}
