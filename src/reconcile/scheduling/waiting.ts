/**
 * The pods that wait for a node. Those to be looked at come by priority and then by age. One that fitted nowhere is looked at again
 * when a change may help it, as the filters that refused it say, and not sooner than its backoff is over.
 * Source: Kubernetes documentation, "Scheduling Framework" (queueing hints) and KubeSchedulerConfiguration (podInitialBackoffSeconds,
 * podMaxBackoffSeconds).
 */
import { exponential } from '../../client/backoff.ts';
import type { Clock } from '../../client/clock.ts';
import { createDelays } from '../../client/delays.ts';
import { type Key, keyOf, type Pod } from '../../kinds/index.ts';
import { timeOf } from '../workloads/pod-state.ts';
import { createHeap } from './heap.ts';
import type { Changes, Filter, Hint, What } from './rules/rule.ts';
import type { Look } from './snapshot.ts';
import { type Wanted, wantedOf } from './wanted.ts';

/** After its first failure a pod is not looked at for so long; the time doubles with each further one. */
export const FIRST_BACKOFF_MS = 1_000;
export const LONGEST_BACKOFF_MS = 10_000;
/** A pod that no change has helped is looked at again after so long all the same. Source: kube-scheduler's flush of unschedulable pods. */
export const LOOK_ANYHOW_MS = 5 * 60_000;

export interface WaitingPods extends Disposable {
	/** The pod, as it is now, is to be looked at. One that fitted nowhere keeps its backoff. */
	add(pod: Pod): void;
	/** The pod as it is now; that changes nothing of where it fits. */
	update(pod: Pod): void;
	delete(key: Key): void;
	has(key: Key): boolean;
	/** How many are to be looked at, and how many wait for something to change. */
	counts(): { readonly active: number; readonly unschedulable: number };
	/** The next pod to be looked at; the caller's until one of the following. */
	take(): Wanted | undefined;
	/** The pod that was taken fits nowhere, because of these filters. */
	refused(pod: Pod, by: ReadonlySet<Filter>): void;
	/** The look at the pod that was taken has failed: it comes again after its backoff. */
	failed(pod: Pod): void;
	/** Something has changed that may help some of the pods that fitted nowhere. */
	changed<W extends What>(what: W, change: Changes[W], look: Look): void;
}

interface Entry {
	wanted: Wanted;
	/** In milliseconds since the epoch. */
	readonly created: number;
	/** Where it came in the line. */
	readonly number: number;
	attempts: number;
	attemptedAt: number;
	/** To be looked at; otherwise it is under way, or waits for a change or for its backoff. */
	ready: boolean;
	refusedBy: ReadonlySet<Filter>;
}

/** @param wake - called when there is something to take. */
export function createWaiting(clock: Clock, wake: () => void): WaitingPods {
	const entries = new Map<Key, Entry>();
	const line = createHeap<Entry>(before);
	const parked = new Map<Filter, Set<Entry>>();
	const delays = createDelays(clock, (key) => {
		const entry = entries.get(key);
		if (entry) makeReady(entry);
	});
	let arrived = 0;

	const keyOfEntry = ({ wanted: { pod } }: Entry) => keyOf(pod);
	const unpark = (entry: Entry) => {
		for (const filter of entry.refusedBy) parked.get(filter)?.delete(entry);
		entry.refusedBy = new Set();
	};
	const makeReady = (entry: Entry) => {
		if (entry.ready) return;
		unpark(entry);
		entry.ready = true;
		line.push(entry);
		wake();
	};
	const backOff = (entry: Entry) => {
		unpark(entry);
		const backoff = entry.attempts > 0 ? exponential(FIRST_BACKOFF_MS, LONGEST_BACKOFF_MS, entry.attempts - 1) : 0;
		const left = entry.attemptedAt + backoff - clock.now();
		if (left > 0) delays.set(keyOfEntry(entry), left);
		else {
			delays.delete(keyOfEntry(entry));
			makeReady(entry);
		}
	};
	const attempted = (pod: Pod) => {
		const entry = entries.get(keyOf(pod));
		// It may have gone or changed while it was looked at.
		if (!entry || entry.ready || entry.wanted.pod.metadata.uid !== pod.metadata.uid) return undefined;
		entry.attempts++;
		entry.attemptedAt = clock.now();
		return entry;
	};
	const remove = (key: Key) => {
		const entry = entries.get(key);
		if (!entry) return;
		unpark(entry);
		entry.ready = false;
		entries.delete(key);
		delays.delete(key);
	};

	return {
		add(pod) {
			const key = keyOf(pod);
			let entry = entries.get(key);
			if (entry && entry.wanted.pod.metadata.uid !== pod.metadata.uid) {
				remove(key);
				entry = undefined;
			}
			if (entry) entry.wanted = wantedOf(pod);
			else {
				const wanted = wantedOf(pod);
				const created = timeOf(pod.metadata.creationTimestamp) ?? 0;
				entry = { wanted, created, number: arrived++, attempts: 0, attemptedAt: 0, ready: false, refusedBy: new Set() };
				entries.set(key, entry);
			}
			if (!entry.ready) backOff(entry);
		},
		update(pod) {
			const entry = entries.get(keyOf(pod));
			if (entry) entry.wanted = { ...entry.wanted, pod };
		},
		delete: remove,
		has: (key) => entries.has(key),
		counts() {
			const unschedulable = [...entries.values()].filter(({ ready }) => !ready).length;
			return { active: entries.size - unschedulable, unschedulable };
		},
		take() {
			for (let entry = line.pop(); entry; entry = line.pop()) {
				// What was taken out of the line is still in the heap.
				if (!entry.ready) continue;
				entry.ready = false;
				return entry.wanted;
			}
			return undefined;
		},
		refused(pod, by) {
			const entry = attempted(pod);
			if (!entry) return;
			unpark(entry);
			entry.refusedBy = by;
			for (const filter of by) {
				const others = parked.get(filter) ?? new Set();
				parked.set(filter, others.add(entry));
			}
			delays.set(keyOfEntry(entry), LOOK_ANYHOW_MS);
		},
		failed(pod) {
			const entry = attempted(pod);
			if (entry) backOff(entry);
		},
		changed(what, change, look) {
			for (const [filter, entries] of parked) {
				const hint: Hint<typeof what> | undefined = filter.hints[what];
				if (!hint) continue;
				for (const entry of [...entries]) if (hint(entry.wanted, change, look)) backOff(entry);
			}
		},
		[Symbol.dispose]() {
			delays[Symbol.dispose]();
			entries.clear();
			parked.clear();
			line.clear();
		},
	};
}

/** The more urgent, then the older, then the one that came first. */
function before(a: Entry, b: Entry): boolean {
	const urgency = (b.wanted.pod.spec.priority ?? 0) - (a.wanted.pod.spec.priority ?? 0);
	if (urgency !== 0) return urgency < 0;
	const age = a.created - b.created;
	return age === 0 ? a.number < b.number : age < 0;
}
