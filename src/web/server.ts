/** The server on loopback: git pushes, webhooks, health, and whatever pages are mounted beside them. */
import { createServer, type IncomingMessage } from 'node:http';
import Koa, { type Middleware } from 'koa';
import { faults } from '../client/index.ts';
import type { Log } from '../log.ts';
import type { PushServer } from '../sync/push/index.ts';
import { misdirected } from './origin.ts';
import { MAX_WEBHOOK_BYTES, readWebhook } from './webhook.ts';

/** Milliseconds that a push may take to arrive: large ones over slow lines take their time. */
const REQUEST_TIME = 3_600_000;

export interface WebOptions {
	/** Default 127.0.0.1: the token of pushes goes over it in the clear. */
	readonly host?: string;
	/** 0 takes a free one. */
	readonly port: number;
	readonly push?: Pick<PushServer, 'handle'>;
	readonly webhook?: {
		/** Without one anybody who reaches the port may have sources looked at (and nothing else). */
		readonly secret?: string;
		/** Has the sources of these URLs look at once; gives how many there are. */
		refresh(urls: readonly string[]): number | Promise<number>;
	};
	/** Undefined when all is well; otherwise what is not. */
	health?(): Promise<string | undefined>;
	/** Pages beside the above (the dashboard), in order. */
	readonly pages?: readonly Middleware[];
	readonly log: Log;
	/** Closes the server. */
	readonly signal?: AbortSignal;
}

export interface Web {
	readonly host: string;
	readonly port: number;
	/** Stops listening and ends what is under way. */
	close(): Promise<void>;
}

/** Listens. Rejects with one line for the user where the port cannot be had. */
export async function serveWeb(options: WebOptions): Promise<Web> {
	const { host = '127.0.0.1', port, push, webhook, health, pages = [], log, signal } = options;
	signal?.throwIfAborted();
	const app = new Koa();
	app.silent = true;
	const known = faults(log);
	// What a client did wrong is told to the client: anybody may send it, as often as they like. One that has gone is told nothing.
	app.on('error', (error: Error & { readonly expose?: boolean }, context?: Koa.Context) => {
		if (error.expose) log.debug({ error: error.message }, 'a web request was refused');
		else if (context && (!context.req.complete || context.res.destroyed))
			log.debug({ error: error.message }, 'a web request broke off');
		else known.failed('request', error, 'a web request failed');
	});
	/** Why the last webhook was refused: a forge that is set up wrongly is named once, not with each of its tries. */
	let refusal: string | undefined;

	app.use(async (context, next) => {
		const { path } = context;
		// Who signs a webhook may reach it by any name: through a proxy before it.
		const signed = webhook?.secret && isWebhook(path);
		const wrong = signed ? undefined : misdirected(context.req, host);
		if (wrong) {
			context.status = wrong.status;
			context.body = `${wrong.why}\n`;
			context.set('connection', 'close');
		} else if (path === '/healthz') {
			const trouble = await health?.();
			context.status = trouble ? 503 : 200;
			context.body = trouble ?? 'ok';
		} else if (push && path.startsWith('/git/')) {
			// git's answer is streamed by the child that makes it.
			context.respond = false;
			await push.handle(context.req, context.res, decodePath(path.slice('/git'.length)), context.querystring);
		} else if (webhook && isWebhook(path)) {
			await answerWebhook(context, webhook);
		} else await next();
	});
	for (const page of pages) app.use(page);

	async function answerWebhook(
		context: Koa.Context,
		{ secret, refresh }: NonNullable<WebOptions['webhook']>,
	): Promise<void> {
		if (context.method !== 'POST') {
			context.set('allow', 'POST');
			context.throw(405, 'a webhook is a POST');
		}
		const body = await readBody(context.req, MAX_WEBHOOK_BYTES);
		if (!body) {
			context.set('connection', 'close');
			context.throw(413, `a webhook of more than ${MAX_WEBHOOK_BYTES} bytes is not read`);
		}
		const hook = readWebhook(context.headers, body, secret);
		if (hook.type === 'refused') {
			if (hook.why !== refusal) log.warn({ why: hook.why, from: context.ip }, 'a webhook was refused');
			refusal = hook.why;
			context.status = hook.status;
			context.body = `${hook.why}\n`;
		} else if (hook.type === 'other') {
			context.body = `${hook.event}: nothing to do\n`;
		} else {
			refusal = undefined;
			const count = await refresh(hook.urls);
			// Whoever reaches the port may name what nobody follows.
			if (count > 0) log.info({ url: hook.urls[0], sources: count }, 'webhook');
			else log.debug({ url: hook.urls[0] }, 'a webhook of a repository that no application follows');
			context.body = count ? `${count} sources look now\n` : 'no application follows this repository\n';
		}
	}

	const server = createServer(app.callback());
	server.requestTimeout = REQUEST_TIME;
	await new Promise<void>((resolve, reject) => {
		server.once('error', (cause: NodeJS.ErrnoException) => reject(new Error(explain(cause, host, port), { cause })));
		server.listen(port, host, resolve);
	});
	const address = server.address();
	const closed = Promise.withResolvers<void>();
	server.once('close', () => closed.resolve());
	const close = () => {
		signal?.removeEventListener('abort', close);
		server.close();
		server.closeAllConnections();
		return closed.promise;
	};
	signal?.addEventListener('abort', close, { once: true });
	return { host, port: typeof address === 'object' && address ? address.port : port, close };
}

const isWebhook = (path: string) => path === '/webhook' || path === '/api/webhook';

function explain(error: NodeJS.ErrnoException, host: string, port: number): string {
	switch (error.code) {
		case 'EADDRINUSE':
			return `port ${port} on ${host} is in use by another program: choose another one with --http-port PORT`;
		case 'EACCES':
			return `port ${port} on ${host} may not be used by this user: choose one above 1023 with --http-port PORT`;
		case 'EADDRNOTAVAIL':
			return `${host} is no address of this machine, so git and the dashboard cannot be served there`;
		default:
			return `port ${port} on ${host} cannot be used (${error.message}): choose another one with --http-port PORT`;
	}
}

/** A path that cannot be decoded names nothing. */
function decodePath(path: string): string {
	try {
		return decodeURIComponent(path);
	} catch {
		return '/';
	}
}

/** The whole body, or undefined where it is longer than `limit` bytes. The rest is read and dropped, so that the client reads the answer. */
async function readBody(request: IncomingMessage, limit: number): Promise<Buffer | undefined> {
	const parts: Buffer[] = [];
	let size = 0;
	for await (const part of request as AsyncIterable<Buffer>) {
		size += part.length;
		if (size <= limit) parts.push(part);
		else if (size > limit * 16) break;
		else parts.length = 0;
	}
	return size > limit ? undefined : Buffer.concat(parts);
}
