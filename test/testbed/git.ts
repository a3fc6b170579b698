/** Real git: a client as a person uses it, and a remote over HTTP that can ask for credentials, be slow or go down. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface Outcome {
	readonly code: number | null;
	/** Standard output and error, as they came. */
	readonly output: string;
}

/** No configuration of the machine's or the user's: only what a test says. */
export function hermeticEnvironment(home: string): NodeJS.ProcessEnv {
	return {
		PATH: process.env.PATH,
		HOME: home,
		LC_ALL: 'C.UTF-8',
		GIT_CONFIG_NOSYSTEM: '1',
		GIT_CONFIG_GLOBAL: '/dev/null',
		GIT_TERMINAL_PROMPT: '0',
		GIT_AUTHOR_NAME: 'Ada',
		GIT_AUTHOR_EMAIL: 'ada@example.com',
		GIT_COMMITTER_NAME: 'Ada',
		GIT_COMMITTER_EMAIL: 'ada@example.com',
	};
}

export interface Running {
	/** Ctrl-C: as a terminal does it, to git and the programs it has started. */
	interrupt(): void;
	/** What it has printed so far. */
	readonly output: () => string;
	/** Settles when the output has this text; rejects where the command ends without it. */
	prints(text: string): Promise<void>;
	readonly done: Promise<Outcome>;
}

/** Starts git; nothing of its failure throws. */
export function startGit(cwd: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Running {
	const child = spawn('git', args, {
		cwd,
		env: { ...hermeticEnvironment(cwd), ...environment },
		stdio: ['ignore', 'pipe', 'pipe'],
		detached: true,
	});
	let output = '';
	let ended = false;
	const changed = new Set<() => void>();
	const hear = () => {
		for (const listener of changed) listener();
	};
	for (const stream of [child.stdout, child.stderr]) {
		stream.on('data', (chunk: Buffer) => {
			output += chunk;
			hear();
		});
	}
	const done = new Promise<Outcome>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', (code) => {
			ended = true;
			resolve({ code, output });
			hear();
		});
	});
	return {
		interrupt() {
			if (child.pid !== undefined) process.kill(-child.pid, 'SIGINT');
		},
		output: () => output,
		done,
		prints: (text) =>
			new Promise((resolve, reject) => {
				const look = () => {
					if (output.includes(text)) resolve();
					else if (ended) reject(new Error(`git ${args.join(' ')} ended without printing "${text}":\n${output}`));
					else return;
					changed.delete(look);
				};
				changed.add(look);
				look();
			}),
	};
}

/** Runs git to its end. */
export const runGit = (cwd: string, args: readonly string[], environment?: NodeJS.ProcessEnv): Promise<Outcome> =>
	startGit(cwd, args, environment).done;

export interface WorkTree extends AsyncDisposable {
	readonly directory: string;
	/** Runs git here; throws where it fails. */
	git(...args: string[]): Promise<string>;
	/** Writes files (by path); a content of undefined removes one. */
	write(files: Readonly<Record<string, string | Uint8Array | undefined>>): Promise<void>;
	link(path: string, target: string): Promise<void>;
	/** Writes, adds all and commits; gives the commit id. */
	commit(files?: Readonly<Record<string, string | Uint8Array | undefined>>, message?: string): Promise<string>;
	/** `git push ARGS`: default `origin HEAD:main`. */
	push(...args: string[]): Promise<Outcome>;
	startPush(...args: string[]): Running;
}

