import { isIP } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { checkServerIdentity } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import {
	type Client,
	type ClientDuplexStream,
	credentials,
	logVerbosity,
	Metadata,
	type ServiceError,
	setLogVerbosity,
} from '@grpc/grpc-js';
import type { IWatchRequest, IWatchResponse } from 'etcd3';
import { Host } from 'etcd3/lib/connection-pool.js';
import type { Log } from '../log.ts';
import type { Credentials } from './etcd-access.ts';
import { Unavailable } from './store.ts';

// It writes to standard error by itself, in a form of its own; what concerns us comes as errors of calls.
setLogVerbosity(logVerbosity.NONE);

/** A call answers, or throws Unavailable, within this time, in ms. */
export const CALL_TIMEOUT_MS = 5000;

/** One member gets this long, in ms, before the next is asked: a member that hangs costs no more. */
const ATTEMPT_TIMEOUT_MS = 2000;

/** Pause after all members have failed, in ms. */
const ROUND_PAUSE_MS = 100;

/** How a channel reconnects, and how soon it notices that a peer is gone without a word (etcd allows pings each 5 s). */
const CHANNEL_OPTIONS = {
	'grpc.initial_reconnect_backoff_ms': 100,
	'grpc.min_reconnect_backoff_ms': 100,
	'grpc.max_reconnect_backoff_ms': 1000,
	'grpc.keepalive_time_ms': 6000,
	'grpc.keepalive_timeout_ms': 3000,
	'grpc.keepalive_permit_without_calls': 1,
	'grpc.use_local_subchannel_pool': 1,
};

/** The name that is asked for of a member that is known by its address. */
const NO_NAME = 'etcd';

/** The gRPC status codes that etcd answers with: https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
export const GRPC = {
	invalidArgument: 3,
	permissionDenied: 7,
	resourceExhausted: 8,
	failedPrecondition: 9,
	outOfRange: 11,
	unimplemented: 12,
} as const;

/** Codes that say the request is at fault, not the member: another member would answer alike. */
const REFUSALS: ReadonlySet<number> = new Set([
	GRPC.invalidArgument,
	GRPC.permissionDenied,
	GRPC.failedPrecondition,
	GRPC.outOfRange,
	GRPC.unimplemented,
]);

/** The details of failures after which the member has certainly done nothing: the same request may be sent again. */
const NEVER_DONE =
	/No connection established|Channel closed before call|Name resolution failed|Waiting for LB pick|too many requests|invalid auth token|not supported for learner/;

/** Failures that a new token may cure: tokens expire, and a restarted etcd has forgotten them. */
const TOKEN_REFUSED = /invalid auth token|permission denied/;

/**
 * What gRPC says of a failure, less what it puts around it. What differs from one attempt to the next is left out, so that a
 * fault that goes on has one text, by which those who are told know it again.
 */
const reason = (details = 'no connection') =>
	details
		.replace(/^Deadline exceeded.*$/s, 'no answer in time')
		.replace(/^No connection established\. Last error: (?:null|Error: )?/, '')
		.replace(/\.? Resolution note:\s*$/, '') || 'no connection';

/** What etcd says when its quota is used up (ErrGRPCNoSpace). It has nothing to do with the member that was asked. */
export const NO_ROOM = /database space exceeded/;

export const TOO_LARGE_TO_RECEIVE = /Received message larger than max/;

export interface Connection {
	/** `HOST:PORT` of each member; with a leading `https://` where it speaks TLS. */
	readonly endpoints: readonly string[];
	/** What is shown to the members; asked for again when one has failed. Default nothing. */
	readonly credentials?: () => Credentials;
	readonly log?: Log;
}

export type WatchStream = ClientDuplexStream<IWatchRequest, IWatchResponse>;

/**
 * The members of an etcd cluster, asked one after the other. It stands on etcd3's clients of etcd's services, but makes
 * the calls itself: etcd3 repeats a transaction after failures that leave its outcome open, which turns a commit that was
 * made into a conflict with itself.
 */
export class Members {
	readonly #members: readonly Member[];
	readonly #closing = new AbortController();
	/** Which member to ask first: the last one that answered. At first any, so that many clients spread. */
	#preferred: number;

	constructor(connection: Connection) {
		this.#members = connection.endpoints.map((endpoint) => new Member(endpoint, connection));
		this.#preferred = Math.floor(Math.random() * this.#members.length);
	}

	/** Aborts when the store closes. */
	get closing(): AbortSignal {
		return this.#closing.signal;
	}

