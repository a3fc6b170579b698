import test from 'ava';
import { lostEndpoints, staleFlows } from '../../src/proxy/flows.ts';
import { heedChain, heedLink } from '../../src/proxy/monitor.ts';
import { type KernelRoute, nodeRoutes, planRoutes, type Route } from '../../src/proxy/routes.ts';
import { node, port } from './objects.ts';

test('every other node that has a range and an address is a way to its pods', (t) => {
	const nodes = [
		node('a', '10.244.0.0/24', '192.0.2.1'),
		node('b', '10.244.1.0/24', '192.0.2.2'),
		node('without-range', undefined, '192.0.2.3'),
		node('without-address', '10.244.3.0/24'),
		node('ipv6-only', '10.244.4.0/24', 'fd00::1'),
		node('at-my-address', '10.244.5.0/24', '192.0.2.1'),
	];
	t.deepEqual(nodeRoutes(nodes, 'a'), [{ to: '10.244.1.0/24', via: '192.0.2.2' }]);
	t.deepEqual(
		nodeRoutes(nodes, 'b').map(({ to }) => to),
		['10.244.0.0/24', '10.244.5.0/24'],
	);
});

const services: Route = { to: '10.96.0.0/12', dev: 'drift0', src: '10.244.0.1' };
const pods: Route = { to: '10.244.1.0/24', via: '192.0.2.2' };
const ours = { protocol: '96' };
const routes: [string, Route[], KernelRoute[], Route[], string[]][] = [
	['missing ones are set', [services, pods], [], [services, pods], []],
	[
		'those that are there stay as they are',
		[services, pods],
		[
			{ dst: '10.96.0.0/12', dev: 'drift0', prefsrc: '10.244.0.1', ...ours },
			{ dst: '10.244.1.0/24', gateway: '192.0.2.2', dev: 'eth0', ...ours },
		],
		[],
		[],
	],
	[
		'a node that has another address is reached there',
		[pods],
		[{ dst: '10.244.1.0/24', gateway: '192.0.2.9', dev: 'eth0', ...ours }],
		[pods],
		[],
	],
	[
		'that of a node that is gone goes',
		[],
		[{ dst: '10.244.1.0/24', gateway: '192.0.2.2', dev: 'eth0', ...ours }],
		[],
		['10.244.1.0/24'],
	],
	[
		"other people's stay, also where they lead to the pods of a node",
		[pods],
		[
			{ dst: '10.244.1.0/24', dev: 'wg0', protocol: 'static' },
			{ dst: '10.244.7.0/24', dev: 'wg0', protocol: 'static' },
			{ dst: '10.244.0.0/24', dev: 'drift0', protocol: 'kernel' },
		],
		[],
		[],
	],
];
for (const [title, wanted, present, set, remove] of routes)
	test(`routes: ${title}`, (t) => t.deepEqual(planRoutes(wanted, present), { set, remove }));

const lines: [string, string, string][] = [
	[
		'the bridge is made',
		'7: drift0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state DOWN group default \\    link/ether',
		'host',
	],
	[
		'the bridge goes',
		'Deleted 7: drift0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default \\',
		'host',
	],
	[
		'the bridge has its address',
		'7: drift0    inet 10.244.0.1/24 brd 10.244.0.255 scope global drift0\\       valid_lft forever',
		'host',
	],
	[
		'a pod comes on the bridge',
		'9: veth1@if8: <BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue master drift0 state UP group default \\',
		'ports',
	],
	[
		'the address of DNS goes',
		'Deleted 1: lo    inet 10.96.0.10/32 scope host lo\\       valid_lft forever preferred_lft forever',
		'host',
	],
	['the route to services goes', 'Deleted 10.96.0.0/12 dev drift0 proto 96 scope link src 10.244.0.1 ', 'host'],
	[
		'a link of somebody else',
		'3: eth1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default \\',
		'',
	],
	[
		'a container of another network',
		'9: veth2@if8: <BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue master docker0 state UP group default \\',
		'',
	],
	['a route of somebody else', '198.51.100.0/24 via 192.0.2.1 dev eth0 ', ''],
];
const heard = () => {
	const calls: string[] = [];
	const note = (what: string) => () => void calls.push(what);
	return { calls, changed: { host: note('host'), ports: note('ports'), rules: note('rules') } };
};
for (const [title, line, wanted] of lines)
	test(`what the kernel tells of links: ${title}`, (t) => {
		const { calls, changed } = heard();
		heedLink(line, 'drift0', changed);
		t.is(calls.join(), wanted);
	});

test('what the kernel tells of tables: ours goes, Docker makes its chain, nothing else counts', (t) => {
	const { calls, changed } = heard();
	heedChain('delete chain ip driftless dispatch', changed);
	heedChain('add chain ip filter DOCKER-USER', changed);
	heedChain('add chain ip driftless cluster/shop/web/http/tcp', changed);
	heedChain('add chain ip filter DOCKER-USER-2', changed);
	t.deepEqual(calls, ['rules', 'host']);
});

const udp = { name: 'shop/dns/dns/udp', protocol: 'udp', port: 53 } as const;
const line = (address: string, dport: number, target: string, sport: number) =>
	`udp      17 28 src=10.244.0.9 dst=${address} sport=40000 dport=${dport} src=${target} dst=10.244.0.9 sport=${sport} dport=40000 [ASSURED] mark=0 use=1`;

test('UDP flows to endpoints that are gone are stale, all others are left alone', (t) => {
	const listing = [
		line('10.96.0.5', 53, '10.244.0.2', 8080),
		line('10.96.0.5', 53, '10.244.0.3', 8080),
		line('10.96.0.5', 53, '10.244.0.3', 8080).replace('sport=40000', 'sport=40001'),
		line('10.96.0.5', 54, '10.244.0.3', 8080),
		line('10.96.0.6', 53, '10.244.0.3', 8080),
		line('192.0.2.7', 30053, '10.244.0.3', 8080),
		// A client of the same port elsewhere is not translated.
		line('198.51.100.1', 30053, '198.51.100.1', 30053),
		'',
	].join('\n');
	t.deepEqual(staleFlows(listing, [port([2], { ...udp, nodePort: 30053 })]), [
		{ address: '10.96.0.5', port: 53, target: '10.244.0.3', targetPort: 8080 },
		{ address: '192.0.2.7', port: 30053, target: '10.244.0.3', targetPort: 8080 },
	]);
});

test('only UDP ports that have lost an endpoint are looked at', (t) => {
	const lost = (before: number[], after: number[] | undefined, rest: object = udp) =>
		lostEndpoints([port(before, rest)], after ? [port(after, rest)] : []).map(({ targets }) => targets.length);
	t.deepEqual(lost([2, 3], [2]), [1]);
	t.deepEqual(lost([2], [2, 3]), []);
	t.deepEqual(lost([2], undefined), [0]);
	t.deepEqual(lost([2, 3], [2], {}), []);
});
