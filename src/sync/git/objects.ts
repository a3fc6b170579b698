/**
 * The objects of a repository, read through one long-lived `git cat-file`. Requests of one turn of the event loop go to it
 * as one batch; answers come in the order of requests. Measured against isomorphic-git in bench/git-read.ts.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { exited, GitError, gitEnvironment, type Identity, spawnedAs } from './program.ts';

/** Milliseconds without a word after which the child goes: one that is asked nothing, and one that does not answer. The next request starts another (a few ms). */
const SILENCE = 60_000;

/** Bytes of a file that is read; who wants files asks for their sizes before. */
const MAX_BLOB_BYTES = 128 * 1024 * 1024;
/** The same of a folder, which has half a million entries then, of a commit and of a tag. */
const MAX_TREE_BYTES = 32 * 1024 * 1024;

export type ObjectType = 'blob' | 'tree' | 'commit' | 'tag';

export interface ObjectInfo {
	readonly id: string;
	readonly type: ObjectType;
	/** In bytes. */
	readonly size: number;
}

export interface GitObject extends ObjectInfo {
	readonly bytes: Uint8Array;
}

export interface Objects extends AsyncDisposable {
	/** Of an id or any revision expression (`main^{commit}`); undefined where there is no such object. */
	info(name: string): Promise<ObjectInfo | undefined>;
	/** Throws GitError for what is larger than any that is needed. */
	read(name: string): Promise<GitObject | undefined>;
}

interface Request {
	readonly line: string;
	readonly wantsContent: boolean;
	answer(object: (ObjectInfo & { bytes?: Uint8Array }) | undefined): void;
	fail(error: Error): void;
}

/** `environment`: of a quarantine, for objects that only a hook's git sees. `as`: who reads; default this process. `silence`: in milliseconds. */
export function openObjects(
	gitdir: string,
	environment: NodeJS.ProcessEnv = {},
	as?: Identity,
	silence = SILENCE,
): Objects {
	const env = gitEnvironment({ ...environment, GIT_DIR: gitdir });
	let child: ChildProcessWithoutNullStreams | undefined;
	let waiting: Request[] = [];
	let outgoing = '';
	let idle: NodeJS.Timeout | undefined;
	let closed = false;

	function start(): ChildProcessWithoutNullStreams {
		const started = spawn('git', ['cat-file', '--batch-command', '--buffer'], { ...spawnedAs(as), env, stdio: 'pipe' });
		let complaint = '';
		clearTimeout(idle);
		idle = setTimeout(() => {
			if (waiting.length === 0) {
				stop();
				return;
			}
			// An object that is a pipe is waited for, and whose child it is may hold it.
			complaint = `no answer in ${silence / 1000} s`;
			started.kill('SIGKILL');
		}, silence);
		const fail = (error: Error) => {
			if (child !== started) return;
			child = undefined;
			const failed = waiting;
			waiting = [];
			for (const request of failed) request.fail(error);
		};
		const parse = createParser(() => waiting[0]?.wantsContent ?? false);
		started.stdout.on('data', (chunk: Buffer) => {
			if (child !== started) return;
			idle?.refresh();
			for (const answer of parse(chunk)) {
				const request = waiting.shift();
				if (answer instanceof GitError) request?.fail(answer);
				else request?.answer(answer);
			}
		});
		started.stderr.on('data', (chunk: Buffer) => {
			complaint = `${complaint}${chunk}`.slice(-1000);
		});
		// A child that is gone says so by its exit; what could not be written to it is told there.
		started.stdin.on('error', () => {});
		started.on('error', (cause) => fail(new GitError(`git cannot be started: ${cause.message}`, { cause })));
		started.on('close', () =>
			fail(new GitError(`git cat-file ended in ${gitdir}: ${complaint.trim() || 'no reason given'}`)),
		);
		return started;
	}

	function ask(request: Request): void {
		if (closed) {
			request.fail(new GitError(`the repository ${gitdir} is closed`));
			return;
		}
		if (!child) child = start();
		else if (waiting.length === 0) idle?.refresh();
		waiting.push(request);
		if (!outgoing) queueMicrotask(send);
		outgoing += request.line;
	}

	function send(): void {
		child?.stdin.write(`${outgoing}flush\n`);
		outgoing = '';
	}

	function stop(): ChildProcessWithoutNullStreams | undefined {
		clearTimeout(idle);
		const stopped = child;
		child = undefined;
		stopped?.stdin.end();
		return stopped;
	}

	const request = (command: 'info' | 'contents', name: string) =>
		new Promise<(ObjectInfo & { bytes?: Uint8Array }) | undefined>((answer, fail) => {
			if (!isPlain(name)) answer(undefined);
			else ask({ line: `${command} ${name}\n`, wantsContent: command === 'contents', answer, fail });
		});

	return {
		info: (name) => request('info', name),
		async read(name) {
			const object = await request('contents', name);
			return object?.bytes && { ...object, bytes: object.bytes };
		},
		async [Symbol.asyncDispose]() {
			closed = true;
			const failed = waiting;
			waiting = [];
			const stopped = stop();
			for (const one of failed) one.fail(new GitError(`the repository ${gitdir} was closed`));
			if (!stopped) return;
			stopped.kill('SIGKILL');
			await exited(stopped);
		},
	};
}

/** One line of the protocol, and nothing that git would take for an option or a path within a tree. */
function isPlain(name: string): boolean {
	return name !== '' && name.length < 1000 && !name.startsWith('-') && !/[\s:\p{Cc}]/u.test(name);
}

/** Splits cat-file's output: a header line each, and after it, for `contents`, the bytes and a newline. Of what is too large the bytes are passed over. */
function createParser(wantsContent: () => boolean) {
	let held: Buffer[] = [];
	let length = 0;
	let needed = 1;
	let header: ObjectInfo | undefined;
	let passed = 0;
	return function* parse(given: Buffer): Generator<(ObjectInfo & { bytes?: Uint8Array }) | GitError | undefined> {
		const chunk = given.subarray(passed);
		passed = Math.max(0, passed - given.length);
		held.push(chunk);
		length += chunk.length;
		// Large contents arrive in many pieces: joined once, when all are there.
		if (length < needed) return;
		let buffer = held.length === 1 ? chunk : Buffer.concat(held);
		for (;;) {
			if (header) {
				needed = header.size + 1;
				if (buffer.length < needed) break;
				// Its own memory: a slice would keep everything that came with it.
				const object = { ...header, bytes: Uint8Array.prototype.slice.call(buffer, 0, header.size) };
				buffer = buffer.subarray(needed);
				header = undefined;
				yield object;
			} else {
				const end = buffer.indexOf(10);
				needed = buffer.length + 1;
				if (end < 0) break;
				const [id = '', type = '', size = ''] = buffer.toString('utf8', 0, end).split(' ');
				buffer = buffer.subarray(end + 1);
				if (!/^\d+$/.test(size)) {
					yield undefined; // `NAME missing`, `NAME ambiguous`
					continue;
				}
				const info = { id, type: type as ObjectType, size: Number(size) };
				const most = info.type === 'blob' ? MAX_BLOB_BYTES : MAX_TREE_BYTES;
				if (!wantsContent()) yield info;
				else if (info.size <= most) header = info;
				else {
					yield new GitError(`the ${type} ${id} has ${size} bytes, more than the ${most} that are read of one`);
					passed = Math.max(0, info.size + 1 - buffer.length);
					buffer = buffer.subarray(info.size + 1);
				}
			}
		}
		held = [buffer];
		length = buffer.length;
	};
}
