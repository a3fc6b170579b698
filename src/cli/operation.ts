/** Asks for a sync, as Argo CD's clients do, and waits for its outcome. */
import { userInfo } from 'node:os';
import type { Client } from '../client/index.ts';
import { Application, type Operation, type OperationState } from '../kinds/index.ts';
import { UserError } from './user-error.ts';

/** How long a sync may take before a command stops waiting for it, in ms. */
export const SYNC_WAIT_MS = 300_000;

/** Settles with how the operation ended. It goes on in the control plane if the command is interrupted. */
export async function operate(
	client: Client,
	application: Application,
	operation: Operation,
	waitMs = SYNC_WAIT_MS,
): Promise<OperationState> {
	const { name, namespace } = application.metadata;
	const running = application.status?.operationState;
	// One that automated sync has begun gives way. Argo CD refuses a second one as well.
	if (application.operation || (running?.phase === 'Running' && !running.operation.initiatedBy?.automated)) {
		throw new UserError(
			`${name} is being synced at the moment${running?.message ? ` (${running.message})` : ''}; try again when that has ended, or end it: kubectl patch application ${name} -n ${namespace} --type merge -p '{"status":{"operationState":{"phase":"Terminating"}}}'`,
		);
	}
	const signal = AbortSignal.timeout(waitMs);
	const asked = await client.patch(
		Application,
		{ name, namespace },
		{ type: 'merge', body: { operation: { ...operation, initiatedBy: { username: userInfo().username } } } },
	);
	const before = application.status?.operationState;
	for await (const events of client.watch(Application, {
		namespace,
		fieldSelector: `metadata.name=${name}`,
		resourceVersion: asked.metadata.resourceVersion,
		signal,
	})) {
		for (const event of events) {
			if (event.type === 'BOOKMARK') continue;
			const state = event.object.status?.operationState;
			const ours = !event.object.operation && state && JSON.stringify(state) !== JSON.stringify(before);
			if (ours && state.phase !== 'Running' && state.phase !== 'Terminating') return state;
		}
	}
	throw new UserError(
		`the sync of ${name} has not ended after ${waitMs / 1_000} s; it goes on: driftless status ${name}`,
	);
}

/** What an operation did, a line each. */
export function operationText(state: OperationState): string[] {
	const lines = (state.syncResult?.resources ?? []).map(({ group, kind, name, message, namespace, status }) => {
		const where = namespace ? ` in ${namespace}` : '';
		return status === 'SyncFailed'
			? `${kind.toLowerCase()}${group ? `.${group}` : ''}/${name} failed${where}: ${message ?? ''}`
			: `${message ?? ''}${where}`;
	});
	const { resourcesLeftOut } = state.syncResult ?? {};
	if (resourcesLeftOut) lines.push(`and ${resourcesLeftOut} more`);
	if (lines.length === 0 && state.phase === 'Succeeded') lines.push('nothing to do: everything is in sync');
	return [...lines, `${state.phase.toLowerCase()}: ${state.message ?? ''}`];
}
