/** When an application is synced, and how: pure, with the time as an argument. */
import { equalJson } from '../../diff/index.ts';
import type { Application, Operation, OperationState, RetryStrategy } from '../../kinds/index.ts';
import { type Revision, recordOf, revisionFrom, revisionText, sameRevision } from '../revision.ts';
import { isSelective } from './selection.ts';

/** How long a drifted object stays as it is before self-heal mends it, and how that grows while the same object drifts again. */
export const SELF_HEAL_DELAY_MS = 5_000;
export const SELF_HEAL_MAX_DELAY_MS = 300_000;
/** Backoff of a failed sync, where its retry policy names none. */
export const RETRY_DELAY_MS = 5_000;
export const RETRY_MAX_DELAY_MS = 180_000;

/** How often a sync by itself is tried again where the application's retry policy does not say. Source: Argo CD, "Automated Sync". */
export const DEFAULT_RETRY_LIMIT = 5;

export interface Situation {
	readonly application: Application;
	/** What was compared; undefined while nothing could be rendered. */
	readonly revision: Revision | undefined;
	/** Objects that are missing or have drifted. */
	readonly outOfSync: number;
	/** Objects that are as they should be, but whose fields others hold. */
	readonly held: number;
	/** Objects in the cluster that left the source. */
	readonly gone: number;
	/** Objects that the source wants. */
	readonly wanted: number;
	/** When the earliest drift that is due for self-heal may be mended; undefined where none is known. */
	readonly healAt: number | undefined;
	/** What the cluster was brought to last. */
	readonly synced: Revision | undefined;
	/** Whether what the last attempt stumbled over is no longer there, or the namespace that it lacked is. */
	readonly freed: boolean;
}

export type Decision =
	| {
			readonly do: 'sync';
			readonly why: 'requested' | 'revision' | 'self-heal';
			readonly operation: Operation;
			/** What the status says of it, where it has begun already. */
			readonly continues?: OperationState;
	  }
	/** Ends the sync that runs: somebody asked for it, or it has lost its object. */
	| { readonly do: 'end'; readonly running: OperationState; readonly message: string }
	| { readonly do: 'wait'; readonly until: number; readonly for: 'retry' | 'self-heal' }
	/** `blocked` says what keeps it out of sync, where something does. */
	| { readonly do: 'nothing'; readonly blocked?: string };

/**
 * One operation runs at a time. What was asked for runs to its end; what a sync by itself has begun gives way to a request and
 * to something newer. A failed attempt is a part of its operation: that runs on until its retries are used up.
 * Source: Argo CD, "Automated Sync Policy" and the retry strategy of operations.
 */
export function decide(situation: Situation, now: number): Decision {
	const { application, revision, freed } = situation;
	const { operation: requested, status } = application;
	const running = status?.operationState;
	if (running?.phase === 'Terminating') return { do: 'end', running, message: 'the sync was terminated' };
	if (running?.phase === 'Running' && !givesWay(running, requested, revision)) {
		const { operation, finishedAt, retryCount = 0 } = running;
		const until =
			finishedAt === undefined || freed ? now : Date.parse(finishedAt) + retryDelay(operation.retry, retryCount);
		if (until > now) return { do: 'wait', until, for: 'retry' };
		return { do: 'sync', why: reasonOf(operation), operation, continues: running };
	}
	if (requested) return { do: 'sync', why: 'requested', operation: requested };
	const decision = decideAlone(situation, now);
	if (running?.phase !== 'Running' || decision.do === 'sync') return decision;
	const text = revision ? revisionText(revision) : 'what the source says now';
	return { do: 'end', running, message: `${text} has taken its place` };
}

/** Whether a sync that runs ends before its time. */
function givesWay(
	{ operation, syncResult }: OperationState,
	requested: Operation | undefined,
	revision: Revision | undefined,
): boolean {
	if (reasonOf(operation) === 'requested') return false;
	if (requested && !equalJson(requested, operation)) return true;
	return revision !== undefined && !sameRevision(revisionFrom(syncResult), revision);
}

