import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Database } from './database.ts';

/** A thread that makes checkpoints. */
export interface CheckpointThread {
	/** Copies the log into the database and flushes that. Rejects with what node:sqlite threw, or when the thread dies. */
	checkpoint(): Promise<void>;
	end(): Promise<void>;
}

/** What the thread is given: which file it is. Another one that took its name would get a log that is not its own. */
type Subject = Pick<Database, 'device' | 'inode'> & { readonly url: string; readonly timeout: number };

/** How long a checkpoint waits for a statement that reads, in ms: each is done within one turn of the event loop. */
const READER_TIMEOUT_MS = 5000;

/** What it answers: nothing, or what went wrong, as node:sqlite says it. */
type Answer = { readonly message: string; readonly errcode?: number } | undefined;

/** Starts the thread. While it has nothing to do it keeps no process alive. `ended` is called when it has ended, however that was. */
export function startThread({ url, device, inode }: Database, ended: () => void): CheckpointThread {
	const worker = new Worker(`(${program})()`, {
		eval: true,
		workerData: { url: url.href, device, inode, timeout: READER_TIMEOUT_MS } satisfies Subject,
		execArgv: [],
		name: 'checkpoint',
		resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
	});
	worker.unref();
	// Rejects, too, with an error that the thread did not catch.
	const death = once(worker, 'exit').then(([status]) => {
		throw new Error(`the thread of checkpoints has ended with status ${status}`);
	});
	death.catch(ended);
	return {
		async checkpoint() {
			const answered = once(worker, 'message') as Promise<[Answer]>;
			worker.ref();
			worker.postMessage(undefined);
			const [failure] = await Promise.race([answered, death]).finally(() => worker.unref());
			if (failure) throw Object.assign(new Error(failure.message), { errcode: failure.errcode });
		},
		async end() {
			await worker.terminate();
		},
	};
}

/**
 * What runs in the thread: at each message one checkpoint, and an answer. SQLite flushes the log before and the database after
 * (https://sqlite.org/wal.html#ckpt). FULL waits for who is about to read, who gets the newest pages and waits for nothing; PASSIVE
 * would leave out what that reader may not have, all of the log as a rule.
 *
 * The thread gets the text of this function, which is JavaScript by then, and nothing that is outside of it: with a file of its own
 * it would load the compiler for TypeScript once more, which is half of the memory that it needs.
 */
function program(): void {
	const { statSync } = process.getBuiltinModule('node:fs');
	const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
	const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');
	let checkpoint: (() => void) | undefined;

	const open = ({ url, device, inode, timeout }: Subject) => {
		const found = statSync(new URL(url), { bigint: true });
		if (found.dev !== device || found.ino !== inode) throw new Error('another file has its name');
		const database = new DatabaseSync(url, { timeout });
		database.exec('PRAGMA synchronous=FULL');
		const statement = database.prepare('PRAGMA wal_checkpoint(FULL)');
		return () => {
			const { busy, log, checkpointed } = statement.get() ?? {};
			if (busy !== 0 || log !== checkpointed) throw new Error(`only ${checkpointed} of ${log} pages could be copied`);
		};
	};

	parentPort?.on('message', () => {
		let answer: Answer;
		try {
			// Opened here and not at the start, so that what is wrong with the file is an answer.
			checkpoint ??= open(workerData);
			checkpoint();
		} catch (error) {
			const { message, errcode } = error as Error & { readonly errcode?: number };
			answer = { message, errcode };
		}
		parentPort.postMessage(answer);
	});
}
