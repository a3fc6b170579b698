/**
 * Counts: numbers kept over objects, exactly, in the commits that change the objects (a quota, say). Each is a key of the
 * store beside the claims. In one process the writers of a count take turns, so that none is beaten to it for ever; between
 * servers the store's expectation decides, and who lost counts anew.
 */
import type { Kind } from '../../kinds/kind.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { conflict } from '../../kinds/status.ts';
import { Conflict, type Expectation } from '../../store/store.ts';
import { limits } from '../limits.ts';
import type { Context } from './context.ts';

const countPrefix = '/counts/';

/** One number, or several that change together: any JSON data. */
export interface Count {
	/** `quota/NAMESPACE/NAME`. */
	readonly name: string;
	/** What it is after the write, from what it was (undefined: never counted). Throws an ApiError to refuse the write. */
	next(value: unknown): unknown;
}

export interface Counter {
	/** The counts that a write touches. `before` is absent on a creation, `after` on a removal. */
	counts(kind: Kind, before: KubeObject | undefined, after: KubeObject | undefined): readonly Count[];
}

/** What a commit must add so that the counts follow the object. */
export interface CountChange {
	readonly puts: readonly { readonly key: string; readonly value: Uint8Array }[];
	readonly expect: readonly Expectation[];
}

const nothing: CountChange = { puts: [], expect: [] };

/** Commits a write with what it changes of counts. Throws what a count refuses with, and 409 where other servers always come first. */
export async function counted<R>(
	context: Context,
	kind: Kind,
	before: KubeObject | undefined,
	after: KubeObject | undefined,
	commit: (change: CountChange) => Promise<R>,
): Promise<R> {
	if (context.counters.length === 0) return commit(nothing);
	const counts = context.counters.flatMap((counter) => counter.counts(kind, before, after));
	if (counts.length === 0) return commit(nothing);
	const sorted = counts.toSorted((a, b) => (a.name < b.name ? -1 : 1));
	return inTurn(context, sorted, async () => {
		for (let attempt = 0; ; attempt++) {
			const change = await changeOf(context, sorted);
			try {
				return await commit(change);
			} catch (cause) {
				const raced = cause instanceof Conflict && change.expect.some(({ key }) => key === cause.key);
				if (!raced) throw cause;
				if (attempt >= limits.conflicts)
					throw conflict(kind, (after ?? before)?.metadata.name ?? '', 'other writers came first too often; try again');
			}
		}
	});
}

async function changeOf({ store }: Context, counts: readonly Count[]): Promise<CountChange> {
	const puts: { key: string; value: Uint8Array }[] = [];
	const expect: Expectation[] = [];
	for (const { name, next } of counts) {
		const key = `${countPrefix}${name}`;
		const entry = await store.get(key);
		const value: unknown = entry && JSON.parse(Buffer.from(entry.value).toString());
		puts.push({ key, value: Buffer.from(JSON.stringify(next(value))) });
		expect.push({ key, modified: entry?.modified ?? 'absent' });
	}
	return { puts, expect };
}

/** Holds the turn of each count, in the order of their names: so two writers never wait for each other. */
function inTurn<R>(context: Context, counts: readonly Count[], task: () => Promise<R>): Promise<R> {
	const [first, ...rest] = counts;
	return first ? context.queue.run(countPrefix + first.name, () => inTurn(context, rest, task)) : task();
}
