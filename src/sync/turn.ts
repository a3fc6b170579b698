/**
 * One turn of an application: it compares what the source wants with what the cluster has, decides, carries out, and
 * reports. Each turn starts from what is; a turn that is cut off is made good by the next one.
 */
import type { Cache, Client } from '../client/index.ts';
import { Application, type Dynamic, type OperationState } from '../kinds/index.ts';
import type { Again, Context } from '../reconcile/index.ts';
import { isSettled, isSynced } from './compare/compare.ts';
import { type Shared, sharedText } from './compare/shared.ts';
import { refreshAnnotation } from './following.ts';
import { hasCome } from './operation/absent.ts';
import { decide } from './operation/decide.ts';
import { refuse } from './operation/finish.ts';
import { operate } from './operation/operate.ts';
import { isSelective } from './operation/selection.ts';
import { revisionFrom } from './revision.ts';
import type { ApplicationState, Problem, Stumbled } from './state.ts';
import { writeReport } from './status/write-status.ts';
import { managerOf } from './want/desired.ts';
import { inApplication } from './want/namespace.ts';
import { isExtraneous } from './want/options.ts';
import { unsupported } from './want/unsupported.ts';

/** How soon a source that cannot be read is looked at again where it does not say so itself. */
const SOURCE_RETRY_MS = 30_000;

/** `sharedOf` gives the objects that another application has and wants too, as of the moment it is called. */
export async function turn(
	application: Application,
	state: ApplicationState,
	sharedOf: () => ReadonlyMap<string, Shared>,
	context: Context,
): Promise<Again | undefined> {
	const { client, signal } = context;
	const problems: Problem[] = [];
	const wrong = unsupported(application.spec).join('; ');
	if (wrong) return refuseWhole(application, wrong, state, context);
	recall(application, state);
	if (!(await state.looked(application))) return undefined;
	if (application.metadata.annotations?.[refreshAnnotation] !== undefined) await refreshed(application, client);
	await state.load(application, client, signal, context.now());
	state.known = state.revision !== undefined || state.problem !== undefined;
	if (state.problem) problems.push(state.problem);
	if (state.repeated) problems.push(state.repeated);
	for (const id of state.tracked.keys()) if (!state.comparison.objects.has(id)) state.comparison.touch(id);
	const changed = await state.comparison.refresh(
		state.desired,
		(id) => live({ id, desired: state.desired.get(id) }, state, context.cache),
		client,
		managerOf(application),
	);
	state.noteDrift(changed, context.now());

	const objects = [...state.comparison.objects.values()];
	const outOfSync = objects.filter((each) => each.desired && !isSynced(each)).length;
	const held = objects.filter((each) => each.desired && isSynced(each) && !isSettled(each)).length;
	const gone = [...state.gone().values()].filter((object) => !isExtraneous(object)).length;
	const shared = sharedOf();
	const decision = decide(
		{
			application,
			revision: state.revision,
			outOfSync,
			held,
			gone,
			wanted: [...state.desired.values()].filter(({ manifest }) => manifest.file !== inApplication).length,
			healAt: state.healAt(shared),
			synced: state.synced,
			freed: isFreed(state, context.cache) || hasCome(application.status, context.cache),
		},
		context.now(),
	);
	if (decision.do === 'end') {
		await refuse(application, decision.running, decision.message, state, context);
		return { after: 0 };
	}
	// The next turn sees what this one has written.
	if (decision.do === 'sync' && (await operate(application, decision, shared, state, context)) !== 'waits')
		return { after: 0 };
	if (!state.problem && state.revision !== undefined && outOfSync === 0 && gone === 0) {
		state.synced = state.revision;
	}
	if (decision.do === 'nothing' && decision.blocked) problems.push({ type: 'SyncError', message: decision.blocked });
	if (shared.size > 0) problems.push({ type: 'SharedResourceWarning', message: sharedText(shared, state) });
	const stays =
		decision.do === 'nothing' && outOfSync + gone > 0
			? (decision.blocked ?? 'some objects stay out of sync, see: driftless status')
			: undefined;
	const healAt = decision.do === 'wait' && decision.for === 'self-heal' ? decision.until : undefined;
	const again = await writeReport(application, state, problems, context, { stays, healAt });
	const waits = [
		again?.after,
		decision.do === 'wait' ? decision.until - context.now() : undefined,
		state.problem ? SOURCE_RETRY_MS : undefined,
	];
	const after = Math.min(...waits.map((each) => each ?? Number.POSITIVE_INFINITY));
	return Number.isFinite(after) ? { after: Math.max(0, after) } : undefined;
}

/** An application that cannot be carried out at all, or must not be: nothing is read, synced or deleted for it. */
export async function refuseWhole(
	application: Application,
	message: string,
	state: ApplicationState,
	context: Context,
): Promise<Again | undefined> {
	state.known = true;
	const { operation } = application;
	const running = operation ? { operation } : runningOf(application);
	if (!running) return writeReport(application, state, [{ type: 'InvalidSpecError', message }], context);
	await refuse(application, running, message, state, context);
	return { after: 0 };
}

/** Takes the annotation away that asked for a look at the source. */
async function refreshed({ metadata: { name, namespace } }: Application, client: Client): Promise<void> {
	const body = { metadata: { annotations: { [refreshAnnotation]: null } } };
	await client.patch(Application, { name, namespace }, { type: 'merge', body });
}

/** The sync that the status says is under way. */
function runningOf({ status }: Application): OperationState | undefined {
	const last = status?.operationState;
	return last?.phase === 'Running' || last?.phase === 'Terminating' ? last : undefined;
}

/** After a start: what was synced last, from the status. A sync of some objects, or of none, is not meant. */
function recall({ status }: Application, state: ApplicationState): void {
	const { operationState: last, history } = status ?? {};
	if (state.synced !== undefined || state.revision !== undefined) return;
	const whole = last?.phase === 'Succeeded' && !last.operation.sync?.dryRun && !isSelective(last.operation);
	state.synced = revisionFrom(whole ? last.syncResult : history?.at(-1));
}

/** Whether what the last attempt stumbled over has been deleted or made anew meanwhile. */
function isFreed(state: ApplicationState, cache: Cache): boolean {
	return (state.stumbled ?? []).some((each) => live(each, state, cache)?.metadata.uid !== each.uid);
}

function live(
	{ id, desired }: Pick<Stumbled, 'id' | 'desired'>,
	{ tracked }: ApplicationState,
	cache: Cache,
): Dynamic | undefined {
	return desired ? (cache.informer(desired.kind).get(desired.key) as Dynamic | undefined) : tracked.get(id);
}
