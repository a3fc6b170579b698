/** Requests to Docker's API: each with a deadline, each failing with an EngineError. */
import { Agent } from 'node:http';
import { inspect } from 'node:util';
import Docker from 'dockerode';
import { EngineError } from '../error.ts';
import { asEngineError } from './errors.ts';

/** For an answer about what is. */
const ANSWER_MS = 30_000;
/** For a change; also that the stream of a log, a command or events begins. As the kubelet's `runtimeRequestTimeout`. */
const CHANGE_MS = 120_000;
/** Between two signs of progress of a pull. As the kubelet's `--image-pull-progress-deadline` was. */
const PROGRESS_MS = 60_000;

export interface Deadlines {
	readonly answerMs: number;
	readonly changeMs: number;
	readonly progressMs: number;
}

export const DEADLINES: Deadlines = { answerMs: ANSWER_MS, changeMs: CHANGE_MS, progressMs: PROGRESS_MS };

/** How long a request may take; `never`: it ends with its own signal only. */
export type Patience = keyof Deadlines | 'never';

export interface Requests extends Disposable {
	readonly docker: Docker;
	/**
	 * Runs a request, which is to end with the signal it is given. Past its deadline it is given up as `late`. `alive` lets
	 * the deadline begin anew.
	 */
	call<T>(doing: string, patience: Patience, run: Run<T>, signal?: AbortSignal): Promise<T>;
	/** The same, where a 404 is an answer. */
	find<T>(doing: string, patience: Patience, run: Run<T>, signal?: AbortSignal): Promise<T | undefined>;
	/** A raw request; dockerode buffers some answers that are streams, and cannot give up on some that are not. */
	dial<T>(
		path: string,
		signal: AbortSignal,
		options?: { readonly stream?: boolean; readonly query?: object },
	): Promise<T>;
}

type Run<T> = (signal: AbortSignal, alive: () => void) => Promise<T>;

/**
 * Kept connections. docker-modem renders every request's options for its debug output, whether that is on or not, with all
 * that hangs on them: through the sockets of an agent that is the whole process, some 20 ms a request.
 */
class Connections extends Agent {
	[inspect.custom](): string {
		return 'Connections';
	}
}

/** Does not connect yet: the first request does. */
export function requests(address: string, deadlines: Deadlines): Requests {
	const agent = new Connections({ keepAlive: true });
	// dockerode hands the agent on to its requests, though its types do not know it.
	const docker = new Docker({ ...endpoint(address), agent } as Docker.DockerOptions);

	async function call<T>(doing: string, patience: Patience, run: Run<T>, given?: AbortSignal): Promise<T> {
		const late = new AbortController();
		const limit = patience === 'never' ? undefined : deadlines[patience];
		const timer = limit === undefined ? undefined : setTimeout(() => late.abort(), limit);
		try {
			const signal = given ? AbortSignal.any([given, late.signal]) : late.signal;
			return await run(signal, () => void timer?.refresh());
		} catch (error) {
			if (limit === undefined || !late.signal.aborted || given?.aborted) throw asEngineError(doing, address, error);
			const why =
				patience === 'progressMs' ? 'there was no progress for' : `the engine at ${address} has not answered within`;
			throw new EngineError('late', doing, `${why} ${limit / 1000} s`);
		} finally {
			clearTimeout(timer);
		}
	}
	return {
		docker,
		call,
		async find(doing, patience, run, signal) {
			try {
				return await call(doing, patience, run, signal);
			} catch (error) {
				if (error instanceof EngineError && (error.fault === 'not-found' || error.fault === 'unprepared'))
					return undefined;
				throw error;
			}
		},
		dial: <T>(path: string, signal: AbortSignal, { stream = false, query = {} } = {}) =>
			new Promise<T>((resolve, reject) => {
				docker.modem.dial(
					{
						path: `${path}?`,
						method: 'GET',
						options: query,
						isStream: stream,
						abortSignal: signal,
						statusCodes: { 200: true },
					},
					(error: unknown, data: unknown) => (error ? reject(error) : resolve(data as T)),
				);
			}),
		[Symbol.dispose]: () => agent.destroy(),
	};
}

/** How dockerode is told an address. */
function endpoint(address: string): Docker.DockerOptions {
	if (address.startsWith('unix://')) return { socketPath: address.slice('unix://'.length) };
	const { protocol, hostname, port } = new URL(address);
	// TLS material and its switch come from DOCKER_CERT_PATH and DOCKER_TLS_VERIFY, which the modem reads itself.
	const secure = protocol === 'https:' || process.env.DOCKER_TLS_VERIFY === '1';
	return { host: hostname, port: port || (secure ? 2376 : 2375), protocol: secure ? 'https' : 'http' };
}
