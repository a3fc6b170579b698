/** The end of an application: with its objects where its finalizer says so, without them otherwise. */
import { Application, type Dynamic, splitKey } from '../../kinds/index.ts';
import type { Again, Context } from '../../reconcile/index.ts';
import type { ApplicationState } from '../state.ts';
import { writeReport } from '../status/write-status.ts';
import { instanceOf, managerOf } from '../want/desired.ts';
import { optionFor } from '../want/options.ts';
import { execute } from './execute.ts';
import { planSync } from './plan.ts';

/** The finalizer that deletes an application's objects with it; `/background` and `/foreground` after it say how. Source: Argo CD, "App Deletion". */
export const cascadeFinalizer = 'resources-finalizer.argocd.argoproj.io';

/** How soon it is looked whether the objects are gone, and whether what could not be deleted can be now. */
const LOOK_MS = 1_000;
const RETRY_MS = 30_000;

/** One turn of an application that is being deleted. Objects with the sync option Delete=false stay. */
export async function cascade(
	application: Application,
	state: ApplicationState,
	context: Context,
): Promise<Again | undefined> {
	const finalizers = application.metadata.finalizers ?? [];
	const ours = finalizers.find((each) => each === cascadeFinalizer || each.startsWith(`${cascadeFinalizer}/`));
	if (!ours) return undefined;
	const options = application.spec.syncPolicy?.syncOptions;
	const stays = (object: Dynamic) => optionFor(object, 'Delete', options) === 'false';
	const left = [...state.tracked].filter(([, object]) => !stays(object));
	const waves = planSync([], new Map(left.filter(([, object]) => !object.metadata.deletionTimestamp)), {
		prune: true,
		options,
		keep: 'Delete',
	});
	const outcomes = await execute(waves, {
		client: context.client,
		manager: managerOf(application),
		dryRun: false,
		options,
		propagation: ours.endsWith('/background') ? 'Background' : 'Foreground',
		live: (id) => state.tracked.get(id),
		signal: context.signal,
		report: () => {},
	});
	const failed = outcomes.filter(({ action }) => action === 'failed').map(({ message }) => message);
	if (failed.length > 0) {
		await writeReport(application, state, [{ type: 'DeletionError', message: failed.join('; ') }], context);
		return { after: RETRY_MS };
	}
	if (left.length > 0) return { after: LOOK_MS };
	const { name, namespace } = splitKey(state.key);
	await context.client.patch(
		Application,
		{ name, namespace },
		{
			type: 'merge',
			body: {
				metadata: {
					finalizers: finalizers.filter((each) => each !== ours),
					resourceVersion: application.metadata.resourceVersion,
				},
			},
		},
	);
	context.log.info({ application: instanceOf(application) }, 'deleted with its objects');
	return undefined;
}
