/** Whether a node is alive, and what its conditions and taints say of it. Source: Kubernetes documentation, "Node Status" and "Taints and Tolerations". */
import type { NodeCondition, Taint } from 'kubernetes-types/core/v1.js';
import { type Lease, type Node, timestamp } from '../../kinds/index.ts';

/** A node that gives no sign for so long is Unknown. Agents renew their Lease every 10 s. */
export const GRACE_MS = 40_000;

/** What was last seen of a node's signs of life. */
export interface Sign {
	/** Changes with each sign; what it says does not matter, so that clocks need not agree. */
	readonly beat: string;
	/** When the beat was first seen, by a clock of ours that nobody sets. */
	readonly since: number;
	/** When the node was last looked at. */
	readonly looked: number;
}

/**
 * The newest sign of a node. One that is seen for the first time is new, so that nothing is judged before a whole grace
 * period after the start; so is one after a gap in which we did not look (the machine slept, the API was away).
 */
export function signOf(node: Node, lease: Lease | undefined, before: Sign | undefined, now: number): Sign {
	const ready = readyOf(node);
	const beat = `${lease?.spec.renewTime ?? ''} ${ready?.status === 'Unknown' ? '' : (ready?.lastHeartbeatTime ?? '')}`;
	const watched = before && now - before.looked <= GRACE_MS + GRACE_MS / 2;
	return { beat, since: watched && before.beat === beat ? before.since : now, looked: now };
}

export const readyOf = (node: Node): NodeCondition | undefined =>
	node.status?.conditions?.find(({ type }) => type === 'Ready');

export const isSilent = (node: Node) => readyOf(node)?.status === 'Unknown';

/** The conditions that only the agent can know. */
const REPORTED = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];

/** The conditions of a silent node that must become Unknown; none when all are. */
export function unknownConditions(node: Node, now: number): NodeCondition[] {
	return REPORTED.flatMap((type) => {
		const old = node.status?.conditions?.find((condition) => condition.type === type);
		if (old?.status === 'Unknown') return [];
		const reason = old ? 'NodeStatusUnknown' : 'NodeStatusNeverUpdated';
		const message = old ? 'The node has stopped reporting.' : 'The node has never reported.';
		const since = timestamp(now);
		const { lastHeartbeatTime = node.metadata.creationTimestamp } = old ?? {};
		return { type, status: 'Unknown', reason, message, lastHeartbeatTime, lastTransitionTime: since };
	});
}

export const NOT_READY = 'node.kubernetes.io/not-ready';
export const UNREACHABLE = 'node.kubernetes.io/unreachable';
/** The taint that a condition makes when it is True. */
const PRESSURES: Readonly<Record<string, string>> = {
	MemoryPressure: 'node.kubernetes.io/memory-pressure',
	DiskPressure: 'node.kubernetes.io/disk-pressure',
	PIDPressure: 'node.kubernetes.io/pid-pressure',
	NetworkUnavailable: 'node.kubernetes.io/network-unavailable',
};
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';
const OURS = new Set([NOT_READY, UNREACHABLE, UNSCHEDULABLE, ...Object.values(PRESSURES)]);

const nameOf = ({ key, effect }: Taint) => `${key}:${effect}`;

/**
 * The taints that the node must have instead of its own; undefined when they are right. `evicts` tells whether its own state
 * may make its pods go.
 */
export function planTaints(node: Node, now: number, evicts: boolean): Taint[] | undefined {
	const wanted = new Map<string, Taint>();
	const want = (taint: Taint) => wanted.set(nameOf(taint), taint);
	const ready = readyOf(node)?.status;
	if (ready !== 'True') {
		const key = ready === 'Unknown' ? UNREACHABLE : NOT_READY;
		want({ key, effect: 'NoSchedule' });
		// A node that has yet to report has no pods that would have to go.
		if (ready && evicts) want({ key, effect: 'NoExecute' });
	}
	for (const { type, status } of node.status?.conditions ?? []) {
		const key = PRESSURES[type];
		if (key && status === 'True') want({ key, effect: 'NoSchedule' });
	}
	if (node.spec.unschedulable) want({ key: UNSCHEDULABLE, effect: 'NoSchedule' });

	let changed = false;
	const taints: Taint[] = [];
	for (const taint of node.spec.taints ?? []) {
		if (OURS.has(taint.key) && !wanted.delete(nameOf(taint))) changed = true;
		else if (taint.effect === 'NoExecute' && !taint.timeAdded) {
			// Tolerations that end count from here.
			taints.push({ ...taint, timeAdded: timestamp(now) });
			changed = true;
		} else taints.push(taint);
	}
	for (const taint of wanted.values()) {
		taints.push(taint.effect === 'NoExecute' ? { ...taint, timeAdded: timestamp(now) } : taint);
		changed = true;
	}
	return changed ? taints : undefined;
}
