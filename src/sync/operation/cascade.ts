/** The end of an application: with its objects where its finalizer says so, without them otherwise. */
import { Application, splitKey } from '../../kinds/index.ts';
import type { Again, Context } from '../../reconcile/index.ts';
import type { ApplicationState } from '../state.ts';
import { writeReport } from '../status/write-status.ts';
import { instanceOf, managerOf } from '../want/desired.ts';
import { execute } from './execute.ts';
import { keptBy, planSync } from './plan.ts';
import { nextStage } from './stage.ts';

/** The finalizer that deletes an application's objects with it; `/background` and `/foreground` after it say how. Source: Argo CD, "App Deletion". */
export const cascadeFinalizer = 'resources-finalizer.argocd.argoproj.io';
/** Argo CD's for hooks before and after that. There are none here, so they hold nothing up. */
const hookFinalizers = ['pre-delete-finalizer.argocd.argoproj.io', 'post-delete-finalizer.argocd.argoproj.io'];

/** How soon it is looked whether the objects are gone, and whether what could not be deleted can be now. */
const LOOK_MS = 1_000;
const RETRY_MS = 30_000;

const is = (finalizer: string, name: string) => finalizer === name || finalizer.startsWith(`${name}/`);

/**
 * One turn of an application that is being deleted. Its objects go wave by wave, the last one first; those with the sync option
 * Delete=false stay, and so do those that another application wants, which takes them over.
 */
export async function cascade(
	application: Application,
	state: ApplicationState,
	context: Context,
): Promise<Again | undefined> {
	const finalizers = application.metadata.finalizers ?? [];
	const ours = finalizers.filter((each) => [cascadeFinalizer, ...hookFinalizers].some((name) => is(each, name)));
	if (ours.length === 0) return undefined;
	const cascading = ours.find((each) => is(each, cascadeFinalizer));
	if (cascading) {
		const again = await deleteObjects(application, cascading, state, context);
		if (again) return again;
	}
	const { name, namespace } = splitKey(state.key);
	await context.client.patch(
		Application,
		{ name, namespace },
		{
			type: 'merge',
			body: {
				metadata: {
					finalizers: finalizers.filter((each) => !ours.includes(each)),
					resourceVersion: application.metadata.resourceVersion,
				},
			},
		},
	);
	context.log.info({ application: instanceOf(application) }, cascading ? 'deleted with its objects' : 'deleted');
	return undefined;
}

/** Undefined once all that are to go are gone. */
async function deleteObjects(
	application: Application,
	finalizer: string,
	state: ApplicationState,
	context: Context,
): Promise<Again | undefined> {
	if (!state.complete()) return { after: LOOK_MS };
	const options = application.spec.syncPolicy?.syncOptions;
	const planOptions = { prune: true, options, keep: 'Delete' } as const;
	const leaving = [...state.left(new Map())]
		.filter(([, live]) => !keptBy(live, planOptions))
		.map(([id, live]) => ({ id, live, late: false, deleting: live.metadata.deletionTimestamp !== undefined }));
	if (leaving.length === 0) return undefined;
	const outcomes = await execute(planSync([], nextStage([], leaving).prune, planOptions), {
		client: context.client,
		manager: managerOf(application),
		dryRun: false,
		options,
		propagation: finalizer.endsWith('/background') ? 'Background' : 'Foreground',
		live: (id) => state.tracked.get(id),
		signal: context.signal,
		report: () => {},
	});
	const failed = outcomes.filter(({ action }) => action === 'failed').map(({ message }) => message);
	if (failed.length === 0) return { after: LOOK_MS };
	await writeReport(application, state, [{ type: 'DeletionError', message: failed.join('; ') }], context);
	return { after: RETRY_MS };
}
