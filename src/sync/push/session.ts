/** One push: what its hooks ask, in order, and what they are answered. */
import type { Readable, Writable } from 'node:stream';
import type { Log } from '../../log.ts';
import { type Refs, shortName as short } from '../git/index.ts';
import { type Embedded, HeadMoved, type RefChange } from '../source/index.ts';
import { createQuestionReader, type Question } from './hooks.ts';
import type { Lock } from './lock.ts';
import type { Push, PushHandler } from './push.ts';
import { clashes, isBehind, unsound } from './references.ts';

/** Milliseconds that the check of one push may take: others wait for it. */
export const CHECK_TIME = 120_000;
/** Longest line to a pusher. */
const MAX_LINE = 2000;

export interface SessionOptions {
	readonly embedded: Embedded;
	readonly handler: PushHandler;
	/** Held from the check until the references have moved: pushes of a repository come one at a time. */
	readonly lock: Lock;
	/** Milliseconds that the check may take. */
	readonly checkTime: number;
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
	/** Where the heads were at the check. */
	let heads: Refs = new Map();
	/** Whether all heads of the push have moved. */
	let moved: Promise<boolean> | undefined;
	/** The question that was accepted. */
	let pushed: Question | undefined;
	let shown: Promise<readonly Shown[]> | undefined;
	const begin = async (question: Question) => {
		const done = await move(question.updates, heads, options, tell);
		if (done && embedded.heads.apart) shown = show(question, options);
		return done;
	};
	try {
		for await (const chunk of asks as AsyncIterable<Buffer>) {
			for (const question of read(chunk)) {
				if (question.hook === 'pre-receive') {
					if (lock.held) tell('another push is being checked; this one is next');
					release = await lock.acquire(signal);
					const busy = await options.handler.busy?.(signal);
					if (busy) tell(busy);
					// Read when this server leads: what another one has taken until then is known.
					else heads = await embedded.heads.read();
					accepted = !busy && (await check(question, heads, options, tell));
					if (accepted) pushed = question;
					else release();
					answer(answers, accepted ? 'accept' : 'refuse');
				} else if (question.hook === 'update') {
					// Git asks for one reference after the other; those of an atomic push it then moves all or none.
					if (accepted && pushed) moved ??= begin(pushed);
					answer(answers, (await moved) ? 'accept' : 'refuse');
				} else {
					release?.();
					accepted = false;
					if (pushed) shown ??= show(pushed, options);
					await report((await shown) ?? [], options, tell);
					answer(answers, 'accept');
				}
			}
		}
	} catch (error) {
		if (!signal.aborted) {
			log.error({ repository: embedded.name, error: String(error) }, 'a push could not be answered');
			tell(`driftless failed to answer: ${error instanceof Error ? error.message : String(error)}`);
			answer(answers, 'refuse');
		}
		answers.end();
	} finally {
		signal.removeEventListener('abort', hangUp);
		release?.();
		for (const { lines } of (await shown) ?? []) lines.return?.().catch(() => {});
		// Accepted, and yet no word of what became of it: the references know.
		if (accepted) await embedded.announce();
	}
}

function answer(answers: Writable, verdict: 'accept' | 'refuse'): void {
	if (answers.writable) answers.write(`${verdict}\n`);
}

function pushOf(
	{ ref, before, after = '' }: RefChange,
	question: Question,
	{ embedded, pusher }: SessionOptions,
	signal: AbortSignal,
): Push {
	return { repository: embedded.name, ref, before, after, pusher, options: question.options, signal };
}

const isTracked = ({ handler, embedded }: SessionOptions, ref: string) =>
	handler.tracks?.(embedded.name, ref) ?? ref === 'refs/heads/main';

/** Whether the pushed commits, still in quarantine, are taken. */
async function check(
	question: Question,
	heads: Refs,
	options: SessionOptions,
	tell: (text: string) => void,
): Promise<boolean> {
	const { embedded, handler, log, pusher } = options;
	const quarantine = embedded.repository.quarantine(question.environment);
	const late = AbortSignal.timeout(options.checkTime);
	const signal = AbortSignal.any([options.signal, late]);
	let accept = true;
	const stored: string[] = [];
	try {
		const clash = unsound(question.updates) ?? clashes(question.updates, heads);
		if (clash) {
			tell(clash);
			return false;
		}
		for (const update of question.updates) {
			const behind = await isBehind(update, heads.get(update.ref), quarantine, embedded);
			if (behind) tell(behind);
			accept &&= !behind;
		}
		if (!accept) return false;
		const moved = new Map(
			question.updates.flatMap(({ ref, after }) => (after ? [[ref, () => quarantine.tree(after)] as const] : [])),
		);
		// An application that follows two of the branches is checked with each, and says the same.
		const told = new Set<string>();
		for (const update of question.updates) {
			if (!isTracked(options, update.ref)) {
				if (update.after) stored.push(update.ref);
				continue;
			}
			const tree = moved.get(update.ref);
			if (!tree) {
				tell(
					`${short(update.ref)} is deleted: what it described stays as it is, until ${short(update.ref)} is pushed again`,
				);
				continue;
			}
			const push = pushOf(update, question, options, signal);
			const verdict = await handler.check({ ...push, tree, moved });
			for (const line of verdict.lines) if (!told.has(line)) tell(line);
			for (const line of verdict.lines) told.add(line);
			accept &&= verdict.accept;
		}
	} catch (error) {
		if (!late.aborted || options.signal.aborted) throw error;
		tell(`the check took longer than ${options.checkTime / 1_000} s, and was stopped: push less at once`);
		return false;
	} finally {
		// Its child is killed; nobody waits for the end of that.
		void quarantine[Symbol.asyncDispose]();
	}
	// One branch that is refused refuses the whole push.
	if (accept) for (const ref of stored) note(ref, tell);
	log.info({ repository: embedded.name, refs: question.updates.map(({ ref }) => ref), pusher, accept }, 'push checked');
	return accept;
}

