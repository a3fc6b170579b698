/** Traffic of network interfaces, from /proc/PID/net/dev. Source: proc_pid_net(5). */

export interface Interface {
	readonly name: string;
	readonly receivedBytes: number;
	readonly receivedPackets: number;
	readonly receivedErrors: number;
	readonly receivedDropped: number;
	readonly sentBytes: number;
	readonly sentPackets: number;
	readonly sentErrors: number;
	readonly sentDropped: number;
}

/** All but loopback's. */
export function parseInterfaces(text: string): Interface[] {
	return text.split('\n').flatMap((line) => {
		const [, name, rest = ''] = /^\s*([^\s:]+):\s*(.*)$/.exec(line) ?? [];
		if (name === undefined || name === 'lo') return [];
		const at = rest.split(/\s+/).map(Number);
		const figure = (column: number) => at[column] ?? 0;
		return [
			{
				name,
				receivedBytes: figure(0),
				receivedPackets: figure(1),
				receivedErrors: figure(2),
				receivedDropped: figure(3),
				sentBytes: figure(8),
				sentPackets: figure(9),
				sentErrors: figure(10),
				sentDropped: figure(11),
			},
		];
	});
}

/** The one that a node or pod is reached by: of a default route, else the first. */
export function mainInterface(interfaces: readonly Interface[], routes: string): Interface | undefined {
	// The second column is the destination, which is zero in a default route.
	const name = /^(\S+)\t00000000\t/m.exec(routes)?.[1];
	return interfaces.find((one) => one.name === name) ?? interfaces[0];
}
