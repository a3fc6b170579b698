/** The smart HTTP endpoint of the embedded repositories: who may, which repository, and one `git http-backend` a request. */
import { dirname } from 'node:path';
import type { Request, Response } from '../../api/index.ts';
import type { Log } from '../../log.ts';
import { isCommitId } from '../git/index.ts';
import { alone, type Embedded, type Peers } from '../source/index.ts';
import { startBackend } from './backend.ts';
import { PUSHER_HEADER, passOn } from './forward.ts';
import { installHooks } from './hooks.ts';
import { createLock, type Lock } from './lock.ts';
import type { PushHandler } from './push.ts';
import { answerPush, CHECK_TIME } from './session.ts';
import { authorize } from './token.ts';

/** Milliseconds that requests under way have when the server closes: hooks end by themselves within a few. */
const CLOSE_GRACE = 2_000;

export interface PushServerOptions {
	readonly repositories: readonly Embedded[];
	/** The password of every request; the user name is free. */
	readonly token: string;
	readonly handler: PushHandler;
	readonly log: Log;
	/** Milliseconds that the check of one push may take. Default: CHECK_TIME. */
	readonly checkTime?: number;
	/** Whether this server is the one that takes pushes. Default: it is. */
	readonly leads?: () => boolean;
	/** Default: there is one server. */
	readonly peers?: Peers;
}

export interface PushServer extends AsyncDisposable {
	/** Answers one request. `path` is the part below the mount, with its leading slash: `/default.git/info/refs`. Never rejects. */
	handle(
		request: Request,
		response: Response,
		path: string,
		query: string,
		/** Who asks, where somebody else has made sure of it: an administrator, or another server. No token is wanted then. */
		user?: string,
	): Promise<void>;
}

/** Installs the hooks and gives the endpoint. */
export async function openPushServer(options: PushServerOptions): Promise<PushServer> {
	const { repositories, token, handler, log, leads = () => true, peers = alone, checkTime = CHECK_TIME } = options;
	for (const { repository } of repositories) await installHooks(repository.gitdir);
	const byName = new Map(repositories.map((embedded) => [embedded.name, { embedded, lock: createLock() }]));
	const life = new AbortController();
	const running = new Set<{ readonly done: Promise<void>; kill(): void }>();
	let tidying: Promise<void> = Promise.resolve();

	async function serve(
		request: Request,
		response: Response,
		path: string,
		query: string,
		user?: string,
	): Promise<void> {
		const said = request.headers[PUSHER_HEADER];
		const forwarded = user !== undefined && typeof said === 'string' ? said : undefined;
		const pusher = forwarded ?? user ?? authorize(request.headers.authorization, token);
		if (pusher === undefined) {
			response.setHeader('www-authenticate', 'Basic realm="driftless", charset="UTF-8"');
			refuse(
				request,
				response,
				401,
				'a token is wanted as the password: "driftless remote" prints the URL that has it',
			);
			return;
		}
		const asked = /^\/([\w-]+)(?:\.git)?\/(info\/refs|git-upload-pack|git-receive-pack|objects)$/.exec(path);
		const found = byName.get(asked?.[1] ?? '');
		const service = asked?.[2];
		if (!found || !service || (service === 'objects' && user === undefined)) {
			refuse(
				request,
				response,
				404,
				`there is no repository at ${path}; there is: ${[...byName.keys()].map((name) => `/${name}.git`).join(', ')}`,
			);
			return;
		}
		if (request.method !== (service === 'info/refs' ? 'GET' : 'POST')) {
			refuse(request, response, 405, `${service} does not take ${request.method}`);
			return;
		}
		if (service === 'objects') {
			const id = new URLSearchParams(query).get('id') ?? '';
			const has = isCommitId(id) && (await found.embedded.exchange.obtain(id));
			response.statusCode = has ? 200 : 404;
			response.end();
			return;
		}
		const isPush = service === 'git-receive-pack' || new URLSearchParams(query).get('service') === 'git-receive-pack';
		if (isPush && forwarded === undefined && !leads()) {
			const peer = await peers.leader();
			const whole = `/git${path}${query && `?${query}`}`;
			// One that has just died leads for a while by its Lease: this server may be the next, and the push waits for that.
			if (peer && (await passOn(request, response, { peer, path: whole, pusher, peers }))) return;
		}
		if (service === 'info/refs') await align(found.embedded);
		await run(request, response, { ...found, service, query, pusher });
	}

	/** A clone gets what is there, also while the API cannot say whether there is something newer. */
	async function align({ name, align }: Embedded): Promise<void> {
		await align().catch((error: unknown) =>
			log.warn({ repository: name, error: String(error) }, 'the heads of the repository cannot be read'),
		);
	}

	interface Call {
		readonly embedded: Embedded;
		readonly lock: Lock;
		readonly service: string;
		readonly query: string;
		readonly pusher: string;
	}

	async function run(request: Request, response: Response, call: Call): Promise<void> {
		const { embedded, lock, service, query, pusher } = call;
		const gone = new AbortController();
		response.once('close', () => {
			if (!response.writableFinished) gone.abort();
		});
		const root = dirname(embedded.repository.gitdir);
		const backend = startBackend(request, response, {
			root,
			path: `${embedded.name}.git/${service}`,
			query,
			user: pusher,
		});
		running.add(backend);
		try {
			const { asks, answers } = backend;
			const signal = AbortSignal.any([gone.signal, life.signal]);
			const answered = answerPush({ embedded, handler, lock, checkTime, pusher, asks, answers, signal, log });
			await backend.done;
			answers.end();
			await answered;
		} finally {
			running.delete(backend);
		}
		if (service === 'git-receive-pack') tidy(embedded);
	}

	function tidy({ name, repository }: Embedded): void {
		tidying = tidying
			.then(() => (life.signal.aborted ? undefined : repository.tidy(life.signal)))
			.catch((error: unknown) => {
				if (!life.signal.aborted)
					log.warn({ repository: name, error: String(error) }, 'the repository could not be packed');
			});
	}

	return {
		async handle(request, response, path, query, user) {
			try {
				await serve(request, response, path, query, user);
			} catch (error) {
				log.error({ path, error: String(error) }, 'a git request failed');
				if (!response.headersSent) refuse(request, response, 500, 'driftless failed to answer; its log says why');
				else response.destroy();
			}
		},
		async [Symbol.asyncDispose]() {
			life.abort();
			const timer = setTimeout(() => {
				for (const backend of running) backend.kill();
			}, CLOSE_GRACE);
			await Promise.all([...running].map((backend) => backend.done));
			clearTimeout(timer);
			await tidying;
		},
	};
}

/** A plain refusal, which git shows to its user. Takes what the client still sends, so that it reads the answer. */
function refuse(request: Request, response: Response, status: number, message: string): void {
	response.statusCode = status;
	response.setHeader('content-type', 'text/plain; charset=utf-8');
	response.end(`${message}\n`);
	request.resume();
}
