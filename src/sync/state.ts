/**
 * What is kept in memory of one application: what its sources want, and how that compares. All of it can be made anew from the
 * repositories and the API, so a process that dies loses nothing.
 */
import type { Client } from '../client/index.ts';
import type { Application, ApplicationSource, Dynamic, Key } from '../kinds/index.ts';
import { type Comparison, createComparison } from './compare/compare.ts';
import { createHealing, type Healing } from './compare/healing.ts';
import { createFollowing } from './following.ts';
import { type Check, createLoading, type Loading, type Wanted } from './loading.ts';
import type { Attempt } from './operation/attempt.ts';
import type { Aside } from './operation/subject.ts';
import type { Renderer } from './render/index.ts';
import type { Revision } from './revision.ts';
import type { Source } from './source/index.ts';
import { createProgressFeed, type ProgressFeed } from './status/progress.ts';
import { createUnfollowed, type Unfollowed } from './unfollowed.ts';
import { checkRevision, createDesirer, type Desirer } from './want/check.ts';
import { type Desired, managerOf } from './want/desired.ts';
import { createRenderParts } from './want/parts.ts';

export interface Problem {
	/** Argo CD's types of conditions. */
	readonly type:
		| 'InvalidSpecError'
		| 'ComparisonError'
		| 'SyncError'
		| 'DeletionError'
		| 'SharedResourceWarning'
		| 'RepeatedResourceWarning';
	readonly message: string;
}

/** An object with which an attempt of a sync has failed, and the uid of what was there then. */
export interface Stumbled {
	readonly id: string;
	/** Of the revision that was synced, which may be another one than the application follows. */
	readonly desired: Desired | undefined;
	readonly uid: string | undefined;
}

export interface ApplicationState extends Healing, Readonly<Wanted>, Pick<Loading, 'load' | 'commitOf'>, Unfollowed {
	readonly key: Key;
	readonly comparison: Comparison;
	readonly progress: ProgressFeed;
	/** Objects of the cluster that carry the application's mark, by id. */
	readonly tracked: ReadonlyMap<string, Dynamic>;
	/** What the cluster was brought to last. */
	synced: Revision | undefined;
	/** The attempt of a sync that runs. */
	attempt: Attempt | undefined;
	/** What the last attempt could not apply, or not prune. */
	stumbled: readonly Stumbled[] | undefined;
	/** What a sync to another revision is about, while it runs. */
	aside: Aside | undefined;
	/** Milliseconds since the epoch of the last status written. */
	reportedAt: number;
	/** The source has, or may have, something new. */
	markStale(): void;
	/** Has the application looked at again. */
	wake(): void;
	/**
	 * Whether the source has been looked at: once at all, and since somebody asked for it, by the annotation
	 * argocd.argoproj.io/refresh or by asking for a sync. Begins the look, which wakes the application when it is over: nobody
	 * waits for a network here.
	 */
	looked(application: Application): Promise<boolean>;
	/** Whether it was looked at what the source wants, with whatever outcome. */
	known: boolean;
	/** Whether that holds for all other applications too. Before, nothing may be pruned: they may want it. */
	complete(): boolean;
	/** Objects in the cluster that these are not, and no other application is known to want; what is on its way out included. */
	left(desired: ReadonlyMap<string, Desired>): Map<string, Dynamic>;
	/** Objects in the cluster that the source does not want any more, and that nobody has deleted yet. */
	gone(): Map<string, Dynamic>;
	dispose(): Promise<void>;
}

export interface StateOptions {
	readonly key: Key;
	readonly renderer: Renderer;
	readonly tracked: ReadonlyMap<string, Dynamic>;
	readonly openSource: (source: ApplicationSource, application: Application) => Promise<Source>;
	/** Called when the source has something new. */
	readonly onChange: () => void;
	/** Whether another application wants the object: then it is to be taken over, not pruned. */
	readonly wantedElsewhere: (id: string) => boolean;
	/** Whether it is known what all applications want. */
	readonly complete: () => boolean;
	/** Called with what the application wants now and wanted before. */
	readonly onDesired: (now: ReadonlyMap<string, Desired>, before: ReadonlyMap<string, Desired>) => void;
	/** Called with the ids of the objects for which a revision is refused, and of those before. */
	readonly onRefused: (now: ReadonlySet<string>, before: ReadonlySet<string>) => void;
}

