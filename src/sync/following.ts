/** The source that an application follows: opened anew where the spec names another one, and whether it may have something new. */
import pLimit from 'p-limit';
import type { Application, ApplicationSource } from '../kinds/index.ts';
import { sourcesOf } from './revision.ts';
import { type Source, SourceError } from './source/index.ts';

/** Asks for a look at the source: `normal` or `hard`, which are one here, where nothing is kept but by its content. Source: Argo CD, "Annotations". */
export const refreshAnnotation = 'argocd.argoproj.io/refresh';

export interface Following extends AsyncDisposable {
	/** The source has, or may have, something new. */
	stale: boolean;
	/** What was opened last, if anything. */
	readonly source: Source | undefined;
	/** Opens what the spec names, if it is not open. Throws SourceError. */
	open(application: Application): Promise<Source>;
	/** As ApplicationState has it. */
	looked(application: Application): Promise<boolean>;
}

export function createFollowing(
	openSource: (source: ApplicationSource, application: Application) => Promise<Source>,
	/** Called when the source has something new. */
	onChange: () => void,
): Following {
	let current: { readonly identity: string; readonly source: Source; readonly stop: AbortController } | undefined;
	/** What somebody has asked for, and whether the source was looked at since. */
	let asked: { readonly wish: string; readonly over: boolean } | undefined;
	// Turns, pushes and questions meet here.
	const oneByOne = pLimit(1);

	const close = async () => {
		const last = current;
		current = undefined;
		last?.stop.abort();
		await last?.source[Symbol.asyncDispose]();
	};
	const open = async (application: Application) => {
		const { source } = application.spec;
		if (!source) throw new SourceError('', 'spec.source is missing');
		const identity = JSON.stringify([source.repoURL, source.targetRevision ?? 'HEAD']);
		if (current?.identity === identity) return current.source;
		await close();
		const opened = await openSource(source, application);
		const stop = new AbortController();
		current = { identity, source: opened, stop };
		following.stale = true;
		void (async () => {
			for await (const _ of opened.changes(stop.signal)) {
				following.stale = true;
				onChange();
			}
		})();
		return opened;
	};

	const following: Following = {
		stale: true,
		get source() {
			return current?.source;
		},
		open: (application) => oneByOne(() => open(application)),
		async looked(application) {
			if (sourcesOf(application).length !== 1) return true;
			const source = await following.open(application);
			const wish = JSON.stringify(application.operation ?? application.metadata.annotations?.[refreshAnnotation]);
			if (wish === undefined) asked = undefined;
			else if (asked?.wish !== wish) {
				const look = { wish, over: false };
				asked = look;
				void source.refresh().then(() => {
					look.over = true;
					following.stale = true;
					onChange();
				});
			}
			return source.state.known && asked?.over !== false;
		},
		[Symbol.asyncDispose]: () => oneByOne(close),
	};
	return following;
}
