/** What self-heal has mended: an Event of the application for each object. */
import { formatPath } from '../../kinds/fieldset.ts';
import type { Application } from '../../kinds/index.ts';
import type { Context } from '../../reconcile/index.ts';
import type { ApplicationState } from '../state.ts';
import { nameOf, type Outcome, whereOf } from './execute.ts';

/** Fields that an event names at most. */
const MAX_FIELDS = 5;

export function tellHealed(
	application: Application,
	outcomes: readonly Outcome[],
	state: ApplicationState,
	{ events, now }: Context,
): void {
	const healed = outcomes.filter(({ action }) => action === 'configured' || action === 'created');
	for (const { id, object } of healed) {
		const drift = state.comparison.objects.get(id)?.drift;
		const what =
			drift?.state === 'changed'
				? drift.fields
						.map(
							({ path, owners, live, desired }) =>
								`${formatPath(path)}${object.kind === 'Secret' ? '' : ` ${brief(live)} to ${brief(desired)}`}${owners[0] ? ` (set by ${owners[0].manager})` : ''}`,
						)
						.slice(0, MAX_FIELDS)
						.join(', ')
				: drift?.state === 'held'
					? `its fields were held by ${drift.managers.join(', ')} too`
					: 'was missing';
		events.event(application, 'Normal', 'SelfHealed', `${nameOf(object)}${whereOf(object)}: ${what}`);
	}
	state.noteHealed(
		healed.map(({ id }) => id),
		now(),
	);
}

/** A value in a sentence. */
function brief(value: unknown): string {
	const text = value === undefined ? '(none)' : JSON.stringify(value);
	return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
