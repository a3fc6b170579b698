/** Counts: numbers kept over objects, exactly, in the commits that change the objects. Each is a key of the store beside the claims. */
import type { Kind } from '../../kinds/kind.ts';
import type { KubeObject } from '../../kinds/object.ts';
import type { Beside } from './beside.ts';
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

/** The counts that a write touches, as they lie in the store. */
export function countsOf(
	{ counters }: Context,
	kind: Kind,
	before: KubeObject | undefined,
	after: KubeObject | undefined,
): readonly Beside[] {
	const counts = counters.flatMap((counter) => counter.counts(kind, before, after));
	return counts.map(({ name, next }) => ({
		key: `${countPrefix}${name}`,
		next: (entry) => {
			const value: unknown = entry && JSON.parse(Buffer.from(entry.value).toString());
			return { value: Buffer.from(JSON.stringify(next(value))) };
		},
	}));
}
