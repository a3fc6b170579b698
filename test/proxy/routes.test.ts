import test from 'ava';
import type { Node } from '../../src/kinds/index.ts';
import { redirected, staleFlows } from '../../src/proxy/flows.ts';
import { heedChain, heedLink } from '../../src/proxy/monitor.ts';
import { type KernelRoute, nodeRoutes, planRoutes, type Route } from '../../src/proxy/routes.ts';
import { node, port } from './objects.ts';

const networks = { podNetwork: '10.244.0.0/16', serviceNetwork: '10.96.0.0/12' };
const routesOf = (nodes: Node[], self: string) => nodeRoutes(nodes, self, networks).routes;

test('every other node that has a range and an address is a way to its pods', (t) => {
	const nodes = [
		node('a', '10.244.0.0/24', '192.0.2.1'),
		node('b', '10.244.1.0/24', '192.0.2.2'),
		node('without-range', undefined, '192.0.2.3'),
		node('without-address', '10.244.3.0/24'),
		node('ipv6-only', '10.244.4.0/24', 'fd00::1'),
		node('at-my-address', '10.244.5.0/24', '192.0.2.1'),
	];
	t.deepEqual(routesOf(nodes, 'a'), [{ to: '10.244.1.0/24', via: '192.0.2.2' }]);
	t.deepEqual(
		routesOf(nodes, 'b').map(({ to }) => to),
		['10.244.0.0/24', '10.244.5.0/24'],
	);
});

const claims: [string, string, string | undefined, RegExp | undefined][] = [
	['a part of the pod network', '10.244.7.0/24', '192.0.2.7', undefined],
	['everything', '0.0.0.0/0', '192.0.2.7', /is no part of the pod network 10\.244\.0\.0\/16/],
	['a network of somebody else', '198.51.100.0/24', '192.0.2.7', /is no part/],
	['the services', '10.96.0.0/12', '192.0.2.7', /is no part/],
	['more than the pod network', '10.244.0.0/15', '192.0.2.7', /is no part/],
	['an address within a network instead of the network', '10.244.7.1/24', '192.0.2.7', /is no part/],
	['a single address', '10.244.7.1/32', '192.0.2.7', /is no part/],
	['what is no network', '10.244.7.0/24 dev lo', '192.0.2.7', /is no part/],
	['the whole pod network', '10.244.0.0/16', '192.0.2.7', /overlaps the range of the node here/],
	['some of the range of this node', '10.244.0.128/25', '192.0.2.7', /overlaps the range of the node here/],
	['some of the range of an older node', '10.244.1.64/26', '192.0.2.7', /overlaps the range of the node old/],
	['by the address of a pod', '10.244.7.0/24', '10.244.0.5', /10\.244\.0\.5 is not that of a machine/],
	['by the address of a service', '10.244.7.0/24', '10.96.0.1', /is not that of a machine/],
	['by the loopback address', '10.244.7.0/24', '127.0.0.1', /is not that of a machine/],
];
for (const [title, range, via, wanted] of claims)
	test(`the range of a node is checked before it is a route: ${title}`, (t) => {
		const made = (one: Node, creationTimestamp: string) => ({
			...one,
			metadata: { ...one.metadata, creationTimestamp },
		});
		const nodes = [
			made(node('claims', range, via), '2026-01-03T00:00:00Z'),
			made(node('old', '10.244.1.0/24', '192.0.2.2'), '2026-01-01T00:00:00Z'),
			made(node('here', '10.244.0.0/24', '192.0.2.1'), '2026-01-04T00:00:00Z'),
		] as Node[];
		const { routes, refused } = nodeRoutes(nodes, 'here', networks);
		const taken = routes.filter((route) => route.via !== '192.0.2.2').map(({ to }) => to);
		t.deepEqual(taken, wanted ? [] : [range]);
		t.is(routes.length, wanted ? 1 : 2);
		if (wanted) t.regex(refused.get('claims') ?? '', wanted);
		t.is(refused.size, wanted ? 1 : 0);
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

const HOST = new Set(['192.0.2.7']);

test('UDP flows that lead to no endpoint are stale, all others are left alone', (t) => {
	const listing = [
		line('10.96.0.5', 53, '10.244.0.2', 8080),
		line('10.96.0.5', 53, '10.244.0.3', 8080),
		line('10.96.0.5', 53, '10.244.0.3', 8080).replace('sport=40000', 'sport=40001'),
		line('10.96.0.5', 54, '10.244.0.3', 8080),
		line('10.96.0.6', 53, '10.244.0.3', 8080),
		line('192.0.2.7', 30053, '10.244.0.3', 8080),
		// Of before there were rules: not translated.
		line('10.96.0.5', 53, '10.96.0.5', 53).replace(' src=10.96.0.5', ' [UNREPLIED] src=10.96.0.5'),
		line('192.0.2.7', 30053, '192.0.2.7', 30053),
		// A port of the same number elsewhere.
		line('198.51.100.1', 30053, '198.51.100.1', 30053),
		'',
	].join('\n');
	t.deepEqual(staleFlows(listing, [port([2], { ...udp, nodePort: 30053 })], HOST), [
		{ address: '10.96.0.5', port: 53, target: '10.244.0.3', targetPort: 8080 },
		{ address: '192.0.2.7', port: 30053, target: '10.244.0.3', targetPort: 8080 },
		{ address: '10.96.0.5', port: 53, target: '10.96.0.5', targetPort: 53 },
		{ address: '192.0.2.7', port: 30053, target: '192.0.2.7', targetPort: 30053 },
	]);
	t.deepEqual(
		staleFlows(listing, [port([], { ...udp, nodePort: 30053 })], HOST).filter(({ target }) => target === '192.0.2.7'),
		[],
		'a service without endpoints has no flows to make way for',
	);
});

const turns: [string, number[] | undefined, number[] | undefined, object, object, number[]][] = [
	['an endpoint goes', [2, 3], [2], udp, udp, [1]],
	['one comes beside another', [2], [2, 3], udp, udp, []],
	['the service goes', [2], undefined, udp, udp, [0]],
	['it is of TCP', [2, 3], [2], {}, {}, []],
	['the first endpoint comes', [], [2], udp, udp, [1]],
	['a service comes', undefined, [2], udp, udp, [1]],
	['a service comes without endpoints', undefined, [], udp, udp, []],
	['a node port comes', [2], [2], udp, { ...udp, nodePort: 30053 }, [1]],
	['an address comes', [2], [2], udp, { ...udp, externalAddresses: ['192.0.2.9'] }, [1]],
	['an address goes', [2], [2], { ...udp, externalAddresses: ['192.0.2.9'] }, udp, []],
];
for (const [title, before, after, was, is, wanted] of turns)
	test(`which UDP ports are looked at for flows: ${title}`, (t) => {
		const ports = redirected(before ? [port(before, was)] : [], after ? [port(after, is)] : []);
		t.deepEqual(
			ports.map(({ targets }) => targets.length),
			wanted,
		);
	});
