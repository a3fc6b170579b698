/**
 * Pods that are alike and fit nowhere are judged once: when room for one comes free, the other thousands of a ReplicaSet that wait for
 * it need not be held against every node each. What is remembered of a pod holds until a change that may help it.
 */

import type { Changes, Hint, What } from './rules/rule.ts';
import type { Refusal } from './schedule.ts';
import type { Look } from './snapshot.ts';
import type { Wanted } from './wanted.ts';

/** How many sorts of pods are remembered. */
const MOST_REMEMBERED = 100;

export interface Refusals {
	/** Why pods like this one fit nowhere, where that was found out. */
	of(wanted: Wanted): Refusal | undefined;
	add(wanted: Wanted, refusal: Refusal): void;
	/** Forgets those that the change may help. */
	changed<W extends What>(what: W, change: Changes[W], look: Look): void;
	clear(): void;
}

export function createRefusals(): Refusals {
	const known = new Map<string, { readonly wanted: Wanted; readonly refusal: Refusal }>();
	return {
		of: (wanted) => (known.size > 0 ? known.get(likenessOf(wanted))?.refusal : undefined),
		add(wanted, refusal) {
			if (known.size >= MOST_REMEMBERED) known.clear();
			known.set(likenessOf(wanted), { wanted, refusal });
		},
		changed(what, change, look) {
			for (const [likeness, { wanted, refusal }] of known)
				for (const { hints } of refusal.refusedBy) {
					const hint: Hint<typeof what> | undefined = hints[what];
					if (!hint?.(wanted, change, look)) continue;
					known.delete(likeness);
					break;
				}
		},
		clear: () => known.clear(),
	};
}

/** Pods alike in it fit on the same nodes. */
const likenessOf = ({ pod: { metadata, spec, status } }: Wanted) =>
	JSON.stringify([metadata.namespace, metadata.labels, spec, status?.nominatedNodeName]);
