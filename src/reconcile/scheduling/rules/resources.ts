/** What pods take of a node. Source: Kubernetes documentation, "Resource Management for Pods and Containers", "Resource Bin Packing". */
import type { HostPort } from '../../../kinds/index.ts';
import { weightOf } from '../pod-weight.ts';
import { type Filter, passesNow, passesThere, type Score } from './rule.ts';

const PORTS_TAKEN = ["node(s) didn't have free ports for the requested pod ports"];
const ANY_ADDRESS = '0.0.0.0';

const preparePorts: Filter['prepare'] = ({ ports }) =>
	ports.length > 0 ? (state) => (clashes(ports, state.ports) ? PORTS_TAKEN : undefined) : undefined;

/** Ports of the host that are taken. */
export const nodePorts: Filter = {
	name: 'NodePorts',
	prepare: preparePorts,
	hints: { 'node added': passesNow(preparePorts), 'pod gone': passesThere(preparePorts) },
};

const prepareFit: Filter['prepare'] =
	({ takes }) =>
	({ allocatable, used }) => {
		let short: string[] | undefined;
		for (const [name, amount] of takes) {
			if (amount <= (allocatable[name] ?? 0) - (used[name] ?? 0)) continue;
			short ??= [];
			short.push(name === 'pods' ? 'Too many pods' : `Insufficient ${name}`);
		}
		return short;
	};

/** Requests that the node has no room for. */
export const nodeResourcesFit: Filter = {
	name: 'NodeResourcesFit',
	prepare: prepareFit,
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
		return nodes.map(({ allocatable, weight }) =>
			Math.floor(
				(free(allocatable.cpu ?? 0, weight.cpu + own.cpu) + free(allocatable.memory ?? 0, weight.memory + own.memory)) /
					2,
			),
		);
	},
};

const free = (total: number, taken: number) =>
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
