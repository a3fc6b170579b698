/** What pods take of a node. Source: Kubernetes documentation, "Resource Management for Pods and Containers", "Resource Bin Packing". */
import type { HostPort } from '../../../kinds/index.ts';
import { weightOf } from '../pod-weight.ts';
import { AMOUNTS, amountAt, type NodeState } from '../snapshot.ts';
import { type Filter, passesNow, passesThere, type Score } from './rule.ts';

const PORTS_TAKEN = ["node(s) didn't have free ports for the requested pod ports"];
const ANY_ADDRESS = '0.0.0.0';

const preparePorts: Filter['prepare'] = ({ ports }) =>
	ports.length > 0 ? (state) => (clashes(ports, state.ports) ? PORTS_TAKEN : undefined) : undefined;

/** Ports of the host that are taken. */
export const nodePorts: Filter = {
	name: 'NodePorts',
	prepare: preparePorts,
	helpedByRoom: true,
	hints: { 'node added': passesNow(preparePorts), 'pod gone': passesThere(preparePorts) },
};

const prepareFit: Filter['prepare'] = ({ requests, takes }) => {
	// What is not asked for fits on a node, too, of which more is taken than there is.
	const asked = (name: string) => requests[name] || Number.NEGATIVE_INFINITY;
	const [cpu, memory, pods] = [asked('cpu'), asked('memory'), asked('pods')];
	const others = takes.filter(([name]) => name !== 'cpu' && name !== 'memory' && name !== 'pods');
	const isShort = ({ allocatable, used }: NodeState, [name, amount]: (typeof takes)[number]) =>
		amount > (allocatable[name] ?? 0) - (used[name] ?? 0);
	// Asked of every node, most of which have room.
	return (state) => {
		const { total, taken } = state;
		const fits =
			cpu <= free(total, taken, AMOUNTS.cpu) &&
			memory <= free(total, taken, AMOUNTS.memory) &&
			pods <= free(total, taken, AMOUNTS.pods);
		if (fits && !others.some((each) => isShort(state, each))) return undefined;
		return takes
			.filter((each) => isShort(state, each))
			.map(([name]) => (name === 'pods' ? 'Too many pods' : `Insufficient ${name}`));
	};
};

const free = (total: Float64Array, taken: Float64Array, at: number) => amountAt(total, at) - amountAt(taken, at);

/** Requests that the node has no room for. */
export const nodeResourcesFit: Filter = {
	name: 'NodeResourcesFit',
	prepare: prepareFit,
	helpedByRoom: true,
	hints: {
		'node added': passesNow(prepareFit),
		'node allocatable': passesNow(prepareFit),
		'pod gone': passesThere(prepareFit),
	},
};

/** The largest share of cpu and memory that stays free with the pod on the node. */
export const leastAllocated: Score = {
	name: 'NodeResourcesFit',
	weight: 1,
	of({ requests }, nodes) {
		const own = weightOf(requests);
		return nodes.map(({ total, taken }) => {
			const cpu = share(amountAt(total, AMOUNTS.cpu), amountAt(taken, AMOUNTS.cpuWeight) + own.cpu);
			const memory = share(amountAt(total, AMOUNTS.memory), amountAt(taken, AMOUNTS.memoryWeight) + own.memory);
			return Math.floor((cpu + memory) / 2);
		});
	},
};

/** The largest share of cpu and memory that is taken with the pod on the node: few nodes, and full ones. */
export const mostAllocated: Score = {
	name: 'NodeResourcesFit',
	weight: 1,
	of({ requests }, nodes) {
		const own = weightOf(requests);
		return nodes.map(({ total, taken }) => {
			const cpu = share(amountAt(total, AMOUNTS.cpu), amountAt(taken, AMOUNTS.cpuWeight) + own.cpu);
			const memory = share(amountAt(total, AMOUNTS.memory), amountAt(taken, AMOUNTS.memoryWeight) + own.memory);
			return Math.floor((200 - cpu - memory) / 2);
		});
	},
};

/**
 * Cpu and memory taken by like shares, so that neither is left over for want of the other. A pod that asks for nothing changes nothing
 * of it.
 */
export const balanced: Score = {
	name: 'NodeResourcesBalancedAllocation',
	weight: 1,
	of({ requests: { cpu = 0, memory = 0 } }, nodes) {
		if (cpu + memory === 0) return undefined;
		return nodes.map(({ total, taken }) => {
			const ofCpu = taking(total, taken, AMOUNTS.cpu, cpu);
			const ofMemory = taking(total, taken, AMOUNTS.memory, memory);
			// The standard deviation of two.
			return Math.floor((1 - Math.abs(ofCpu - ofMemory) / 2) * 100);
		});
	},
};

/** Which share is taken with so much more. */
const taking = (total: Float64Array, taken: Float64Array, at: number, more: number) => {
	const all = amountAt(total, at);
	return all > 0 ? Math.min(1, (amountAt(taken, at) + more) / all) : 0;
};

/** What stays free, in percent. */
const share = (total: number, taken: number) =>
	total > 0 ? Math.max(0, Math.floor(((total - taken) * 100) / total)) : 0;

function clashes(wanted: readonly HostPort[], taken: Iterable<HostPort>): boolean {
	for (const { ip, port, protocol } of taken)
		for (const want of wanted)
			if (
				want.port === port &&
				want.protocol === protocol &&
				(want.ip === ip || want.ip === ANY_ADDRESS || ip === ANY_ADDRESS)
			)
				return true;
	return false;
}