	/**
	 * Calls a method of etcd's KV service. `repeatable` calls go on to the next member after any failure of a member, others
	 * only where the failed one cannot have seen the request.
	 * @throws Unavailable; ServiceError for what etcd refuses (codes above).
	 */
	async call<Response>(method: string, request: object, { repeatable }: { repeatable: boolean }): Promise<Response> {
		const end = Date.now() + CALL_TIMEOUT_MS;
		let cause: ServiceError | Unreached | undefined;
		for (let attempt = 0; Date.now() < end; attempt++) {
			if (this.closing.aborted) throw this.closedError();
			if (attempt > 0 && attempt % this.#members.length === 0) await this.pause(ROUND_PAUSE_MS);
			const [member, index] = this.#choose();
			try {
				const response = await member.call<Response>(method, request, Math.min(end, Date.now() + ATTEMPT_TIMEOUT_MS));
				member.recovered();
				return response;
			} catch (error) {
				if (!(error instanceof Unreached) && (!isServiceError(error) || isRefusal(error))) throw error;
				// What a member said first tells more than that the time for the last attempt was short.
				if (!cause || !error.details.startsWith('Deadline exceeded')) cause = error;
				member.failed(error);
				this.#avoid(index);
				if (!repeatable && !(error instanceof Unreached) && !NEVER_DONE.test(error.details)) {
					const why = reason(error.details);
					throw new Unavailable(`${member.endpoint} failed; the commit may have been made or not: ${why}`, { cause });
				}
			}
		}
		if (this.closing.aborted) throw this.closedError();
		throw new Unavailable(`no member of etcd answers (${this.#names()}): ${reason(cause?.details)}`, { cause });
	}

	/** Opens a stream of etcd's Watch service on the member that answered last. */
	async watch(): Promise<{ stream: WatchStream; failed: (error: unknown) => void; recovered: () => void }> {
		const [member, index] = this.#choose();
		const failed = (error: unknown) => {
			member.failed(error);
			this.#avoid(index);
		};
		try {
			return { stream: await member.watch(), failed, recovered: () => member.recovered() };
		} catch (error) {
			failed(error);
			throw error;
		}
	}

	/** Waits, or less long if the store closes. */
	async pause(ms: number, signal: AbortSignal = this.closing): Promise<void> {
		await delay(ms, undefined, { signal }).catch((error: unknown) => {
			if (!signal.aborted) throw error;
		});
	}

	close(): void {
		this.#closing.abort();
		for (const member of this.#members) member.close();
	}

	closedError(): Unavailable {
		return new Unavailable(`the store on etcd (${this.#names()}) is closed`);
	}

	#choose(): [Member, number] {
		const index = this.#preferred % this.#members.length;
		const member = this.#members[index];
		if (!member) throw new RangeError('etcd without endpoints');
		return [member, index];
	}

	/** Moves on from a member that failed, unless another call has done so already. */
	#avoid(index: number): void {
		if (this.#preferred % this.#members.length === index) this.#preferred = index + 1;
	}

	#names(): string {
		return this.#members.map(({ endpoint }) => endpoint).join(', ');
	}
}

/** One member, its connection, and whether it is known to fail (so that a fault is logged once). */
class Member {
	readonly endpoint: string;
	readonly #read: () => Credentials;
	readonly #log: Log | undefined;
	#credentials: Credentials;
	#host: Host;
	/** Of the token of the user, where there is one. */
	#metadata: Promise<Metadata> | undefined;
	#failing = false;

	constructor(endpoint: string, { credentials = () => ({}), log }: Connection) {
		this.endpoint = endpoint;
		this.#log = log;
		this.#read = credentials;
		this.#credentials = credentials();
		this.#host = hostOf(endpoint, this.#credentials);
	}

	async call<Response>(method: string, request: object, deadline: number): Promise<Response> {
		const { client, metadata } = await this.#connection('KV');
		return new Promise<Response>((resolve, reject) => {
			(client as KvService<Response>)[method]?.(request, metadata, { deadline }, (error, response) => {
				if (response) resolve(response);
				else reject(error ?? new Error(`etcd answered ${method} with nothing`));
			});
		});
	}

	async watch(): Promise<WatchStream> {
		const { client, metadata } = await this.#connection('Watch');
		const own = metadata.clone();
		// Without it, a watch on a member that lost its leader hangs in silence instead of failing.
		own.set('hasleader', 'true');
		return (client as WatchService).watch(own);
	}

