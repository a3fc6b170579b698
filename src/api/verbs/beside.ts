/**
 * What a commit changes beside the object that it is about, exactly: a quota that is charged, a budget that is spent, a count. In
 * one process the writers of one such thing take turns, so that none is beaten to it for ever; between servers the store's
 * expectation decides, and who lost works it out anew.
 */
import type { Kind } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import { conflict } from '../../kinds/status.ts';
import { Conflict, type Entry, type Expectation } from '../../store/store.ts';
import { copy } from '../json.ts';
import { limits } from '../limits.ts';
import { checkFormat, decode, draft, type StoredObject } from '../storage.ts';
import type { Context } from './context.ts';

export interface Beside {
	/** Its key in the store. */
	readonly key: string;
	/** What it is after the write; undefined leaves it as it is. Throws an ApiError to refuse the write. */
	next(entry: Entry | undefined): Next | undefined;
}

interface Next {
	readonly value: Uint8Array;
	/** Told of the revision at which it has been written; of none where it has not. */
	settled?(revision: number | undefined): void;
}

/** What a commit must add. */
export interface Addition {
	readonly puts: readonly { readonly key: string; readonly value: Uint8Array }[];
	readonly expect: readonly Expectation[];
}

/**
 * An object that changes with another. `change` gets a copy of its own of the newest state, and says whether it has changed it in
 * place; one that has gone stays away.
 */
export function objectBeside<T extends KubeObject>(
	{ cache }: Context,
	storeKey: string,
	change: (object: T) => boolean,
): Beside {
	return {
		key: storeKey,
		next(entry) {
			if (!entry) return undefined;
			checkFormat(storeKey, entry.value);
			const object = copy(decode(entry.value, entry.modified).object as Dynamic);
			if (!change(object as unknown as T)) return undefined;
			const drafted = draft(object);
			cache.announce(storeKey, drafted);
			return {
				value: drafted.value,
				settled(revision) {
					const stored: StoredObject | undefined = revision === undefined ? undefined : drafted.finish(revision);
					cache.settle(storeKey, revision, stored);
				},
			};
		},
	};
}

/**
 * Commits a write of `object` with what changes beside it. Throws what refuses it, and 409 where other servers always come first.
 */
export async function committed(
	context: Context,
	kind: Kind,
	object: KubeObject,
	beside: readonly Beside[],
	commit: (addition: Addition) => Promise<number>,
): Promise<number> {
	if (beside.length === 0) return commit({ puts: [], expect: [] });
	const sorted = beside.toSorted((a, b) => (a.key < b.key ? -1 : 1));
	return inTurn(context, sorted, async () => {
		for (let attempt = 0; ; attempt++) {
			const { settled, ...addition } = await additionOf(context, sorted);
			try {
				const revision = await commit(addition);
				settled(revision);
				return revision;
			} catch (cause) {
				settled(undefined);
				const raced = cause instanceof Conflict && addition.expect.some(({ key }) => key === cause.key);
				if (!raced) throw cause;
				if (attempt >= limits.conflicts)
					throw conflict(kind, object.metadata.name, 'other writers came first too often; try again');
			}
		}
	});
}

async function additionOf(
	{ store }: Context,
	beside: readonly Beside[],
): Promise<Addition & { settled(revision: number | undefined): void }> {
	const puts: { key: string; value: Uint8Array }[] = [];
	const expect: Expectation[] = [];
	const all: Next[] = [];
	const settled = (revision: number | undefined) => {
		for (const next of all) next.settled?.(revision);
	};
	try {
		for (const { key, next } of beside) {
			const entry = await store.get(key);
			const made = next(entry);
			if (!made) continue;
			all.push(made);
			puts.push({ key, value: made.value });
			expect.push({ key, modified: entry?.modified ?? 'absent' });
		}
	} catch (cause) {
		settled(undefined);
		throw cause;
	}
	return { puts, expect, settled };
}

/** Holds the turn of each, in the order of their keys: so two writers never wait for each other. */
function inTurn<R>(context: Context, beside: readonly Beside[], task: () => Promise<R>): Promise<R> {
	const [first, ...rest] = beside;
	return first ? context.queue.run(`beside ${first.key}`, () => inTurn(context, rest, task)) : task();
}
