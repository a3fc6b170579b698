/**
 * UDP flows that still lead to an endpoint which is gone. The kernel goes on to translate a flow as long as the client keeps
 * sending; TCP ends by itself, UDP must be forgotten. Source: kernel documentation, nf_conntrack-sysctl, nf_conntrack_udp_timeout.
 */
import { describe, faults } from '../client/index.ts';
import type { Log } from '../log.ts';
import { conntrack } from './programs.ts';
import type { ServicePort } from './services.ts';

/** Flows from clients to one address that were translated to one endpoint. */
export interface Flows {
	readonly address: string;
	readonly port: number;
	readonly target: string;
	readonly targetPort: number;
}

/** The UDP ports that have lost an endpoint, as they are now; those that are gone have none. */
export function lostEndpoints(before: Iterable<ServicePort>, after: Iterable<ServicePort>): ServicePort[] {
	const now = new Map(Array.from(after, (port) => [port.name, port]));
	return [...before]
		.filter(({ protocol }) => protocol === 'udp')
		.flatMap((old) => {
			const port = now.get(old.name) ?? { ...old, targets: [], localTargets: [] };
			const kept = endpointsOf(port);
			return [...endpointsOf(old)].some((endpoint) => !kept.has(endpoint)) ? [port] : [];
		});
}

/** Which flows of these ports lead to no endpoint of theirs. `listing` is what `conntrack -L` prints. */
export function staleFlows(listing: string, ports: Iterable<ServicePort>): Flows[] {
	const byAddress = new Map<string, Set<string>>();
	const byNodePort = new Map<number, Set<string>>();
	for (const port of ports) {
		if (port.protocol !== 'udp') continue;
		const endpoints = endpointsOf(port);
		for (const address of [port.clusterIP, ...port.externalAddresses])
			byAddress.set(`${address}:${port.port}`, endpoints);
		if (port.nodePort) byNodePort.set(port.nodePort, endpoints);
	}
	const stale = new Map<string, Flows>();
	for (const line of listing.split('\n')) {
		const flow = parse(line);
		// What is answered by the address that was asked is not translated.
		if (!flow || flow.target === flow.address) continue;
		const endpoints = byAddress.get(`${flow.address}:${flow.port}`) ?? byNodePort.get(flow.port);
		if (endpoints && !endpoints.has(`${flow.target}:${flow.targetPort}`)) stale.set(JSON.stringify(flow), flow);
	}
	return [...stale.values()];
}

export interface KernelFlows {
	/** Drops what leads to no endpoint of these ports: the client's next packet goes to one that is there. Logs what fails. */
	forget(ports: readonly ServicePort[]): Promise<void>;
}

export function createFlows(log: Log): KernelFlows {
	const known = faults(log);
	return {
		async forget(ports) {
			if (!ports.some(({ protocol }) => protocol === 'udp')) return;
			try {
				for (const flows of staleFlows(await conntrack('-L', ...UDP, '--dst-nat'), ports)) await drop(flows);
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
