/**
 * UDP flows that lead elsewhere than the rules would lead them now: to an endpoint that is gone, or nowhere, since they began before
 * there were rules. The kernel goes on as it began for as long as the client keeps sending; TCP ends by itself, UDP must be
 * forgotten. Source: kernel documentation, nf_conntrack-sysctl, nf_conntrack_udp_timeout.
 */
import { networkInterfaces } from 'node:os';
import { describe, faults } from '../client/index.ts';
import type { Log } from '../log.ts';
import { conntrack } from './programs.ts';
import type { ServicePort } from './services.ts';

/** Flows from clients to one address that are answered by one endpoint, or by that address itself where they are not translated. */
export interface Flows {
	readonly address: string;
	readonly port: number;
	readonly target: string;
	readonly targetPort: number;
}

/**
 * The UDP ports, as they are now, whose flows may lead elsewhere than before: they have lost an endpoint, have endpoints where they
 * had none, or are reached at an address or node port that is new. Those that are gone have no endpoints.
 */
export function redirected(before: Iterable<ServicePort>, after: Iterable<ServicePort>): ServicePort[] {
	const udp = (ports: Iterable<ServicePort>) =>
		new Map(Array.from(ports, (port) => [port.name, port] as const).filter(([, { protocol }]) => protocol === 'udp'));
	const [old, now] = [udp(before), udp(after)];
	const gone = [...old.values()]
		.filter(({ name }) => !now.has(name))
		.map((port) => ({ ...port, targets: [], localTargets: [] }));
	const changed = [...now.values()].filter((port) => {
		const earlier = old.get(port.name);
		const [were, are] = [earlier ? endpointsOf(earlier) : new Set<string>(), endpointsOf(port)];
		if (!were.isSubsetOf(are)) return true;
		return are.size > 0 && (!earlier || were.size === 0 || !placesOf(port).isSubsetOf(placesOf(earlier)));
	});
	return [...gone, ...changed];
}

/** Which flows of these ports lead to no endpoint of theirs. `listing` is what `conntrack -L` prints, `own` the addresses of this host. */
export function staleFlows(listing: string, ports: Iterable<ServicePort>, own: ReadonlySet<string>): Flows[] {
	const byPlace = new Map<string, Set<string>>();
	for (const port of ports) {
		if (port.protocol !== 'udp') continue;
		for (const place of placesOf(port)) byPlace.set(place, endpointsOf(port));
	}
	const stale = new Map<string, Flows>();
	for (const line of listing.split('\n')) {
		const flow = parse(line);
		if (!flow) continue;
		// What goes to a port of that number on another machine is not the node port's.
		const nodePort = own.has(flow.address) ? byPlace.get(String(flow.port)) : undefined;
		const endpoints = byPlace.get(`${flow.address}:${flow.port}`) ?? nodePort;
		// A service without endpoints refuses; what is not translated is not its flow.
		if (!endpoints || (endpoints.size === 0 && flow.target === flow.address)) continue;
		if (!endpoints.has(`${flow.target}:${flow.targetPort}`)) stale.set(JSON.stringify(flow), flow);
	}
	return [...stale.values()];
}

export interface KernelFlows {
	/** Drops what leads to no endpoint of these ports: the client's next packet goes where the rules say. Logs what fails. */
	forget(ports: readonly ServicePort[]): Promise<void>;
}

export function createFlows(log: Log): KernelFlows {
	const known = faults(log);
	return {
		async forget(ports) {
			if (!ports.some(({ protocol }) => protocol === 'udp')) return;
			try {
				for (const flows of staleFlows(await conntrack('-L', ...UDP), ports, hostAddresses())) await drop(flows);
				known.healed('udp', 'UDP clients leave endpoints that are gone again');
			} catch (error) {
				known.failed('udp', error, 'UDP clients stay with an endpoint that is gone while they keep sending');
			}
		},
	};
}

async function drop({ address, port, target, targetPort }: Flows): Promise<void> {
	const to = ['--orig-dst', address, '--orig-port-dst', String(port)];
	const from = ['--reply-src', target, '--reply-port-src', String(targetPort)];
	await conntrack('-D', ...UDP, ...to, ...from).catch((error: unknown) => {
		// It has ended by itself in the meantime.
		if (!/\b0 flow entries/.test(describe(error))) throw error;
	});
}

const UDP = ['-f', 'ipv4', '-p', 'udp'] as const;

const hostAddresses = () =>
	new Set(Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address)));

/** Where it is reached: address and port, and the node port alone. */
const placesOf = ({ clusterIP, externalAddresses, port, nodePort }: ServicePort) =>
	new Set([
		...[clusterIP, ...externalAddresses].map((address) => `${address}:${port}`),
		...(nodePort ? [String(nodePort)] : []),
	]);

const endpointsOf = ({ targets, localTargets }: ServicePort) =>
	new Set([...targets, ...localTargets].map(({ ip, port }) => `${ip}:${port}`));

/** A line has the addresses and ports of the question, then those of the answer. */
function parse(line: string): Flows | undefined {
	const [question, answer] = [...line.matchAll(/src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g)];
	if (!question || !answer) return undefined;
	const [, , address = '', , port] = question;
	const [, target = '', , targetPort] = answer;
	return { address, port: Number(port), target, targetPort: Number(targetPort) };
}
