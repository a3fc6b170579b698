/** A client whose answers get lost: what was asked is done, and who asked cannot know it. */
import type { Client } from '../../src/client/index.ts';

export interface Losses {
	/** How many answers are still to be lost. */
	left: number;
	/** How many were. */
	lost: number;
}

/** How late its watches tell what was done, in ms. */
const LATE_MS = 20;

/** Loses answers to creations, updates and deletions, of that kind alone where one is named, as long as some are left to be lost. */
export function lossy(inner: Client, losses: Losses, only?: string): Client {
	const losing = async <T>({ kind }: { readonly kind: string }, call: Promise<T>): Promise<T> => {
		const answer = await call;
		if (losses.left === 0 || (only !== undefined && kind !== only)) return answer;
		losses.left--;
		losses.lost++;
		throw new Error('the connection was cut');
	};
	return {
		...inner,
		as: (name) => lossy(inner.as(name), losses, only),
		create: (kind, ...rest) => losing(kind, inner.create(kind, ...rest)),
		update: (kind, ...rest) => losing(kind, inner.update(kind, ...rest)),
		delete: (kind, ...rest) => losing(kind, inner.delete(kind, ...rest)),
		async *watch(kind, options) {
			for await (const batch of inner.watch(kind, options)) {
				await new Promise((resolve) => setTimeout(resolve, LATE_MS));
				yield batch;
			}
		},
	};
}