/** Moves the heads of all branches and tags of a push, or none, the moment before git moves its references. */
async function move(
	updates: readonly RefChange[],
	heads: Refs,
	{ embedded, log }: SessionOptions,
	tell: (text: string) => void,
): Promise<boolean> {
	const kept = updates.filter(({ ref }) => /^refs\/(?:heads|tags)\//.test(ref));
	try {
		for (const { after } of kept) {
			for (const { origin } of after ? await embedded.exchange.spread(after) : [])
				tell(`the server at ${origin} does not have this push yet; it fetches it when it needs it`);
		}
		await embedded.heads.move(kept.map((update) => ({ ...update, before: heads.get(update.ref) })));
		return true;
	} catch (error) {
		const moved = error instanceof HeadMoved;
		if (!moved) log.error({ repository: embedded.name, error: String(error) }, 'a push could not be stored');
		for (const { ref } of kept)
			tell(
				moved
					? `${short(ref)} has moved on meanwhile: fetch, rebase and push again`
					: `${short(ref)} could not be stored: ${error instanceof Error ? error.message : String(error)}`,
			);
		return false;
	}
}

function note(ref: string, tell: (text: string) => void): void {
	if (!ref.startsWith('refs/heads/')) return;
	tell(`${short(ref)} is stored, and changes nothing: no application follows it`);
	// As a shell and git take it: a name may look like an option, and hold what a shell would run.
	const name = short(ref).startsWith('-') ? ref : short(ref);
	const target = `${name}:main`;
	const quoted = /^[\w./:@+-]+$/.test(target) ? target : `'${target.replaceAll("'", "'\\''")}'`;
	tell(`to apply it, push it to a branch that one follows: git push <remote> ${quoted}`);
}

/** What an accepted push of one reference does, as it happens. */
interface Shown {
	readonly ref: string;
	readonly lines: AsyncIterator<string>;
	/** Asked for already, so that nothing is missed of what happens before somebody reads on. */
	readonly first: Promise<IteratorResult<string>>;
}

/**
 * The heads have moved, which is what counts: all who follow them are told while git still moves its references, and what they
 * do is noted for the pusher.
 */
async function show(question: Question, options: SessionOptions): Promise<Shown[]> {
	const { embedded, handler, log, signal } = options;
	// What is told of it begins with what they have seen: of a look before the push nobody wants to hear.
	await embedded
		.announce()
		.catch((error: unknown) =>
			log.warn({ repository: embedded.name, error: String(error) }, 'a push was not looked at by all who follow it'),
		);
	const shown: Shown[] = [];
	for (const update of question.updates) {
		if (!update.after || !isTracked(options, update.ref)) continue;
		// Applications know an annotated tag by its commit.
		const after = (await embedded.repository.resolve(update.after).catch(() => undefined)) ?? update.after;
		const lines = handler.accepted(pushOf({ ...update, after }, question, options, signal))[Symbol.asyncIterator]();
		const first = lines.next();
		first.catch(() => {});
		shown.push({ ref: update.ref, lines, first });
	}
	return shown;
}

/** Reads on to the end of what is shown. */
async function report(
	shown: readonly Shown[],
	{ embedded, log, signal }: SessionOptions,
	tell: (text: string) => void,
): Promise<void> {
	for (const { ref, lines, first } of shown) {
		try {
			for (let line = await first; !line.done; line = await lines.next()) tell(line.value);
		} catch (error) {
			if (signal.aborted) continue;
			log.warn({ repository: embedded.name, ref, error: String(error) }, 'the progress of a push cannot be shown');
			tell(
				`the push is stored, but its progress cannot be shown: ${error instanceof Error ? error.message : String(error)}`,
			);
		}
	}
}

/** Lines that can neither break the protocol nor the pusher's terminal. */
function printable(text: string): string[] {
	return text
		.split(/\r?\n/)
		.map((line) => line.replace(/[^\P{Cc}\t]/gu, ''))
		.map((line) => (line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line));
}
