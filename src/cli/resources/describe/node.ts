import type { Client } from '../../../client/index.ts';
import { ageOf, formatQuantity, Lease, milli, type Node, Pod, quantity } from '../../../kinds/index.ts';
import { isNotFound } from '../session.ts';
import { amounts } from './container.ts';
import { type Entry, field, section, tableOf, timeText } from './layout.ts';
import { labelFields, nameFields } from './metadata.ts';

const ROLE = 'node-role.kubernetes.io/';

export async function describeNode(client: Client, node: Node, now: number): Promise<Entry[]> {
	const { metadata, spec, status = {} } = node;
	const [{ items }, lease] = await Promise.all([
		client.list(Pod, { fieldSelector: `spec.nodeName=${metadata.name}` }),
		leaseOf(client, metadata.name),
	]);
	const pods = items.filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed');
	const roles = Object.keys(metadata.labels ?? {}).flatMap((label) =>
		label.startsWith(ROLE) ? [label.slice(ROLE.length)] : [],
	);
	const info = Object.entries(status.nodeInfo ?? {});
	return [
		...nameFields(node),
		field('Roles', roles.sort().join(',')),
		...labelFields(node),
		field('CreationTimestamp', timeText(metadata.creationTimestamp)),
		field(
			'Taints',
			(spec?.taints ?? []).map(({ key, value, effect }) => `${key}${value ? `=${value}` : ''}:${effect}`),
		),
		field('Unschedulable', spec?.unschedulable ?? false),
		...(lease
			? [
					section('Lease', [
						field('HolderIdentity', lease.spec?.holderIdentity),
						field('RenewTime', timeText(lease.spec?.renewTime)),
					]),
				]
			: []),
		tableOf(
			'Conditions',
			['Type', 'Status', 'LastHeartbeatTime', 'LastTransitionTime', 'Reason', 'Message'],
			(status.conditions ?? []).map((each) => [
				each.type,
				each.status,
				timeText(each.lastHeartbeatTime),
				timeText(each.lastTransitionTime),
				each.reason ?? '',
				each.message ?? '',
			]),
		),
		section(
			'Addresses',
			(status.addresses ?? []).map(({ type, address }) => field(type, address)),
		),
		...amounts('Capacity', status.capacity),
		...amounts('Allocatable', status.allocatable),
		section(
			'System Info',
			info.map(([name, value]) => field(words(name), String(value))),
		),
		field('PodCIDR', spec?.podCIDR),
		tableOf(
			`Non-terminated Pods (${pods.length} in total)`,
			['Namespace', 'Name', 'CPU Requests', 'CPU Limits', 'Memory Requests', 'Memory Limits', 'Age'],
			pods.map((pod) => podRow(pod, node, now)),
		),
		allocated(pods, node),
	];
}

/** `kernelVersion` as `Kernel Version`. */
const words = (name: string) => name.replace(/^./, (first) => first.toUpperCase()).replace(/([a-z])([A-Z])/g, '$1 $2');

async function leaseOf(client: Client, name: string): Promise<Lease | undefined> {
	try {
		return await client.get(Lease, { namespace: 'kube-node-lease', name });
	} catch (error) {
		if (isNotFound(error)) return undefined;
		throw error;
	}
}

type Side = 'requests' | 'limits';

/** What the containers of a pod ask for together, with sidecars; cpu in thousandths, memory in bytes. */
function sumOf({ spec }: Pod, side: Side, resource: 'cpu' | 'memory'): number {
	const read = resource === 'cpu' ? milli : quantity;
	const own = (container: Pod['spec']['containers'][number]) => read(container.resources?.[side]?.[resource] ?? 0);
	const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
	const together = [...spec.containers, ...sidecars].reduce((sum, container) => sum + own(container), 0);
	// Those that run before the others run alone.
	const starting = (spec.initContainers ?? []).map(own);
	return Math.max(together, ...starting);
}

const amount = (sum: number, resource: 'cpu' | 'memory') =>
	resource === 'cpu' ? formatQuantity(sum / 1000, 'DecimalSI') : formatQuantity(sum, 'BinarySI');

function share(sum: number, resource: 'cpu' | 'memory', { status }: Node): string {
	const all = status?.allocatable?.[resource];
	const whole = all === undefined ? 0 : resource === 'cpu' ? milli(all) : quantity(all);
	return `${amount(sum, resource)} (${whole > 0 ? Math.floor((sum * 100) / whole) : 0}%)`;
}

function podRow(pod: Pod, node: Node, now: number): string[] {
	const { namespace = '', name, creationTimestamp } = pod.metadata;
	const cell = (side: Side, resource: 'cpu' | 'memory') => share(sumOf(pod, side, resource), resource, node);
	return [
		namespace,
		name,
		cell('requests', 'cpu'),
		cell('limits', 'cpu'),
		cell('requests', 'memory'),
		cell('limits', 'memory'),
		ageOf(creationTimestamp, now),
	];
}

function allocated(pods: readonly Pod[], node: Node): Entry {
	const total = (side: Side, resource: 'cpu' | 'memory') =>
		share(
			pods.reduce((sum, pod) => sum + sumOf(pod, side, resource), 0),
			resource,
			node,
		);
	const rows = (['cpu', 'memory'] as const).map((resource) => [
		resource,
		total('requests', resource),
		total('limits', resource),
	]);
	return tableOf('Allocated resources', ['Resource', 'Requests', 'Limits'], rows);
}
