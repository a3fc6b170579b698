/** Keeps the ControllerRevisions of a workload as history.ts decides. */
import { ControllerRevision, type Kind } from '../../kinds/index.ts';
import { adopt, claim, controllerOf } from '../runtime/claim.ts';
import { type Context, index } from '../runtime/controller.ts';
import { isAlreadyThere, isTerminating, unlessGone } from '../runtime/refusal.ts';
import { type Historied, newRevision, nextRevision, superfluousRevisions, templateOf } from './history.ts';
import { sameTemplate } from './pod-template-hash.ts';

/** Revisions that nobody controls, by namespace: they may be adopted. */
const ORPHANS = 'orphans';

/** What a controller that keeps a history declares. */
export const orphanRevisions = index(ControllerRevision, ORPHANS, (revision) =>
	controllerOf(revision) ? [] : [revision.metadata.namespace ?? ''],
);

export interface History {
	/** Of the present template. */
	readonly update: ControllerRevision;
	readonly all: readonly ControllerRevision[];
}

/** The name of the new revision is another's: the owner's status must count one more collision. */
export interface Collision {
	readonly collisionCount: number;
}

/**
 * Makes the present template the newest revision, and returns them all. Undefined where the namespace is going, so that nothing can
 * be made. A second attempt finds what the first has made: names follow from the template.
 */
export async function keepHistory<T extends Historied>(
	kind: Kind<T>,
	owner: T,
	context: Context,
): Promise<History | Collision | undefined> {
	const { client } = context;
	const { spec } = owner;
	const all = await claimRevisions(kind, owner, context);
	const next = nextRevision(spec.template, all);
	if (next.do === 'keep') return { update: next.revision, all };
	if (next.do === 'renumber') {
		const update = await client.update(ControllerRevision, { ...next.revision, revision: next.number });
		return { update, all: all.map((revision) => (revision === next.revision ? update : revision)) };
	}
	const wanted = newRevision(kind, owner, next.number);
	try {
		const update = await client.create(ControllerRevision, wanted);
		return { update, all: [...all, update] };
	} catch (error) {
		if (isTerminating(error)) return undefined;
		if (!isAlreadyThere(error)) throw error;
	}
	const existing = await client.get(ControllerRevision, wanted.metadata);
	// Its answer was lost, and the cache does not show it yet.
	if (controllerOf(existing)?.uid === owner.metadata.uid && sameTemplate(templateOf(existing), spec.template))
		return { update: existing, all: [...all, existing] };
	return { collisionCount: (owner.status?.collisionCount ?? 0) + 1 };
}

/** Deletes what the history does not need any more. */
export async function forget(
	owner: Historied,
	{ all }: History,
	live: (revision: ControllerRevision) => boolean,
	{ client }: Context,
): Promise<void> {
	for (const { metadata } of superfluousRevisions(all, live, owner.spec.revisionHistoryLimit ?? 10))
		await unlessGone(client.delete(ControllerRevision, metadata, { preconditions: { uid: metadata.uid } }));
}

/** The owner's revisions after adoption. */
async function claimRevisions<T extends Historied>(kind: Kind<T>, owner: T, { cache, client }: Context) {
	const informer = cache.informer(ControllerRevision);
	const around = [
		...informer.by('owner', owner.metadata.uid ?? ''),
		...informer.by(ORPHANS, owner.metadata.namespace ?? ''),
	];
	const claimed = claim(owner, owner.spec.selector, around);
	const adopted = await Promise.all(
		claimed.adopt.map((revision) => adopt(client, kind, owner, ControllerRevision, revision)),
	);
	// One that is selected no more, because its labels were edited, stays its owner's.
	return [...claimed.owned, ...claimed.release, ...adopted];
}
