/**
 * Whether the node takes a pod: the last judge over what schedulers decide, since two may overlap, and pods may name their
 * node themselves. What is refused is Failed, and its owner makes another. Source: Kubernetes documentation, "Node-pressure
 * and pod admission" of the kubelet (OutOf..., NodePorts), and "Using sysctls in a Kubernetes Cluster".
 */

import { amounts, type HostPort, hostPortsOf, type Pod, qosClass, requestsOf } from '../../kinds/index.ts';
import type { Pressure } from '../pressure/judge.ts';
import { isCritical } from '../pressure/rank.ts';

export interface Refusal {
	/** OutOfcpu, OutOfmemory, OutOfpods, ..., NodePorts, SysctlForbidden. */
	readonly reason: string;
	readonly message: string;
}

export interface Admission {
	/** The other pods that the node has taken and that are not over. */
	readonly others: Iterable<Pod>;
	/** What the node has for pods, as quantities. */
	readonly allocatable: Readonly<Record<string, string>>;
	/** Unsafe sysctls that are allowed: names, and beginnings of names before a `*`. */
	readonly unsafeSysctls: readonly string[];
	/** What the node runs short of. Default nothing. */
	readonly pressure?: Pressure;
}

/** Why the pod is not taken; undefined where it is. */
export function judge(pod: Pod, { others, allocatable, unsafeSysctls, pressure }: Admission): Refusal | undefined {
	const present = [...others];
	return (
		judgePressed(pod, pressure) ??
		judgeSysctls(pod, unsafeSysctls) ??
		judgeResources(pod, present, allocatable) ??
		judgePorts(pod, present)
	);
}

/** With little memory left no pod that asks for none, with little of another thing none at all; but for what the system needs. */
function judgePressed(
	pod: Pod,
	{ memory = false, disk = false, pids = false }: Partial<Pressure> = {},
): Refusal | undefined {
	if (isCritical(pod)) return undefined;
	const tolerates = (pod.spec.tolerations ?? []).some(
		({ key, operator, effect }) =>
			(!key || key === 'node.kubernetes.io/memory-pressure') &&
			operator === 'Exists' &&
			(!effect || effect === 'NoSchedule'),
	);
	const lightly = qosClass(pod.spec) !== 'BestEffort' || tolerates;
	const conditions = [
		...(memory && !lightly ? ['MemoryPressure'] : []),
		...(disk ? ['DiskPressure'] : []),
		...(pids ? ['PIDPressure'] : []),
	];
	if (conditions.length === 0) return undefined;
	return { reason: 'Evicted', message: `The node had condition: [${conditions.join(' ')}]. ` };
}

/** Those that are a pod's own and harm no other. Source: Kubernetes documentation, "Safe and Unsafe Sysctls". */
const SAFE_SYSCTLS: ReadonlySet<string> = new Set([
	'kernel.shm_rmid_forced',
	'net.ipv4.ip_local_port_range',
	'net.ipv4.ip_local_reserved_ports',
	'net.ipv4.ip_unprivileged_port_start',
	'net.ipv4.ping_group_range',
	'net.ipv4.tcp_fin_timeout',
	'net.ipv4.tcp_keepalive_intvl',
	'net.ipv4.tcp_keepalive_probes',
	'net.ipv4.tcp_keepalive_time',
	'net.ipv4.tcp_rmem',
	'net.ipv4.tcp_syncookies',
	'net.ipv4.tcp_wmem',
]);

/** Whether the node lets the pod set the sysctls that it asks for. */
export function judgeSysctls({ spec }: Pod, allowed: readonly string[]): Refusal | undefined {
	const forbidden = (why: string): Refusal => ({ reason: 'SysctlForbidden', message: `forbidden sysctl: ${why}` });
	for (const { name: written } of spec.securityContext?.sysctls ?? []) {
		// Slashes separate as well as dots do.
		const name = written.replaceAll('/', '.');
		const matches = (one: string) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : name === one);
		if (!SAFE_SYSCTLS.has(name) && !allowed.some(matches)) return forbidden(`"${name}" not allowlisted`);
		// The machine's own namespaces are not the pod's to set.
		if (spec.hostNetwork && name.startsWith('net.')) return forbidden(`"${name}" not allowed with host net enabled`);
		if (spec.hostIPC && !name.startsWith('net.')) return forbidden(`"${name}" not allowed with host ipc enabled`);
	}
	return undefined;
}

/** In the order in which the kubelet names them, should there be several. */
const FIRST = ['pods', 'cpu', 'memory', 'ephemeral-storage'];

function judgeResources(
	pod: Pod,
	others: readonly Pod[],
	allocatable: Readonly<Record<string, string>>,
): Refusal | undefined {
	const wanted = requestsOf(pod);
	const has = amounts(allocatable);
	// What the node does not know of is not its own to refuse.
	const names = Object.keys(wanted).filter((name) => (wanted[name] ?? 0) > 0 && has[name] !== undefined);
	names.sort((a, b) => (FIRST.indexOf(a) + 1 || FIRST.length + 1) - (FIRST.indexOf(b) + 1 || FIRST.length + 1));
	for (const name of names) {
		const requested = wanted[name] ?? 0;
		const capacity = has[name] ?? 0;
		const used = others.reduce((sum, other) => sum + (requestsOf(other)[name] ?? 0), 0);
		if (used + requested <= capacity) continue;
		const message = `Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity}`;
		return { reason: `OutOf${name}`, message };
	}
	return undefined;
}

function judgePorts(pod: Pod, others: readonly Pod[]): Refusal | undefined {
	const wanted = hostPortsOf(pod);
	if (wanted.length === 0) return undefined;
	const taken = others.flatMap((other) => hostPortsOf(other));
	if (!wanted.some((port) => taken.some((other) => collide(port, other)))) return undefined;
	const why = "node(s) didn't have free ports for the requested pod ports";
	return { reason: 'NodePorts', message: `Predicate NodePorts failed: ${why}` };
}

const collide = (a: HostPort, b: HostPort): boolean =>
	a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === ANY || b.ip === ANY);
const ANY = '0.0.0.0';
