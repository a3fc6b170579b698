import { Buffer } from 'node:buffer';
import type { Change, Entry, Event, Revision } from '../../src/store/store.ts';

/** What the store must be equal to: the commits that were made, each with its revision. State is found by replay. */
export class Model {
	readonly #commits: { readonly revision: Revision; readonly change: Change }[] = [];

	/** Takes up a commit that the store has made. One that changed nothing has no revision of its own, and is left out. */
	record(revision: Revision, change: Change): void {
		this.#commits.push({ revision, change });
		this.#commits.sort((a, b) => a.revision - b.revision);
	}

	/** The entries that `revision` left, by key in the order of UTF-8. */
	stateAt(revision: Revision): Map<string, Entry> {
		const state = new Map<string, Entry>();
		this.#replay(revision, (key, value, at) => {
			if (value) state.set(key, { key, value, created: state.get(key)?.created ?? at, modified: at });
			else state.delete(key);
		});
		return new Map([...state].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
	}

	/** The events that a watch of `prefix` must see after a revision, up to another. */
	events(prefix: string, after: Revision, upTo: Revision): Event[] {
		const events: Event[] = [];
		const created = new Map<string, Revision>();
		this.#replay(upTo, (key, value, revision) => {
			const since = created.get(key);
			if (!value && since === undefined) return;
			if (value) created.set(key, since ?? revision);
			else created.delete(key);
			if (revision <= after || !key.startsWith(prefix)) return;
			events.push(
				value ? { type: 'put', key, value, created: since ?? revision, revision } : { type: 'delete', key, revision },
			);
		});
		return events;
	}

	/** Whether all expectations of a change hold in the state that `revision` left. */
	holds({ expect = [] }: Change, revision: Revision): boolean {
		const state = this.stateAt(revision);
		return expect.every(({ key, modified }) => (state.get(key)?.modified ?? 'absent') === modified);
	}

	/** Whether a change would alter the state that `revision` left. */
	alters({ puts = [], deletes = [] }: Change, revision: Revision): boolean {
		const state = this.stateAt(revision);
		return puts.length > 0 || deletes.some((key) => state.has(key));
	}

	#replay(upTo: Revision, apply: (key: string, value: Uint8Array | undefined, revision: Revision) => void): void {
		for (const { revision, change } of this.#commits) {
			if (revision > upTo) return;
			for (const { key, value } of change.puts ?? []) apply(key, value, revision);
			for (const key of change.deletes ?? []) apply(key, undefined, revision);
		}
	}
}
