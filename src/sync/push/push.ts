/** What a push asks of the engine. The server answers the pusher line by line, as `remote: ...`. */
import type { Tree } from '../source/tree.ts';

export interface Push {
	/** Name of the repository: `default`. */
	readonly repository: string;
	/** `refs/heads/main`, `refs/tags/v1`. */
	readonly ref: string;
	/** Object ids (an annotated tag has one of its own); `before` is absent where the branch is new. */
	readonly before?: string;
	readonly after: string;
	/** The user name the pusher gave, or `git`. */
	readonly pusher: string;
	/** What `git push -o` gave. */
	readonly options: readonly string[];
	/** Aborts when the pusher hangs up, or the server closes. */
	readonly signal: AbortSignal;
}

export interface QuarantinedPush extends Push {
	tree(): Promise<Tree>;
	/** The same of every branch and tag that the push moves, this one included, by their full names. */
	readonly moved: ReadonlyMap<string, () => Promise<Tree>>;
}

export interface Verdict {
	readonly accept: boolean;
	/** Shown to the pusher, one line each. */
	readonly lines: readonly string[];
}

/** Pushes to branches that nobody tracks, and deletions, are answered by the server itself. */
export interface PushHandler {
	/** Why no push at all can be taken, also in a while; undefined where one can. */
	busy?(signal: AbortSignal): Promise<string | undefined>;
	/** Whether a branch or tag is desired state. Default: the repository's main. */
	tracks?(repository: string, ref: string): boolean;
	/** The pushed commit is still in quarantine: `tree` reads it. Refuse, and nothing of the push stays. Pushes of one repository come one at a time. */
	check(push: QuarantinedPush): Promise<Verdict>;
	/** After acceptance: yields lines to show. The pusher may hang up at any time: `signal` aborts, and nothing else changes. */
	accepted(push: Push): AsyncIterable<string>;
}