/** What automation does while nothing runs. */
function decideAlone({ application, revision, synced, freed, healAt, ...counts }: Situation, now: number): Decision {
	const { automated, syncOptions, retry = { limit: DEFAULT_RETRY_LIMIT } } = application.spec.syncPolicy ?? {};
	if (!automated || automated.enabled === false || revision === undefined) return { do: 'nothing' };
	const prune = automated.prune ?? false;
	const due = counts.outOfSync + (prune ? counts.gone : 0);
	if (due + counts.held === 0) return { do: 'nothing' };
	if (counts.wanted === 0 && counts.gone > 0 && !automated.allowEmpty) {
		return {
			do: 'nothing',
			blocked: `the source has no objects any more and all ${counts.gone} objects of the application would be pruned; if that is meant, set spec.syncPolicy.automated.allowEmpty to true`,
		};
	}
	const last = application.status?.operationState;
	// As Argo CD: what failed for good is not begun again for the same commit and the same source.
	const tried = last?.phase === 'Failed' && !last.operation.sync?.dryRun && !isSelective(last.operation);
	if (tried && !freed && sameRevision(revisionFrom(last.syncResult), revision)) {
		const times = (last.retryCount ?? 0) + 1;
		const text = `the sync to ${revisionText(revision)} failed${times > 1 ? ` ${times} times, the limit of its retry policy` : ''}: ${last.message ?? ''}; push a new revision, mend what it says, or sync by hand`;
		return { do: 'nothing', blocked: text };
	}
	const { revision: commit, revisions } = recordOf(revision);
	const operation: Operation = {
		sync: { ...(revisions ? { revisions } : { revision: commit }), prune, syncOptions },
		initiatedBy: { automated: true },
		retry,
	};
	if (due > 0 && !sameRevision(synced, revision)) return { do: 'sync', why: 'revision', operation };
	// To take back what nobody changed undoes nothing.
	if (!automated.selfHeal && due > 0) return { do: 'nothing' };
	if (healAt === undefined) return { do: 'nothing' };
	return healAt > now
		? { do: 'wait', until: healAt, for: 'self-heal' }
		: { do: 'sync', why: 'self-heal', operation: healing(operation) };
}

/** Argo CD's mark of a self-heal. */
const healing = (operation: Operation): Operation => ({
	...operation,
	sync: { ...operation.sync, autoHealAttemptsCount: 1 },
});

/** Why an operation was begun. */
export function reasonOf({ initiatedBy, sync }: Operation): 'requested' | 'revision' | 'self-heal' {
	if (!initiatedBy?.automated) return 'requested';
	return sync?.autoHealAttemptsCount ? 'self-heal' : 'revision';
}

/** Milliseconds before the retry of this number, from 1. Source: Argo CD, retry.backoff (duration, factor, maxDuration). */
export function retryDelay({ backoff }: RetryStrategy = {}, retry = 1): number {
	const first = parseDuration(backoff?.duration) ?? RETRY_DELAY_MS;
	const longest = parseDuration(backoff?.maxDuration) ?? RETRY_MAX_DELAY_MS;
	return Math.min(longest, first * (backoff?.factor ?? 2) ** (retry - 1));
}

/** How long the drift of an object that was mended `mended` times lately is left alone. */
export function healDelay(mended: number): number {
	return Math.min(SELF_HEAL_MAX_DELAY_MS, SELF_HEAL_DELAY_MS * 2 ** mended);
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of a Go duration (`1m30s`) or a plain number of seconds; undefined for anything else. */
export function parseDuration(text: string | undefined): number | undefined {
	if (!text) return undefined;
	if (/^\d+$/.test(text)) return Number(text) * 1_000;
	if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
	return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)].reduce(
		(sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 0),
		0,
	);
}
