/** What a push is answered: first whether every application that follows the branch can take it, then what it changed, until all has converged. */
import { Application, type ApplicationSource, keyOf } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import type { Applications } from '../application.ts';
import { referenceNames } from '../git/index.ts';
import type { Push, PushHandler, QuarantinedPush, Verdict } from '../push/index.ts';
import { formatProblem } from '../render/index.ts';
import { sourcesOf } from '../revision.ts';
import { unsupported } from '../want/unsupported.ts';
import { answer, MAX_PROBLEM_LINES, merged, named } from './answer.ts';
import { short } from './revision.ts';

/** How long a pusher is shown progress at most, in ms, where nothing else is configured. */
export const DEFAULT_PUSH_WAIT_MS = 30_000;
/** A server that has just been started, or that the store was away from, leads (again) within this, in ms. */
const LEAD_WAIT_MS = 20_000;
/** Passed-over files that an accepted push shows, and warnings. */
const MAX_NOTES = 5;
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
			if (applications.outside(application.metadata.namespace) !== undefined) continue;
			const isMoved = ({ repoURL, targetRevision }: ApplicationSource) =>
				follows(repoURL, repository) && namesOf(targetRevision).includes(ref);
			if (sourcesOf(application).some(isMoved)) found.push(application);
		}
		return found;
	};

	return {
		async busy(signal) {
			const patience = AbortSignal.any([signal, AbortSignal.timeout(LEAD_WAIT_MS)]);
			return (await applications.attached(patience)) ? undefined : NOT_LEADING;
		},

		tracks: (repository, ref) => concerned(repository, ref).length > 0,

		async check(push: QuarantinedPush): Promise<Verdict> {
			const { context } = applications;
			if (!context) return { accept: false, lines: [NOT_LEADING] };
			const tree = await push.tree();
			const revision = short(tree.revision);
			const lines: string[] = [];
			const ignored: string[] = [];
			const warnings: string[] = [];
			/** What one push brings to a source: another branch of the same repository may be another source. */
			const pushed = ({ repoURL, targetRevision }: ApplicationSource) => {
				if (!follows(repoURL, push.repository)) return undefined;
				const found = namesOf(targetRevision).find((ref) => push.moved.has(ref));
				return found === undefined ? undefined : push.moved.get(found)?.();
			};
			let objects = 0;
			for (const application of concerned(push.repository, push.ref)) {
				// It is synced by nothing, whatever is pushed.
				if (unsupported(application.spec).length > 0) continue;
				const state = applications.state(keyOf(application));
				const checked = await state.checkPushed(pushed, application, context.client, push.signal);
				objects += checked.desired.size;
				lines.push(...checked.problems.map(formatProblem));
				warnings.push(...checked.warnings.map(formatProblem));
				ignored.push(
					...[...checked.repeated, ...checked.ignored].map(formatProblem),
					...checked.unread.map((source) => `${source} cannot be read at present: what it describes was not looked at`),
				);
			}
			const unique = [...new Set(lines)];
			if (unique.length === 0)
				return {
					accept: true,
					lines: [
						`${revision} is valid: ${count(objects, 'object')}`,
						...notes('warning', warnings),
						...notes('note', ignored),
					],
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
				yield* merged(
					feeds.map(({ application, key, feed }) => {
						const lines = answer(application, push, feed, now);
						return feeds.length > 1 ? named(key, lines) : lines;
					}),
				);
			} finally {
				stop.abort();
			}
		},
	};
}

/** The branches and tags that a target revision may mean, the likeliest first. HEAD is the embedded repository's main. */
function namesOf(targetRevision: string | undefined): readonly string[] {
	return referenceNames(!targetRevision || targetRevision === 'HEAD' ? 'refs/heads/main' : targetRevision);
}

/** What of a push is passed over, or worth a second look. */
function notes(word: 'note' | 'warning', texts: readonly string[]): string[] {
	const unique = [...new Set(texts)];
	const more = unique.length - MAX_NOTES;
	return [
		...unique.slice(0, MAX_NOTES).map((line) => `${word}: ${line}`),
		...(more > 0 ? [`${word}: ... and ${more} more`] : []),
	];
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;
