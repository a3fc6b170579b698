/** An attempt of a sync: what it has tried, and what it knows before it changes anything. */
import type { ApiError } from '../../kinds/index.ts';
import type { Compared } from '../compare/compare.ts';
import { recordOf } from '../revision.ts';
import { managerOf } from '../want/desired.ts';
import type { Ahead } from '../want/dry-run.ts';
import { adviceFor as adviceOnFields } from '../want/immutable.ts';
import { placesOf } from '../want/places.ts';
import { adviceFor, bringing, type Surroundings } from './absent.ts';
import type { Outcome } from './execute.ts';
import { foresee } from './foresee.ts';
import { createNamespace } from './namespace.ts';
import { leftOf, optionsOf, type Work, wantedOf } from './work.ts';

/** What is remembered of an attempt of a sync, to one revision. */
export interface Attempt {
	readonly of: string;
	/** What it has tried already, by id. */
	readonly tried: Set<string>;
	/** What the API would not take, by id: known before anything is changed. */
	readonly refused: ReadonlyMap<string, Outcome>;
}

/** Which attempt it is. A request goes on with what is followed by now: what was tried of an earlier revision counts for nothing then. */
function attemptOf({ running, subject: { revision } }: Work): string {
	return JSON.stringify([running.startedAt, running.retryCount ?? 0, recordOf(revision)]);
}

/** What is remembered of the attempt. At its beginning all that it is to make is asked for, before anything is changed. */
export async function attempted(work: Work): Promise<Attempt> {
	const { application, decision, state, context, subject } = work;
	const { operation, why } = decision;
	const of = attemptOf(work);
	if (state.attempt?.of === of) return state.attempt;
	const { client, signal } = context;
	const wanted = wantedOf(work);
	const ask = (objects: readonly Compared[]) =>
		foresee(objects, { client, manager: managerOf(application), ...outlook(work), signal });
	let refused = await ask(wanted);
	const { namespace: home } = application.spec.destination;
	const goesOn = !operation.sync?.dryRun && (refused.size === 0 || why === 'self-heal');
	// What goes into a namespace can be asked for when that is there.
	if (goesOn && (await createNamespace(application, optionsOf(application, operation), subject.desired, context)))
		refused = new Map([
			...refused,
			...(await ask(wanted.filter(({ desired }) => desired?.object.metadata.namespace === home))),
		]);
	state.attempt = { of, tried: new Set(), refused };
	return state.attempt;
}

/** What goes before each object of the sync, and how the refusal of one is explained. */
export function outlook(work: Work) {
	const { application, decision, context, subject } = work;
	const options = optionsOf(application, decision.operation);
	const surroundings: Surroundings = { application, options, desired: subject.desired, cache: context.cache };
	const { left, leaves } = leftOf(work);
	const freed = new Set(left.filter(leaves).flatMap(([, live]) => placesOf(live)));
	const ahead: Ahead = { comes: bringing(wantedOf(work), surroundings), freed, options };
	const explain = ({ message }: ApiError) => {
		const advice = adviceFor(message, surroundings);
		return advice ? `${message}: ${advice}` : `${message}${adviceOnFields(message)}`;
	};
	return { ahead, explain };
}
