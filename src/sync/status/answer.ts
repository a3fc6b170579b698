/** What a pusher is shown of the applications that a push concerns, line by line, until each has converged or the time is over. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Application, type Key, keyOf } from '../../kinds/index.ts';
import { nameOf, type Outcome, whereOf } from '../operation/execute.ts';
import type { Push } from '../push/index.ts';
import { isAt, revisionText } from '../revision.ts';
import { unsupported } from '../want/unsupported.ts';
import type { Progress } from './progress.ts';
import { short } from './revision.ts';

/** When a pusher is first told what is waited for, and how often at most what has changed of it, in ms. */
const FIRST_WORD_MS = 2_000;
const REMIND_MS = 5_000;
/** How often what is waited for is looked at while nothing is heard, in ms. */
const LOOK_MS = 1_000;
/** What is waited for that is named when the time is over. */
const MAX_WAITING_LINES = 10;

/** Problems that a refused push shows. */
export const MAX_PROBLEM_LINES = 100;

/** One application's lines. */
export async function* answer(
	application: Application,
	push: Push,
	feed: AsyncIterable<Progress>,
	clock: () => number,
): AsyncIterable<string> {
	const key = keyOf(application);
	const wrong = unsupported(application.spec);
	if (wrong.length > 0) {
		yield `nothing is applied: ${wrong.join('; ')}`;
		return;
	}
	const automated = application.spec.syncPolicy?.automated;
	if (!automated || automated.enabled === false) {
		yield `automated sync is off; apply this revision with: driftless sync ${application.metadata.name}`;
		return;
	}
	const started = clock();
	const seconds = () => `${((clock() - started) / 1_000).toFixed(1)} s`;
	let waiting: readonly string[] = [];
	let said = '';
	let sayAt = started + FIRST_WORD_MS;
	let applied = 0;
	for await (const progress of withPauses(feed, LOOK_MS)) {
		if (progress?.type === 'unread') {
			yield `nothing is applied at present: ${progress.message}`;
			yield 'it goes on by itself when that can be read; see: driftless status';
			return;
		}
		if (progress && !(progress.revision && isAt(progress.revision, push.after))) {
			if (progress.type !== 'compared' || !progress.revision || isAt(progress.revision, push.before ?? '')) continue;
			yield `a newer revision, ${revisionText(progress.revision)}, has taken over`;
			return;
		}
		if (progress?.type === 'outcome') {
			applied++;
			yield outcomeLine(progress.outcome);
		} else if (progress?.type === 'finished') {
			if (progress.phase === 'Failed') {
				yield `sync failed after ${seconds()}: ${progress.message}`;
				yield `${progress.again ? 'it is tried again by itself; ' : ''}see: driftless status`;
				return;
			}
			yield `synced ${short(push.after)} in ${seconds()}`;
		} else if (progress?.type === 'compared') {
			if (progress.sync === 'Synced' && progress.health === 'Healthy') {
				if (applied === 0) yield 'nothing changed in the cluster';
				yield `converged in ${seconds()}: ${application.metadata.name} is in sync and healthy`;
				return;
			}
			if (progress.stays) {
				yield `not in sync: ${progress.stays}`;
				return;
			}
			waiting = progress.waiting;
		} else if (progress?.type === 'refused') {
			for (const line of progress.lines.slice(0, MAX_PROBLEM_LINES)) yield line;
			return;
		}
		if (waiting.length > 0 && clock() >= sayAt) {
			const [first = ''] = waiting;
			if (first !== said) yield `waiting for ${first}${waiting.length > 1 ? ` (and ${waiting.length - 1} more)` : ''}`;
			said = first;
			sayAt = clock() + REMIND_MS;
		}
	}
	if (push.signal.aborted) return;
	yield `not converged after ${seconds()}; it goes on without you. Still waiting for:`;
	const left = waiting.length > 0 ? waiting.slice(0, MAX_WAITING_LINES) : [`the sync of ${key}`];
	for (const line of left) yield `  ${line}`;
	if (waiting.length > MAX_WAITING_LINES) yield `  ... and ${waiting.length - MAX_WAITING_LINES} more`;
	yield 'see: driftless status';
}

/** Whatever comes first, of all. */
export async function* merged<T>(feeds: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
	const iterators = feeds.map((feed) => feed[Symbol.asyncIterator]());
	const step = async (iterator: AsyncIterator<T>) => ({ iterator, result: await iterator.next() });
	const waiting = new Map(iterators.map((iterator) => [iterator, step(iterator)]));
	while (waiting.size > 0) {
		const { iterator, result } = await Promise.race(waiting.values());
		if (result.done) waiting.delete(iterator);
		else {
			waiting.set(iterator, step(iterator));
			yield result.value;
		}
	}
}

/** Lines with the application that they speak of. */
export async function* named(key: Key, lines: AsyncIterable<string>): AsyncGenerator<string> {
	const name = key.replace(/^default\//, '');
	for await (const line of lines) yield `${name}: ${line}`;
}

/** What is told, and undefined whenever nothing was for so many milliseconds. */
async function* withPauses<T>(feed: AsyncIterable<T>, ms: number): AsyncGenerator<T | undefined> {
	const events = feed[Symbol.asyncIterator]();
	let next = events.next();
	for (;;) {
		const timer = new AbortController();
		const first = await Promise.race([next, delay(ms, undefined, { signal: timer.signal })]);
		timer.abort();
		if (first?.done) return;
		yield first?.value;
		if (first) next = events.next();
	}
}

function outcomeLine({ action, object, message }: Outcome): string {
	const where = whereOf(object);
	if (action === 'failed') return `failed     ${nameOf(object)}${where}: ${message}`;
	if (action === 'kept') return message;
	return `${action.padEnd(10)} ${nameOf(object)}${where}`;
}
