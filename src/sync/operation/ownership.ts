/** Takes the fields of an object from those who applied it by hand, around the apply that describes it. */
import type { Client } from '../../client/index.ts';
import { appliedBy, ownershipOf, takenOver, withoutShares } from '../../diff/index.ts';
import { ApiError, type Dynamic, type Kind, type ManagedFieldsEntry } from '../../kinds/index.ts';
import { type Desired, trackedBy } from '../want/desired.ts';
import { optionFor } from '../want/options.ts';

/** How often ownership is written anew when somebody else writes the object at the same time; the next look finds what is left. */
const MAX_ATTEMPTS = 3;

/**
 * Before the first apply of an object that was there: the manifests by which others applied it count as ours from now on, so
 * that what they had and the source has not goes. `options` are the sync options of the application.
 */
export async function takeOver(
	client: Client,
	{ kind, object }: Desired,
	live: Dynamic,
	manager: string,
	options: readonly string[] | undefined,
): Promise<void> {
	if (appliedBy(live.metadata.managedFields, manager) && trackedBy(live) === trackedBy(object)) return;
	const clientSideToo = optionFor(object, 'ClientSideApplyMigration', options) !== 'false';
	await rewrite(client, kind, live, (entries) => takenOver(entries, manager, object.apiVersion, { clientSideToo }));
}

/** After an apply: what is held by hand beside it is held no more. */
export async function holdAlone(client: Client, kind: Kind, live: Dynamic, manager: string): Promise<void> {
	await rewrite(client, kind, live, (entries) => withoutShares(entries, manager));
}

async function rewrite(
	client: Client,
	kind: Kind,
	live: Dynamic,
	change: (entries: readonly ManagedFieldsEntry[]) => ManagedFieldsEntry[] | undefined,
): Promise<void> {
	const { name, namespace } = live.metadata;
	let current = live;
	for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
		const managedFields = change(ownershipOf(current));
		if (!managedFields) return;
		const { resourceVersion } = current.metadata;
		try {
			await client.patch(
				kind,
				{ name, namespace },
				{ type: 'merge', body: { metadata: { resourceVersion, managedFields } } },
			);
			return;
		} catch (error) {
			if (!(error instanceof ApiError)) throw error;
			if (error.reason === 'NotFound') return;
			if (error.reason !== 'Conflict') throw error;
			const next = await client.get(kind, { name, namespace });
			if (next.metadata.uid !== current.metadata.uid) return;
			current = next as Dynamic;
		}
	}
}
