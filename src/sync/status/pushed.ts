/** What a push is answered: first whether every application that follows the branch can take it, then what it changed, until all has converged. */
import { setTimeout as delay } from 'node:timers/promises';
import { Application, type Key, keyOf } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import type { Applications } from '../application.ts';
import { referenceNames } from '../git/index.ts';
import { nameOf, type Outcome, whereOf } from '../operation/execute.ts';
import type { Push, PushHandler, Verdict } from '../push/index.ts';
import { formatProblem } from '../render/index.ts';
import { isAt, revisionText } from '../revision.ts';
import type { Tree } from '../source/index.ts';
import type { Progress } from './progress.ts';
import { short } from './revision.ts';

/** How long a pusher is shown progress at most, in ms, where nothing else is configured. */
export const DEFAULT_PUSH_WAIT_MS = 30_000;
/** Problems that a refused push shows. */
const MAX_PROBLEM_LINES = 100;
/** Passed-over files that an accepted push shows. */
const MAX_NOTES = 5;
/** When a pusher is first told what is waited for, and how often at most what has changed of it, in ms. */
const FIRST_WORD_MS = 2_000;
const REMIND_MS = 5_000;
/** How often what is waited for is looked at while nothing is heard, in ms. */
const LOOK_MS = 1_000;
/** What is waited for that is named when the time is over. */
const MAX_WAITING_LINES = 10;

const NOT_LEADING = 'this server does not lead the control plane at the moment; push again in a few seconds';

export interface PushedOptions {
	readonly applications: Applications;
	/** The repository URL that applications follow an embedded repository by. */
	readonly follows: (repoURL: string, repository: string) => boolean;
	/** How long the pusher is shown progress; 0 does not wait. */
	readonly waitMs: number;
	readonly log: Log;
	readonly now: () => number;
}

export function createPushHandler({ applications, follows, waitMs, log, now }: PushedOptions): PushHandler {
	/** The applications that a push to this branch concerns. */
	const concerned = (repository: string, ref: string): Application[] => {
		const found: Application[] = [];
		for (const application of applications.context?.cache.informer(Application).list() ?? []) {
			const { source } = application.spec;
			if (source && follows(source.repoURL, repository) && tracks(source.targetRevision, ref)) found.push(application);
		}
		return found;
	};

	return {
		busy: () => (applications.context ? undefined : NOT_LEADING),

		tracks: (repository, ref) => concerned(repository, ref).length > 0,

		async check(push: Push & { tree(): Promise<Tree> }): Promise<Verdict> {
			const { context } = applications;
			if (!context) return { accept: false, lines: [NOT_LEADING] };
			const tree = await push.tree();
			const revision = short(tree.revision);
			const lines: string[] = [];
			const ignored: string[] = [];
			let objects = 0;
			for (const application of concerned(push.repository, push.ref)) {
				const state = applications.state(keyOf(application));
				const { problems, desired, ...checked } = await state.check(tree, application, context.client, push.signal);
				objects += desired.size;
				lines.push(...problems.map(formatProblem));
				ignored.push(...checked.ignored.map(formatProblem));
			}
			const unique = [...new Set(lines)];
			if (unique.length === 0)
				return {
					accept: true,
					lines: [`${revision} is valid: ${count(objects, 'object')}`, ...notes(ignored)],
				};
			log.info({ repository: push.repository, commit: push.after, problems: unique.length }, 'push refused');
			const more = unique.length - MAX_PROBLEM_LINES;
			return {
				accept: false,
				lines: [
					...unique.slice(0, MAX_PROBLEM_LINES),
					...(more > 0 ? [`... and ${more} more`] : []),
					`refused: ${count(unique.length, 'problem')} in ${revision}; nothing of this push is applied`,
				],
			};
		},

		async *accepted(push: Push): AsyncIterable<string> {
			const stop = new AbortController();
			const signal = AbortSignal.any([push.signal, stop.signal, ...(waitMs > 0 ? [AbortSignal.timeout(waitMs)] : [])]);
			const feeds = concerned(push.repository, push.ref).map((application) => {
				const key = keyOf(application);
				const state = applications.state(key);
				const feed = state.progress.listen(signal);
				state.markStale();
				applications.queue(key);
				return { application, key, feed };
			});
			try {
				if (waitMs <= 0) return;
				for (const { application, key, feed } of feeds) yield* tell(application, key, push, feed, now);
			} finally {
				stop.abort();
			}
		},
	};

	async function* tell(
		application: Application,
		key: Key,
		push: Push,
		feed: AsyncIterable<Progress>,
		clock: () => number,
	): AsyncIterable<string> {
		const automated = application.spec.syncPolicy?.automated;
		if (!automated || automated.enabled === false) {
			yield `${application.metadata.name}: automated sync is off; apply this revision with: driftless sync ${application.metadata.name}`;
			return;
		}
		const started = clock();
		const seconds = () => `${((clock() - started) / 1_000).toFixed(1)} s`;
		let waiting: readonly string[] = [];
		let said = '';
		let sayAt = started + FIRST_WORD_MS;
		let applied = 0;
		for await (const progress of withPauses(feed, LOOK_MS)) {
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
					yield 'it is tried again by itself; see: driftless status';
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
				if (first !== said)
					yield `waiting for ${first}${waiting.length > 1 ? ` (and ${waiting.length - 1} more)` : ''}`;
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

/** Whether a target revision may mean the branch or tag. HEAD is the embedded repository's main. */
function tracks(targetRevision: string | undefined, ref: string): boolean {
	const wanted = !targetRevision || targetRevision === 'HEAD' ? 'refs/heads/main' : targetRevision;
	return referenceNames(wanted).includes(ref);
}

/** What of a push is passed over. */
function notes(ignored: readonly string[]): string[] {
	const unique = [...new Set(ignored)];
	const more = unique.length - MAX_NOTES;
	return [
		...unique.slice(0, MAX_NOTES).map((line) => `note: ${line}`),
		...(more > 0 ? [`note: ... and ${more} more`] : []),
	];
}

function outcomeLine({ action, object, message }: Outcome): string {
	const where = whereOf(object);
	if (action === 'failed') return `failed     ${nameOf(object)}${where}: ${message}`;
	if (action === 'kept') return message;
	return `${action.padEnd(10)} ${nameOf(object)}${where}`;
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;