export function createState({
	key,
	renderer,
	tracked,
	openSource,
	onChange,
	wantedElsewhere,
	complete,
	onDesired,
	onRefused,
}: StateOptions): ApplicationState {
	const comparison = createComparison();
	const healing = createHealing(comparison);
	const following = createFollowing(openSource, onChange);
	const progress = createProgressFeed();
	const render = createRenderParts(renderer);
	let desirer: { readonly identity: string; readonly of: Desirer } | undefined;
	/** The objects that a revision was refused for. */
	let refused: ReadonlySet<string> = new Set();
	const refuse = (ids: ReadonlySet<string>) => {
		onRefused(ids, refused);
		refused = ids;
	};
	const desirerOf = (application: Application, client: Client): Desirer => {
		const identity = JSON.stringify([application.spec.destination.namespace]);
		if (desirer?.identity !== identity) desirer = { identity, of: createDesirer(application, client.registry) };
		return desirer.of;
	};
	const left = (desired: ReadonlyMap<string, Desired>) =>
		new Map([...tracked].filter(([id]) => !desired.has(id) && !wantedElsewhere(id)));

	/** What was taken once is good, but for what the API would not have taken: who pushes is told. */
	const seen = ({ desired, doubtful }: Wanted) =>
		new Map(
			[...desired].filter(([id]) => {
				const { live, refused } = comparison.objects.get(id) ?? {};
				return !doubtful.has(id) || (live && !refused);
			}),
		);

	const check: Check = async (parts, application, client, signal, { whole = true, pushed = false } = {}) => {
		const { destination, syncPolicy } = application.spec;
		return checkRevision(await render(parts, destination, signal), application, desirerOf(application, client), {
			good: pushed ? seen(loading.wanted) : loading.wanted.desired,
			needsCluster: pushed,
			goes: (desired) => (whole && syncPolicy?.automated?.prune ? left(desired).values() : []),
			client,
			manager: managerOf(application),
			signal,
		});
	};
	const loading = createLoading({
		following,
		progress,
		check,
		onTaken(now, before) {
			onDesired(now, before);
			for (const [id, wanted] of now) if (before.get(id) !== wanted) comparison.touch(id);
			for (const id of before.keys()) if (!now.has(id)) comparison.touch(id);
		},
		onRefused: refuse,
	});
	const { wanted, load, commitOf } = loading;
	const { at, checkPushed } = createUnfollowed({ following, openSource, check, wanted });

	const state: ApplicationState = {
		key,
		comparison,
		progress,
		get desired() {
			return wanted.desired;
		},
		get revision() {
			return wanted.revision;
		},
		get problem() {
			return wanted.problem;
		},
		get repeated() {
			return wanted.repeated;
		},
		get doubtful() {
			return wanted.doubtful;
		},
		get sourceTypes() {
			return wanted.sourceTypes;
		},
		tracked,
		synced: undefined,
		attempt: undefined,
		stumbled: undefined,
		aside: undefined,
		reportedAt: 0,
		known: false,
		complete,
		markStale() {
			following.stale = true;
		},
		wake: onChange,
		looked: following.looked,
		load,
		at,
		checkPushed,
		commitOf,
		...healing,
		left,
		// What is being deleted already needs no second delete.
		gone: () => new Map([...left(wanted.desired)].filter(([, { metadata }]) => !metadata.deletionTimestamp)),
		async dispose() {
			onDesired(new Map(), wanted.desired);
			refuse(new Set());
			await following[Symbol.asyncDispose]();
		},
	};
	return state;
}
