/**
 * When a pod that has failed is made anew: at once, then after a second, two, four and so on, so that a pod that fails as soon as it
 * is made does not keep the cluster busy. Source: the backoff of the DaemonSet controller of Kubernetes.
 */
import type { Clock } from '../../client/clock.ts';

const FIRST_MS = 1000;
const LONGEST_MS = 15 * 60_000;
/** What has not failed for so long begins anew. */
const FORGET_MS = 2 * LONGEST_MS;

export interface FailedPods {
	/** In how many ms the pod at this place may be replaced; 0 where it may now. A different uid is another failure. */
	wait(place: string, uid: string): number;
}

interface Entry {
	uid: string;
	delay: number;
	until: number;
}

export function createFailedPods(clock: Clock): FailedPods {
	/** In the order of their failures. */
	const entries = new Map<string, Entry>();
	return {
		wait(place, uid) {
			const now = clock.now();
			for (const [oldest, { until }] of entries) {
				if (until + FORGET_MS > now) break;
				entries.delete(oldest);
			}
			const known = entries.get(place);
			if (known?.uid === uid) return Math.max(0, known.until - now);
			const delay = known ? Math.min(Math.max(FIRST_MS, known.delay * 2), LONGEST_MS) : 0;
			entries.delete(place);
			entries.set(place, { uid, delay, until: now + delay });
			return delay;
		},
	};
}
