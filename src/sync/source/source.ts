/**
 * Where desired state comes from: the embedded repository, a remote one, a local one, or a folder. A source follows one
 * revision (a branch, a tag or a commit) and says when it has moved.
 */
import type { Tree } from './tree.ts';

export interface Source extends AsyncDisposable {
	/** As the user wrote it, less any credentials. */
	readonly url: string;
	/** What was last seen, without asking anybody. */
	readonly state: SourceState;
	/**
	 * The tree at the revision last seen; undefined where there is none (an empty repository, a deleted branch). Waits for the
	 * first look only, so that whoever must not wait for a network looks at `state.known` before. Throws SourceError where the
	 * source cannot be read (the remote is down, the folder is gone): then nothing may be pruned.
	 */
	current(): Promise<Tree | undefined>;
	/** The tree of any revision of the source that is at hand. Throws SourceError where it has none such; asks nobody. */
	tree(revision: string): Promise<Tree>;
	/** The commit id that a branch, tag or abbreviated id stands for, fetched where it must be; undefined where there is none. A folder knows its current hash only. */
	resolve(revision: string): Promise<string | undefined>;
	/** Each change of what current() would say, the first one included. Several changes while the reader is busy are one. */
	changes(signal: AbortSignal): AsyncIterable<SourceState>;
	/** Looks at once instead of at the next poll: for a webhook, or before a sync that somebody asks for. Settles when it has looked; the outcome is in `state`. */
	refresh(): Promise<void>;
	/** Author, time and message of a commit; undefined for a folder. */
	commit(revision: string): Promise<Commit | undefined>;
	/** The commit that last changed a line (1-based) of a file as it is at `revision`; undefined for a folder. */
	blame(revision: string, file: string, line: number): Promise<Commit | undefined>;
}

export interface SourceState {
	/** The revision last read; undefined before the first look, and where there is none. */
	readonly revision?: string;
	/** Why the source cannot be read at present. `revision` then stays what it was. */
	readonly error?: SourceError;
	/** True once the source has been looked at, successfully or not. */
	readonly known: boolean;
}

export interface Commit {
	readonly id: string;
	readonly author: string;
	readonly email: string;
	/** Milliseconds since the epoch. */
	readonly time: number;
	/** The whole message. */
	readonly message: string;
}

/** A source that cannot be read. The message is one line for the user: what, where, and what to do. */
export class SourceError extends Error {
	override readonly name = 'SourceError';
	readonly url: string;
	constructor(url: string, message: string, options?: ErrorOptions) {
		super(message, options);
		this.url = url;
	}
}