	failed(error: unknown): void {
		const renewed = this.#renewed();
		if (renewed || TOKEN_REFUSED.test(String(error))) this.#metadata = undefined;
		if (renewed) {
			this.#credentials = renewed;
			this.#host.close();
			this.#host = hostOf(this.endpoint, renewed);
		}
		if (this.#failing) return;
		this.#failing = true;
		this.#log?.warn({ endpoint: this.endpoint, cause: String(error) }, 'etcd member fails; trying again');
	}

	/** Other credentials than those in use; undefined where there are none, or none that can be used. */
	#renewed(): Credentials | undefined {
		try {
			const found = this.#read();
			return isDeepStrictEqual(found, this.#credentials) ? undefined : found;
		} catch (error) {
			this.#log?.debug({ cause: String(error) }, 'what is shown to etcd cannot be read anew');
			return undefined;
		}
	}

	recovered(): void {
		if (!this.#failing) return;
		this.#failing = false;
		this.#log?.info({ endpoint: this.endpoint }, 'etcd member answers again');
	}

	close(): void {
		this.#host.close();
	}

	async #connection(service: 'KV' | 'Watch'): Promise<{ client: Client; metadata: Metadata }> {
		this.#metadata ??= this.#authenticate();
		const asked = this.#metadata;
		try {
			return { client: this.#host.getServiceClient(service), metadata: await asked };
		} catch (error) {
			if (this.#metadata === asked) this.#metadata = undefined;
			if (isServiceError(error) && isRefusal(error))
				throw new Error(`etcd at ${this.endpoint} refuses the user name or the password: ${error.details}`, {
					cause: error,
				});
			throw new Unreached(error);
		}
	}

	/** Source: etcd documentation, "Role-based access control": the token of a user goes with each of his requests. */
	async #authenticate(): Promise<Metadata> {
		const metadata = new Metadata();
		const { user } = this.#credentials;
		if (!user) return metadata;
		const client = this.#host.getServiceClient('Auth') as AuthService;
		const token = await new Promise<string>((resolve, reject) => {
			client.authenticate(user, { deadline: Date.now() + ATTEMPT_TIMEOUT_MS }, (error, answer) =>
				answer ? resolve(answer.token) : reject(error),
			);
		});
		metadata.set('token', token);
		return metadata;
	}
}

/** Of etcd3 only what makes clients of etcd's services: its own retries never come into play. */
function hostOf(endpoint: string, { ca, cert, key }: Credentials): Host {
	const address = /^https:\/\/\[?(.*?)\]?:\d+$/.exec(endpoint)?.[1];
	if (address === undefined) return new Host(endpoint, credentials.createInsecure(), CHANNEL_OPTIONS);
	// grpc-js takes the host for the name that the client asks for, and TLS has no addresses as such names: RFC 6066, section 3.
	const byAddress = isIP(address) ? { 'grpc.ssl_target_name_override': NO_NAME } : undefined;
	return new Host(
		endpoint,
		credentials.createSsl(ca ?? null, key ?? null, cert ?? null, {
			checkServerIdentity: (_, certificate) => checkServerIdentity(address, certificate),
		}),
		{ ...CHANNEL_OPTIONS, ...byAddress },
	);
}

/** There was no connection, or no token for it: nothing has been asked of the member. */
class Unreached extends Error {
	override readonly name = 'Unreached';
	readonly details: string;
	constructor(cause: unknown) {
		super('no connection', { cause });
		this.details = isServiceError(cause) ? cause.details : String(cause);
	}
}

/** Clients as grpc-js makes them of a protocol definition: methods by name. */
type KvService<Response> = Client & {
	readonly [method: string]: (
		request: object,
		metadata: Metadata,
		options: { deadline: number },
		done: (error: ServiceError | null, response?: Response) => void,
	) => unknown;
};
type AuthService = Client & {
	authenticate(
		user: { readonly name: string; readonly password: string },
		options: { deadline: number },
		done: (error: ServiceError | null, answer?: { readonly token: string }) => void,
	): unknown;
};
type WatchService = Client & { watch(metadata: Metadata): WatchStream };

export function isServiceError(error: unknown): error is ServiceError {
	return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

function isRefusal({ code, details }: ServiceError): boolean {
	if (code === GRPC.resourceExhausted) return TOO_LARGE_TO_RECEIVE.test(details) || NO_ROOM.test(details);
	return REFUSALS.has(code);
}
