/** When an application is synced, and how: pure, with the time as an argument. */
import type { Application, Operation, OperationState } from '../../kinds/index.ts';
import { short } from '../status/revision.ts';

/** How long a drifted object stays as it is before self-heal mends it, and how that grows while the same object drifts again. */
export const SELF_HEAL_DELAY_MS = 5_000;
export const SELF_HEAL_MAX_DELAY_MS = 300_000;
/** Backoff of a failed automated sync, where the application's retry policy names none. */
export const RETRY_DELAY_MS = 5_000;
export const RETRY_MAX_DELAY_MS = 180_000;

export interface Situation {
	readonly application: Application;
	/** The revision that was compared; undefined while none could be rendered. */
	readonly revision: string | undefined;
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
	/** The revision of the last sync that succeeded. */
	readonly syncedRevision: string | undefined;
	/** The last sync, if it failed or was cut off: of which revision, how often in a row, and when. */
	readonly failure: { readonly revision: string; readonly count: number; readonly at: number } | undefined;
}

export type Decision =
	| {
			readonly do: 'sync';
			readonly why: 'requested' | 'revision' | 'self-heal';
			readonly operation: Operation;
			readonly prune: boolean;
			readonly retries: number;
			/** What the status says of it, where it has begun already. */
			readonly continues?: OperationState;
	  }
	/** Somebody asked to end the sync that runs. */
	| { readonly do: 'terminate'; readonly running: OperationState }
	| { readonly do: 'wait'; readonly until: number }
	/** `blocked` says what keeps it out of sync, where something does. */
	| { readonly do: 'nothing'; readonly blocked?: string };

export function decide(situation: Situation, now: number): Decision {
	const { application, revision, failure } = situation;
	const requested = application.operation;
	if (requested) {
		const prune = requested.sync?.prune ?? false;
		return { do: 'sync', why: 'requested', operation: requested, prune, retries: 0 };
	}
	const running = application.status?.operationState;
	if (running?.phase === 'Terminating') return { do: 'terminate', running };
	if (running?.phase === 'Running') {
		const { operation, retryCount: retries = 0 } = running;
		const prune = operation.sync?.prune ?? false;
		const why = reasonOf(operation);
		// What a sync by itself has begun it goes on with, unless there is something newer.
		if (why === 'requested' || operation.sync?.revision === revision)
			return { do: 'sync', why, operation, prune, retries, continues: running };
		if (revision !== undefined) {
			const sync = { ...operation.sync, revision };
			return { do: 'sync', why: 'revision', operation: { ...operation, sync }, prune, retries: 0 };
		}
	}
	const automated = application.spec.syncPolicy?.automated;
	if (!automated || automated.enabled === false || revision === undefined) return { do: 'nothing' };
	const prune = automated.prune ?? false;
	const due = situation.outOfSync + (prune ? situation.gone : 0);
	if (due + situation.held === 0) return { do: 'nothing' };
	if (situation.wanted === 0 && situation.gone > 0 && !automated.allowEmpty) {
		return {
			do: 'nothing',
			blocked: `the source has no objects any more and all ${situation.gone} objects of the application would be pruned; if that is meant, set spec.syncPolicy.automated.allowEmpty to true`,
		};
	}
	const operation: Operation = {
		sync: { revision, prune, syncOptions: application.spec.syncPolicy?.syncOptions },
		initiatedBy: { automated: true },
	};
	if (failure?.revision === revision) {
		const limit = application.spec.syncPolicy?.retry?.limit ?? -1;
		if (limit >= 0 && failure.count > limit) {
			return {
				do: 'nothing',
				blocked: `the sync of ${short(revision)} failed ${failure.count} times, the limit of its retry policy; push a new revision or sync by hand`,
			};
		}
		const until = failure.at + retryDelay(application, failure.count);
		return until > now
			? { do: 'wait', until }
			: { do: 'sync', why: 'revision', operation, prune, retries: failure.count };
	}
	if (due > 0 && situation.syncedRevision !== revision)
		return { do: 'sync', why: 'revision', operation, prune, retries: 0 };
	// To take back what nobody changed undoes nothing.
	if (!automated.selfHeal && due > 0) return { do: 'nothing' };
	if (situation.healAt === undefined) return { do: 'nothing' };
	return situation.healAt > now
		? { do: 'wait', until: situation.healAt }
		: { do: 'sync', why: 'self-heal', operation: healing(operation), prune, retries: 0 };
}

/** Argo CD's mark of a self-heal. */
const healing = (operation: Operation): Operation => ({
	...operation,
	sync: { ...operation.sync, autoHealAttemptsCount: 1 },
});

/** Why an operation was begun. */
function reasonOf({ initiatedBy, sync }: Operation): 'requested' | 'revision' | 'self-heal' {
	if (!initiatedBy?.automated) return 'requested';
	return sync?.autoHealAttemptsCount ? 'self-heal' : 'revision';
}

/** Milliseconds before attempt `failures + 1`. Source: Argo CD, spec.syncPolicy.retry.backoff (duration, factor, maxDuration). */
export function retryDelay(application: Application, failures: number): number {
	const backoff = application.spec.syncPolicy?.retry?.backoff;
	const first = parseDuration(backoff?.duration) ?? RETRY_DELAY_MS;
	const longest = parseDuration(backoff?.maxDuration) ?? RETRY_MAX_DELAY_MS;
	return Math.min(longest, first * (backoff?.factor ?? 2) ** (failures - 1));
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
