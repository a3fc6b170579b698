/** The sources that an application follows: opened anew where the spec names others, and whether they may have something new. */
import pLimit from 'p-limit';
import type { Application, ApplicationSource } from '../kinds/index.ts';
import { sourcesOf } from './revision.ts';
import { type Source, SourceError } from './source/index.ts';

/** Asks for a look at the sources: `normal` or `hard`, which are one here, where nothing is kept but by its content. Source: Argo CD, "Annotations". */
export const refreshAnnotation = 'argocd.argoproj.io/refresh';

export interface Following extends AsyncDisposable {
	/** A source has, or may have, something new. */
	stale: boolean;
	/** What was opened last, in the order of the spec: one that it names twice is there twice. */
	readonly sources: readonly Source[];
	/** Opens what the spec names and is not open. Throws SourceError. */
	open(application: Application): Promise<readonly Source[]>;
	/** As ApplicationState has it. */
	looked(application: Application): Promise<boolean>;
}

export function createFollowing(
	openSource: (source: ApplicationSource, application: Application) => Promise<Source>,
	/** Called when a source has something new. */
	onChange: () => void,
): Following {
	const opened = new Map<string, { readonly source: Source; readonly stop: AbortController }>();
	let current: readonly Source[] = [];
	/** What somebody has asked for, and whether the sources were looked at since. */
	let asked: { readonly wish: string; readonly over: boolean } | undefined;
	// Turns, pushes and questions meet here.
	const oneByOne = pLimit(1);

	const close = async (stays: ReadonlySet<string>) => {
		const leaving = [...opened].filter(([identity]) => !stays.has(identity));
		for (const [identity, { stop }] of leaving) {
			opened.delete(identity);
			stop.abort();
		}
		await Promise.all(leaving.map(([, { source }]) => source[Symbol.asyncDispose]()));
	};
	const follow = async (spec: ApplicationSource, application: Application) => {
		const source = await openSource(spec, application);
		const stop = new AbortController();
		following.stale = true;
		void (async () => {
			for await (const _ of source.changes(stop.signal)) {
				following.stale = true;
				onChange();
			}
		})();
		return { source, stop };
	};
	const open = async (application: Application) => {
		const wanted = sourcesOf(application);
		if (wanted.length === 0) throw new SourceError('', 'spec.source is missing');
		// Two that name the same revision of a repository are at the same commit: they are one.
		const identities = wanted.map(({ repoURL, targetRevision }) => JSON.stringify([repoURL, targetRevision ?? 'HEAD']));
		await close(new Set(identities));
		const sources: Source[] = [];
		for (const [index, spec] of wanted.entries()) {
			const identity = identities[index] ?? '';
			const each = opened.get(identity) ?? (await follow(spec, application));
			opened.set(identity, each);
			sources.push(each.source);
		}
		current = sources;
		return sources;
	};

	const following: Following = {
		stale: true,
		get sources() {
			return current;
		},
		open: (application) => oneByOne(() => open(application)),
		async looked(application) {
			const sources = new Set(await following.open(application));
			const wish = JSON.stringify(application.operation ?? application.metadata.annotations?.[refreshAnnotation]);
			if (wish === undefined) asked = undefined;
			else if (asked?.wish !== wish) {
				const look = { wish, over: false };
				asked = look;
				void Promise.all([...sources].map((source) => source.refresh())).then(() => {
					look.over = true;
					following.stale = true;
					onChange();
				});
			}
			return [...sources].every(({ state }) => state.known) && asked?.over !== false;
		},
		[Symbol.asyncDispose]: () =>
			oneByOne(async () => {
				current = [];
				await close(new Set());
			}),
	};
	return following;
}
