/** `git http-backend` as a CGI child of one HTTP request, with the two descriptors of the hooks. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Request, Response } from '../../api/index.ts';
import { exited, gitEnvironment } from '../git/index.ts';
import { PUSH_VARIABLE } from './hooks.ts';

/** Bytes of CGI headers at most. */
const MAX_HEADERS = 64 * 1024;

export interface Service {
	/** Directory of the repositories. */
	readonly root: string;
	/** `default.git/git-receive-pack`, below root. */
	readonly path: string;
	readonly query: string;
	/** Set for pushes. */
	readonly user: string;
}

export interface Backend {
	/** What hooks write to descriptor 3. */
	readonly asks: Readable;
	/** Descriptor 4. */
	readonly answers: Writable;
	/** Settles when the child is gone and the response written as far as the client took it. */
	readonly done: Promise<void>;
	/** Kills the child. */
	kill(): void;
}

/** Serves a request. Only named headers reach the child, as values of its environment: nothing passes a shell. */
export function startBackend(request: Request, response: Response, service: Service): Backend {
	const header = (name: string) => {
		const value = request.headers[name];
		return typeof value === 'string' ? value : undefined;
	};
	const protocol = header('git-protocol');
	const child = spawn('git', ['http-backend'], {
		env: gitEnvironment({
			GIT_PROJECT_ROOT: service.root,
			GIT_HTTP_EXPORT_ALL: '1',
			PATH_INFO: `/${service.path}`,
			QUERY_STRING: service.query,
			REQUEST_METHOD: request.method,
			REMOTE_USER: service.user,
			REMOTE_ADDR: request.socket.remoteAddress,
			CONTENT_TYPE: header('content-type'),
			// No CONTENT_LENGTH: with one, http-backend waits for the rest of a body that has broken off, in a loop that never ends,
			// also when this process has died. Without one it reads to the end of its input.
			// http-backend inflates the body itself.
			HTTP_CONTENT_ENCODING: header('content-encoding'),
			GIT_PROTOCOL: protocol && /^[\w=:.-]+$/.test(protocol) ? protocol : undefined,
			[PUSH_VARIABLE]: '1',
		}),
		stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
	});
	const { stdin, stdout, stderr } = child;
	const asks = child.stdio[3];
	const answers = child.stdio[4];
	if (!stdin || !stdout || !stderr || !isReadable(asks) || !isWritable(answers))
		throw new Error('a child without its pipes');
	// Each end may break at any time: the client hangs up, git refuses and leaves the rest unread. What matters is the child's end.
	for (const stream of [stdin, stdout, stderr, asks, answers]) stream.on('error', () => {});
	response.on('error', () => {});
	request.on('error', () => stdin.destroy());
	request.on('close', () => {
		if (!request.complete) stdin.destroy();
	});
	request.pipe(stdin);
	let complaint = '';
	stderr.on('data', (chunk: Buffer) => {
		complaint = `${complaint}${chunk}`.slice(-2000);
	});
	const sent = send(stdout, response);
	const done = (async () => {
		await exitedOrFailed(child);
		await sent;
		if (!response.headersSent) {
			response.statusCode = 500;
			response.setHeader('content-type', 'text/plain');
			response.write(`git http-backend failed: ${complaint.trim() || 'no reason given'}\n`);
		}
		response.end();
		// Git may have left some of the body unread (it refused): take it, so that the client reads the answer.
		request.unpipe(stdin);
		request.resume();
	})();
	return { asks, answers, done, kill: () => void child.kill('SIGKILL') };
}

async function exitedOrFailed(child: ChildProcess): Promise<void> {
	await new Promise<void>((resolve) => {
		child.once('error', () => resolve());
		void exited(child).then(resolve);
	});
}

/** Splits off the CGI headers (RFC 3875, section 6.3) and streams the rest as it comes, to the end even if nobody listens any more. */
async function send(stdout: Readable, response: Response): Promise<void> {
	let head: Buffer | undefined = Buffer.alloc(0);
	for await (const chunk of stdout as AsyncIterable<Buffer>) {
		let body = chunk;
		if (head) {
			head = Buffer.concat([head, chunk]);
			const end = head.indexOf('\r\n\r\n');
			if (end < 0) {
				if (head.length > MAX_HEADERS) throw new Error('git http-backend sent no end of headers');
				continue;
			}
			writeHead(head.toString('latin1', 0, end), response);
			body = head.subarray(end + 4);
			head = undefined;
		}
		if (body.length && !response.closed && !response.destroyed && !response.write(body)) await drained(response);
	}
}

function writeHead(text: string, response: Response): void {
	let status = 200;
	for (const line of text.split('\r\n')) {
		const colon = line.indexOf(':');
		const name = line.slice(0, colon).trim();
		const value = line.slice(colon + 1).trim();
		if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
		else if (name) response.setHeader(name, value);
	}
	response.statusCode = status;
	response.flushHeaders();
}

function drained(response: Response): Promise<void> {
	return new Promise((resolve) => {
		if (response.closed) return resolve();
		const settle = () => {
			response.off('drain', settle);
			response.off('close', settle);
			resolve();
		};
		response.on('drain', settle);
		response.on('close', settle);
	});
}

const isReadable = (stream: unknown): stream is Readable =>
	typeof (stream as Readable | undefined)?.read === 'function';
const isWritable = (stream: unknown): stream is Writable =>
	typeof (stream as Writable | undefined)?.write === 'function';
