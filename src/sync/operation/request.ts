/** How a sync begins: it is in the status first, and only then the request is taken away, so that none is ever lost. */
import { equalJson } from '../../diff/index.ts';
import {
	ApiError,
	Application,
	type ApplicationSource,
	type Operation,
	type OperationState,
	type SyncOperation,
} from '../../kinds/index.ts';
import type { Context } from '../../reconcile/index.ts';
import { recordOf } from '../revision.ts';
import type { ApplicationState } from '../state.ts';
import { timestamp, writeStatus } from '../status/write-status.ts';
import type { Decision } from './decide.ts';

/** The revisions that a sync is asked for, one for each source; undefined where it is about what the spec names. */
export function revisionsOf({ revision, revisions }: SyncOperation): readonly string[] | undefined {
	if (revisions && revisions.length > 0) return revisions;
	return revision ? [revision] : undefined;
}

/** The sources that it is asked for instead of those of the spec. */
export function othersOf({ source, sources }: SyncOperation): readonly ApplicationSource[] | undefined {
	if (sources && sources.length > 0) return sources;
	return source && [source];
}

/** What the status says of the sync from now on: that it has begun, goes on, or is tried again. */
export async function begin(
	application: Application,
	{ operation, why, continues }: Decision & { do: 'sync' },
	state: ApplicationState,
	context: Context,
): Promise<OperationState> {
	if (continues && continues.finishedAt === undefined) {
		await take(application, operation, context);
		return { ...continues, message: 'syncing' };
	}
	state.stumbled = undefined;
	state.attempt = undefined;
	const running: OperationState = {
		operation,
		phase: 'Running',
		startedAt: continues?.startedAt ?? timestamp(context),
		message: 'syncing',
		...(continues?.retryCount ? { retryCount: continues.retryCount } : {}),
		...(why !== 'requested' && state.revision ? { syncResult: recordOf(state.revision) } : {}),
	};
	await writeStatus(application, { operationState: running }, context.client);
	await take(application, operation, context);
	return running;
}

/** Takes the request away that `operation` answers; another one that came meanwhile stays. */
export async function take(application: Application, operation: Operation, { client }: Context): Promise<void> {
	if (!application.operation || !equalJson(application.operation, operation)) return;
	const { name, namespace } = application.metadata;
	const body = [
		{ op: 'test', path: '/operation', value: application.operation },
		{ op: 'remove', path: '/operation' },
	];
	try {
		await client.patch(Application, { name, namespace }, { type: 'json', body });
	} catch (error) {
		// The test fails where it has been taken or replaced.
		if (!(error instanceof ApiError) || error.reason !== 'Invalid') throw error;
	}
}
