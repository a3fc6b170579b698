/**
 * An application's desired objects against the live ones. Incremental by content: an object is compared again only when
 * its manifest or its live resourceVersion has changed, so the cost of a change is that of the objects it touches.
 */
import type { Client } from '../../client/index.ts';
import { type Drift, drift } from '../../diff/index.ts';
import { ApiError, type Dynamic, type Health } from '../../kinds/index.ts';
import type { Desired } from '../want/desired.ts';
import { isExtraneous } from '../want/options.ts';

export interface Compared {
	readonly id: string;
	/** Absent: the object left the source, and is to be pruned. */
	readonly desired?: Desired;
	readonly live?: Dynamic;
	readonly drift: Drift;
	readonly health: Health | undefined;
	/** Why the API would refuse the apply; the object then counts as out of sync. */
	readonly refused?: ApiError;
}

/** How many objects are compared at once: enough to overlap the API's waits, few enough to leave it room. */
const PARALLEL_COMPARISONS = 64;

export interface Comparison {
	/** Everything the application wants or has, by id. */
	readonly objects: ReadonlyMap<string, Compared>;
	/** Names objects to look at again, because their manifest or live state may have changed; `anew` also where neither has. */
	touch(id: string, anew?: 'anew'): void;
	/** Whether something was touched and not compared since. */
	readonly pending: boolean;
	/** Compares what was touched. `live` reads the cache. Returns the ids whose outcome changed. */
	refresh(
		desired: ReadonlyMap<string, Desired>,
		live: (id: string) => Dynamic | undefined,
		client: Client,
		manager: string,
	): Promise<string[]>;
}

export function createComparison(): Comparison {
	const objects = new Map<string, Compared>();
	const touched = new Set<string>();
	const outdated = new Set<string>();

	return {
		objects,
		touch(id, anew) {
			touched.add(id);
			if (anew) outdated.add(id);
		},
		get pending() {
			return touched.size > 0;
		},
		async refresh(desired, live, client, manager) {
			const ids = [...touched];
			touched.clear();
			const changed: string[] = [];
			const compareOne = async (id: string) => {
				const before = objects.get(id);
				const wanted = desired.get(id);
				const current = live(id);
				if (
					before &&
					!outdated.has(id) &&
					before.desired?.manifest.hash === wanted?.manifest.hash &&
					before.live === current &&
					!before.refused
				) {
					// The same outcome, but the manifest may stand in another file now.
					if (before.desired !== wanted) objects.set(id, { ...before, desired: wanted });
					return;
				}
				if (!wanted && !current) {
					outdated.delete(id);
					if (objects.delete(id)) changed.push(id);
					return;
				}
				outdated.delete(id);
				objects.set(id, await compareObject(id, wanted, current, client, manager));
				changed.push(id);
			};
			try {
				for (let start = 0; start < ids.length; start += PARALLEL_COMPARISONS) {
					await Promise.all(ids.slice(start, start + PARALLEL_COMPARISONS).map(compareOne));
				}
			} catch (error) {
				// The API could not answer: nothing is known of these yet, so they stay to be compared.
				for (const id of ids) touched.add(id);
				throw error;
			}
			return changed;
		},
	};
}

async function compareObject(
	id: string,
	desired: Desired | undefined,
	live: Dynamic | undefined,
	client: Client,
	manager: string,
): Promise<Compared> {
	if (!desired) {
		const kind = live && client.registry.of(live.apiVersion, live.kind);
		return { id, live, drift: { state: 'synced' }, health: live && kind?.health(live) };
	}
	const health = live ? desired.kind.health(live) : ({ status: 'Missing' } as const);
	try {
		return { id, desired, live, health, drift: await drift(client, desired.kind, desired.object, live, manager) };
	} catch (error) {
		if (!(error instanceof ApiError) || error.code >= 500 || error.code === 429) throw error;
		return {
			id,
			desired,
			live,
			health,
			drift: live ? { state: 'changed', fields: [] } : { state: 'missing' },
			refused: error,
		};
	}
}

/** Whether the object counts as in sync: its values are as they should be, or what is left to prune was said not to count. */
export const isSynced = ({ desired, live, drift, refused }: Compared) =>
	desired ? (drift.state === 'synced' || drift.state === 'held') && !refused : live !== undefined && isExtraneous(live);

/** Whether a sync has nothing to do for a wanted object: it is in sync, and nobody else holds its fields. */
export const isSettled = ({ drift, refused }: Compared) => drift.state === 'synced' && !refused;