export async function temporaryDirectory(): Promise<{ readonly path: string } & AsyncDisposable> {
	const path = await mkdtemp(join(tmpdir(), 'driftless-test-'));
	return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** A fresh repository on branch main, with `remote` as origin. */
export async function createWorkTree(remote?: string): Promise<WorkTree> {
	const { path: directory, [Symbol.asyncDispose]: dispose } = await temporaryDirectory();
	const tree: WorkTree = {
		directory,
		async git(...args) {
			const { code, output } = await runGit(directory, args);
			if (code !== 0) throw new Error(`git ${args.join(' ')} failed:\n${output}`);
			return output.trim();
		},
		async write(files) {
			for (const [path, content] of Object.entries(files)) {
				const file = join(directory, path);
				if (content === undefined) await rm(file, { recursive: true });
				else {
					await mkdir(dirname(file), { recursive: true });
					await writeFile(file, content);
				}
			}
		},
		async link(path, target) {
			await mkdir(dirname(join(directory, path)), { recursive: true });
			await symlink(target, join(directory, path));
		},
		async commit(files = {}, message = 'change') {
			await tree.write(files);
			await tree.git('add', '-A');
			await tree.git('commit', '--quiet', '--allow-empty', '-m', message);
			return tree.git('rev-parse', 'HEAD');
		},
		push: (...args) => tree.startPush(...args).done,
		startPush: (...args) => startGit(directory, ['push', ...(args.length ? args : ['origin', 'HEAD:main'])]),
		[Symbol.asyncDispose]: dispose,
	};
	await tree.git('init', '--quiet', '--initial-branch=main');
	if (remote) await tree.git('remote', 'add', 'origin', remote);
	return tree;
}

export interface GitRemote extends AsyncDisposable {
	readonly url: string;
	/** The bare repository behind it. */
	readonly directory: string;
	/** Requests served, for tests of what is not asked again. */
	readonly requests: string[];
	/** Change these at any time. */
	readonly behaviour: { token?: string; mode: 'serve' | 'hang' | 'fail' | 'stall' | 'cut' };
	/** Stops listening, as a server that is down; start() takes the same port again. */
	stop(): Promise<void>;
	start(): Promise<void>;
}

/** A bare repository served by `git http-backend`, as a forge would. */
export async function createGitRemote(): Promise<GitRemote> {
	const { path, [Symbol.asyncDispose]: dispose } = await temporaryDirectory();
	const directory = join(path, 'repository.git');
	await runGit(path, ['init', '--quiet', '--bare', '--initial-branch=main', directory]);
	await runGit(directory, ['config', 'http.receivepack', 'true']);
	const requests: string[] = [];
	const behaviour: GitRemote['behaviour'] = { mode: 'serve' };
	const children = new Set<ChildProcess>();
	const server = createServer((request, response) => {
		const { pathname, search } = new URL(request.url ?? '/', 'http://localhost');
		requests.push(`${request.method} ${pathname}${search}`);
		if (behaviour.mode === 'hang') return;
		if (behaviour.mode === 'fail') {
			response.writeHead(503).end();
			return;
		}
		const given = Buffer.from((request.headers.authorization ?? '').replace('Basic ', ''), 'base64').toString();
		if (behaviour.token && given.split(':')[1] !== behaviour.token) {
			response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
			return;
		}
		const child = spawn('git', ['http-backend'], {
			env: {
				...hermeticEnvironment(path),
				GIT_PROJECT_ROOT: path,
				GIT_HTTP_EXPORT_ALL: '1',
				PATH_INFO: pathname,
				QUERY_STRING: search.slice(1),
				REQUEST_METHOD: request.method,
				CONTENT_TYPE: request.headers['content-type'],
				HTTP_CONTENT_ENCODING: request.headers['content-encoding'],
				GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
				REMOTE_USER: 'test',
			},
		});
		children.add(child);
		child.once('close', () => children.delete(child));
		child.stdin.on('error', () => {});
		request.pipe(child.stdin);
		const parts: Buffer[] = [];
		child.stdout.on('data', (part: Buffer) => parts.push(part));
		child.stdout.on('end', () => {
			const all = Buffer.concat(parts);
			const end = all.indexOf('\r\n\r\n');
			let status = 200;
			for (const line of all.toString('latin1', 0, end).split('\r\n')) {
				const [name = '', value = ''] = line.split(': ');
				if (name === 'Status') status = Number.parseInt(value, 10);
				else if (name) response.setHeader(name, value);
			}
			response.writeHead(status);
			if (behaviour.mode === 'cut') response.end(all.subarray(end + 4, -10));
			else if (behaviour.mode === 'stall') response.write(all.subarray(end + 4, end + 12));
			else response.end(all.subarray(end + 4));
		});
	});
	let port = 0;
	const start = () =>
		new Promise<void>((resolve, reject) => {
			server.once('error', reject);
			server.listen(port, '127.0.0.1', () => {
				const address = server.address();
				if (typeof address === 'object' && address) port = address.port;
				resolve();
			});
		});
	const stop = () =>
		new Promise<void>((resolve) => {
			server.close(() => resolve());
			server.closeAllConnections();
		});
	await start();
	return {
		url: `http://127.0.0.1:${port}/repository.git`,
		directory,
		requests,
		behaviour,
		start,
		stop,
		async [Symbol.asyncDispose]() {
			if (server.listening) await stop();
			for (const child of children) child.kill();
			await dispose();
		},
	};
}
