/** One push: what its hooks ask, in order, and what they are answered. */
import type { Readable, Writable } from 'node:stream';
import type { Log } from '../../log.ts';
import type { Embedded } from '../source/index.ts';
import { createQuestionReader, type Question, type RefUpdate } from './hooks.ts';
import type { Lock } from './lock.ts';
import type { Push, PushHandler } from './push.ts';

/** Longest line to a pusher. */
const MAX_LINE = 2000;

export interface SessionOptions {
	readonly embedded: Embedded;
	readonly handler: PushHandler;
	/** Held from the check until the references have moved: pushes of a repository come one at a time. */
	readonly lock: Lock;
	readonly pusher: string;
	readonly asks: Readable;
	readonly answers: Writable;
	/** The pusher has gone, or the server closes. */
	readonly signal: AbortSignal;
	readonly log: Log;
}

/** Answers a push's hooks until they ask no more. Never rejects. */
export async function answerPush(options: SessionOptions): Promise<void> {
	const { asks, answers, signal, lock, embedded, log } = options;
	// Without answers a hook ends: before the check is done it refuses, after it nothing depends on it.
	const hangUp = () => answers.end();
	signal.addEventListener('abort', hangUp, { once: true });
	if (signal.aborted) hangUp();
	const say = (line: string) => void (answers.writable && answers.write(` ${line}\n`));
	const tell = (text: string) => printable(text).forEach(say);
	const read = createQuestionReader();
	let release: (() => void) | undefined;
	let accepted = false;
	try {
		for await (const chunk of asks as AsyncIterable<Buffer>) {
			for (const question of read(chunk.toString('utf8'))) {
				if (question.hook === 'pre-receive') {
					release = await lock.acquire(signal);
					accepted = await check(question, options, tell);
					if (!accepted) release();
					answer(answers, accepted ? 'accept' : 'refuse');
				} else {
					release?.();
					accepted = false;
					await report(question, options, tell);
					answer(answers, 'accept');
				}
			}
		}
	} catch (error) {
		if (!signal.aborted) {
			log.error({ repository: embedded.name, error: String(error) }, 'a push could not be answered');
			tell(`driftless failed to answer: ${error instanceof Error ? error.message : String(error)}`);
		}
		answers.end();
	} finally {
		signal.removeEventListener('abort', hangUp);
		release?.();
		// Accepted, and yet no word of what became of it: the references know.
		if (accepted) await embedded.announce();
	}
}

function answer(answers: Writable, verdict: 'accept' | 'refuse'): void {
	if (answers.writable) answers.write(`${verdict}\n`);
}

function pushOf({ ref, before, after = '' }: RefUpdate, question: Question, options: SessionOptions): Push {
	const { embedded, pusher, signal } = options;
	return { repository: embedded.name, ref, before, after, pusher, options: question.options, signal };
}

const isTracked = ({ handler, embedded }: SessionOptions, ref: string) =>
	handler.tracks?.(embedded.name, ref) ?? ref === 'refs/heads/main';

/** Whether the pushed commits, still in quarantine, are taken. */
async function check(question: Question, options: SessionOptions, tell: (text: string) => void): Promise<boolean> {
	const { embedded, handler, log, pusher } = options;
	const { repository } = embedded;
	const stale = await movedMeanwhile(question.updates, options);
	if (stale) {
		tell(`${stale} has moved on since you fetched it: fetch, rebase and push again`);
		return false;
	}
	const quarantine = repository.quarantine(question.environment);
	let accept = true;
	const stored: string[] = [];
	try {
		for (const update of question.updates) {
			if (!isTracked(options, update.ref)) {
				if (update.after) stored.push(update.ref);
				continue;
			}
			const { after } = update;
			if (!after) {
				tell(
					`${short(update.ref)} is deleted: what it described stays as it is, until ${short(update.ref)} is pushed again`,
				);
				continue;
			}
			const verdict = await handler.check({ ...pushOf(update, question, options), tree: () => quarantine.tree(after) });
			for (const line of verdict.lines) tell(line);
			accept &&= verdict.accept;
		}
	} finally {
		await quarantine[Symbol.asyncDispose]();
	}
	// One branch that is refused refuses the whole push.
	if (accept) for (const ref of stored) note(ref, tell);
	log.info({ repository: embedded.name, refs: question.updates.map(({ ref }) => ref), pusher, accept }, 'push checked');
	return accept;
}

/** A branch that another push has moved while this one was on its way. Git would refuse it too, after the check. */
async function movedMeanwhile(
	updates: readonly RefUpdate[],
	{ embedded }: SessionOptions,
): Promise<string | undefined> {
	for (const { ref, before } of updates) {
		if (ref.startsWith('refs/heads/') && (await embedded.repository.resolve(ref)) !== before) return short(ref);
	}
	return undefined;
}

function note(ref: string, tell: (text: string) => void): void {
	if (!ref.startsWith('refs/heads/')) return;
	tell(`${short(ref)} is stored, and changes nothing: no application follows it`);
	tell(`to apply it, push it to a branch that one follows: git push <remote> ${short(ref)}:main`);
}

/** What an accepted push does, as it happens. */
async function report(question: Question, options: SessionOptions, tell: (text: string) => void): Promise<void> {
	const { embedded, handler, log, signal } = options;
	await embedded.announce();
	for (const update of question.updates) {
		if (!update.after || !isTracked(options, update.ref)) continue;
		try {
			for await (const line of handler.accepted(pushOf(update, question, options))) tell(line);
		} catch (error) {
			if (signal.aborted) continue;
			log.warn(
				{ repository: embedded.name, ref: update.ref, error: String(error) },
				'the progress of a push cannot be shown',
			);
			tell(
				`the push is stored, but its progress cannot be shown: ${error instanceof Error ? error.message : String(error)}`,
			);
		}
	}
}

const short = (ref: string) => ref.replace(/^refs\/(?:heads|tags)\//, '');

/** Lines that can neither break the protocol nor the pusher's terminal. */
function printable(text: string): string[] {
	return text
		.split(/\r?\n/)
		.map((line) => line.replace(/[^\P{Cc}\t]/gu, ''))
		.map((line) => (line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line));
}
