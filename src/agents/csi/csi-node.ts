/**
 * What the API is told of the node's drivers: the object CSINode, the labels of their topology, and how they call the node.
 * Source: Kubernetes API reference, "CSINode"; Kubernetes documentation, "Well-Known Labels, Annotations and Taints",
 * csi.volume.kubernetes.io/nodeid.
 */
import { isDeepStrictEqual } from 'node:util';
import type { CSINodeDriver } from 'kubernetes-types/storage/v1.js';
import type { Client } from '../../client/index.ts';
import { ApiError, CSINode, Node } from '../../kinds/index.ts';
import type { Driver } from './drivers.ts';

const NODE_IDS = 'csi.volume.kubernetes.io/nodeid';

/** A driver as the object has it. */
export const entryOf = ({ name, nodeId, topology, maxVolumes }: Driver): CSINodeDriver => ({
	name,
	nodeID: nodeId,
	topologyKeys: Object.keys(topology).sort(),
	...(maxVolumes !== undefined && { allocatable: { count: maxVolumes } }),
});

/**
 * The drivers that the object is to have.
 *
 * @param complete - whether `drivers` are all that the node has: others are gone then.
 */
export function driversAfter(
	before: readonly CSINodeDriver[],
	drivers: readonly Driver[],
	complete: boolean,
): readonly CSINodeDriver[] {
	const entries = new Map(drivers.map((driver) => [driver.name, entryOf(driver)]));
	const kept = before.filter(({ name }) => !complete && !entries.has(name));
	// In the order that they have: what has not changed is not written.
	const changed = before.flatMap(({ name }) => entries.get(name) ?? []);
	const added = [...entries.values()].filter(({ name }) => !before.some((one) => one.name === name));
	return [...kept, ...changed, ...added];
}

/** Tells the API. Throws where it does not take it, or where a label of the node has another value than a driver says. */
export async function tellDrivers(
	client: Client,
	node: string,
	drivers: readonly Driver[],
	complete: boolean,
): Promise<void> {
	const { metadata } = await client.get(Node, { name: node });
	const before = await client.get(CSINode, { name: node }).catch(absent);
	const specOf = (list: readonly CSINodeDriver[]) => ({ drivers: list as CSINodeDriver[] });
	// The labels first: who reads a topology key looks for its label.
	await tellNode(client, node, metadata, drivers, complete);
	if (!before) {
		const owner = { apiVersion: 'v1', kind: 'Node', name: node, uid: metadata.uid ?? '' };
		await client.create(CSINode, {
			apiVersion: 'storage.k8s.io/v1',
			kind: 'CSINode',
			metadata: { name: node, ownerReferences: [owner] },
			spec: specOf(driversAfter([], drivers, complete)),
		});
		return;
	}
	const list = driversAfter(before.spec.drivers ?? [], drivers, complete);
	if (isDeepStrictEqual(list, before.spec.drivers ?? [])) return;
	await client.update(CSINode, { ...before, spec: specOf(list) });
}

async function tellNode(
	client: Client,
	name: string,
	{ labels = {}, annotations = {} }: Node['metadata'],
	drivers: readonly Driver[],
	complete: boolean,
): Promise<void> {
	const wanted: Record<string, string> = {};
	for (const { name: driver, topology } of drivers) {
		for (const [key, value] of Object.entries(topology)) {
			const there = labels[key] ?? wanted[key];
			if (there !== undefined && there !== value)
				throw new Error(
					`detected topology value collision: driver ${driver} reported "${key}":"${value}" but existing label is "${key}":"${there}"`,
				);
			if (labels[key] === undefined) wanted[key] = value;
		}
	}
	const ids: Record<string, string> = complete ? {} : idsOf(annotations[NODE_IDS]);
	for (const driver of drivers) ids[driver.name] = driver.nodeId;
	const text = Object.keys(ids).length > 0 ? JSON.stringify(ids) : undefined;
	if (Object.keys(wanted).length === 0 && text === annotations[NODE_IDS]) return;
	const body = { metadata: { labels: wanted, annotations: { [NODE_IDS]: text ?? null } } };
	await client.patch(Node, { name }, { type: 'merge', body });
}

function idsOf(text = '{}'): Record<string, string> {
	try {
		const found = JSON.parse(text) as unknown;
		return typeof found === 'object' && found !== null ? (found as Record<string, string>) : {};
	} catch {
		return {};
	}
}

function absent(error: unknown): undefined {
	if (!(error instanceof ApiError) || error.code !== 404) throw error;
}
