/** How an attempt of a sync ends: in success, in failure, or to be tried again. */
import type { Application, OperationState } from '../../kinds/index.ts';
import type { Context } from '../../reconcile/index.ts';
import { type Revision, recordOf, revisionText } from '../revision.ts';
import type { ApplicationState } from '../state.ts';
import { cut } from '../status/fit.ts';
import { timestamp, writeStatus } from '../status/write-status.ts';
import { type Decision, retryDelay } from './decide.ts';
import { appendHistory } from './record.ts';
import { take } from './request.ts';
import { isSelective } from './selection.ts';

/** `revision` is undefined where it could not even be said which one it would be. */
export async function finish(
	application: Application,
	running: OperationState,
	revision: Revision | undefined,
	why: (Decision & { do: 'sync' })['why'],
	failure: string | undefined,
	state: ApplicationState,
	context: Context,
): Promise<void> {
	const { client, events } = context;
	const { operation } = running;
	const dryRun = operation.sync?.dryRun ?? false;
	const ok = failure === undefined;
	state.attempt = undefined;
	const finishedAt = timestamp(context);
	const again = ok || dryRun ? undefined : retryOf(running, failure, finishedAt);
	if (again) {
		await writeStatus(application, { operationState: again }, client);
		state.progress.tell({ type: 'finished', revision, phase: 'Failed', message: again.message ?? '', again: true });
		return;
	}
	state.aside = undefined;
	const done = dryRun ? 'successfully synced (dry run, nothing was changed)' : 'successfully synced (all tasks run)';
	const message = cut(failure ?? done);
	const phase = ok ? 'Succeeded' : 'Failed';
	const whole = ok && !dryRun && !isSelective(operation) && revision !== undefined;
	if (whole) state.synced = revision;
	const syncResult = running.syncResult ?? (revision && recordOf(revision));
	// A sync of some objects, or of none, is not one to go back to.
	const history =
		whole && why !== 'self-heal'
			? appendHistory(application, revision, running.startedAt, finishedAt, operation)
			: application.status?.history;
	await writeStatus(
		application,
		{ operationState: { ...running, phase, message, finishedAt, syncResult }, history },
		client,
	);
	const to = revision ? ` to ${revisionText(revision)}` : '';
	const text = ok ? `Sync operation${to} succeeded` : `Sync operation${to} failed: ${message}`;
	events.event(application, ok ? 'Normal' : 'Warning', 'OperationCompleted', text);
	state.progress.tell({ type: 'finished', revision, phase, message, again: false });
}

/** The operation with one more retry before it; undefined where they are used up. Source: Argo CD, the retry strategy of operations. */
function retryOf(running: OperationState, failure: string, finishedAt: string): OperationState | undefined {
	const { retry } = running.operation;
	const { limit = 0 } = retry ?? {};
	const retryCount = (running.retryCount ?? 0) + 1;
	if (!retry || (limit >= 0 && retryCount > limit)) return undefined;
	const at = new Date(Date.parse(finishedAt) + retryDelay(retry, retryCount)).toISOString();
	const message = `${cut(failure)}. Retrying attempt #${retryCount} at ${at.slice(11, 19)} UTC.`;
	return { ...running, retryCount, finishedAt, message };
}

/** Ends a sync, or answers a request for one, that cannot be carried out at all. */
export async function refuse(
	application: Application,
	running: Pick<OperationState, 'operation'> & Partial<OperationState>,
	message: string,
	state: ApplicationState,
	context: Context,
): Promise<void> {
	const now = timestamp(context);
	const { operation, startedAt = now } = running;
	const ended: OperationState = {
		...running,
		operation,
		startedAt,
		phase: 'Failed',
		message: cut(message),
		finishedAt: now,
	};
	state.attempt = undefined;
	state.aside = undefined;
	await writeStatus(application, { operationState: ended }, context.client);
	await take(application, operation, context);
	state.progress.tell({ type: 'finished', revision: state.revision, phase: 'Failed', message, again: false });
}
