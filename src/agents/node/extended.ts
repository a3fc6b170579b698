/**
 * Resources that a node has beside its own: devices of plugins, which the agent counts, and what an administrator says that there is,
 * by a patch of the Node's status. Source: Kubernetes documentation, "Advertise Extended Resources for a Node".
 */
import type * as core from 'kubernetes-types/core/v1.js';
import { isExtendedResource } from '../../kinds/index.ts';
import type { Amounts } from './capacity.ts';

type Status = Pick<core.NodeStatus, 'capacity' | 'allocatable'>;

/**
 * What the node publishes: what is its own, and what others have added to its capacity, which pods may then ask for.
 *
 * @param fresh - nothing is known of devices that were published before: they are gone.
 */
export function published(own: Amounts, before: Status, fresh = false): Amounts {
	const capacity: Record<string, string> = {};
	for (const [name, amount] of Object.entries(before.capacity ?? {}))
		if (own.capacity[name] === undefined) capacity[name] = fresh && isExtendedResource(name) ? '0' : amount;
	return { capacity: { ...capacity, ...own.capacity }, allocatable: { ...capacity, ...own.allocatable } };
}

/** What the Node offers to pods that neither the agent measures nor a plugin counts. */
export function advertised(status: Status | undefined, devices: Amounts): Readonly<Record<string, string>> {
	const all = Object.entries(status?.allocatable ?? {});
	return Object.fromEntries(all.filter(([name]) => isExtendedResource(name) && !(name in devices.capacity)));
}

/**
 * What is to be written, as a merge patch: what differs, and what is gone. What others have said is not written again: they may take
 * it back at this moment.
 */
export function changing(
	target: Readonly<Record<string, string>>,
	before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string | null>> {
	const gone = Object.keys(before).filter((name) => target[name] === undefined);
	const other = Object.entries(target).filter(([name, amount]) => before[name] !== amount);
	return Object.fromEntries([...gone.map((name) => [name, null] as const), ...other]);
}
