import test from 'ava';
import type { EndpointSlice, Service } from '../../src/kinds/index.ts';
import { type ServicePort, servicePorts } from '../../src/proxy/services.ts';
import { type Endpoint, service, slice } from './objects.ts';

const targets = (service: Service, slices: EndpointSlice[]) =>
	servicePorts(service, slices, 'here').map((port) => port.targets.map(({ ip, port }) => `${ip}:${port}`).join(' '));
const one = (spec: Partial<Service['spec']>, slices: EndpointSlice[], rivals?: Service[]): ServicePort | undefined =>
	servicePorts(service(spec), slices, 'here', () => rivals ?? [])[0];
const leaving = { ready: false, serving: true, terminating: true };
const at = (ip: string, rest: Partial<Endpoint> = {}): Endpoint => ({ addresses: [ip], ...rest });

const table: [string, Partial<Service['spec']>, (string | Endpoint)[], string][] = [
	[
		'ready endpoints, each once and in a fixed order',
		{},
		['10.0.0.2', '10.0.0.1', '10.0.0.2'],
		'10.0.0.1:8080 10.0.0.2:8080',
	],
	[
		'an endpoint that is not known to be ready is',
		{},
		[at('10.0.0.1', { conditions: {} }), at('10.0.0.2', { conditions: { ready: false } })],
		'10.0.0.1:8080',
	],
	[
		'one that terminates takes nothing while others are ready',
		{},
		[at('10.0.0.1', { conditions: { ready: true } }), at('10.0.0.2', { conditions: leaving })],
		'10.0.0.1:8080',
	],
	['one that terminates serves on where no other does', {}, [at('10.0.0.2', { conditions: leaving })], '10.0.0.2:8080'],
	[
		'one that terminates and no longer serves takes nothing',
		{},
		[at('10.0.0.2', { conditions: { ready: false, serving: false, terminating: true } })],
		'',
	],
	['what is no address does not get into a script', {}, ['10.0.0.1 }; flush ruleset; {', '1.2.3', '::1'], ''],
];
for (const [title, spec, endpoints, wanted] of table)
	test(`endpoints: ${title}`, (t) => t.deepEqual(targets(service(spec), [slice(endpoints)]), [wanted]));

test('each port leads to the port of its name and protocol', (t) => {
	const ports = [
		{ name: 'dns', port: 53, protocol: 'UDP' },
		{ name: 'dns-tcp', port: 53, protocol: 'TCP' },
		{ name: 'metrics', port: 9153 },
	];
	const ends = slice(['10.0.0.1'], {
		ports: [
			{ name: 'dns', port: 1053, protocol: 'UDP' },
			{ name: 'dns-tcp', port: 1054, protocol: 'TCP' },
			{ name: 'metrics', port: 9153 },
		],
	});
	const found = servicePorts(service({ ports }), [ends], 'here');
	t.deepEqual(
		found.map(({ name, targets }) => [name, targets[0]?.port]),
		[
			['shop/web/dns/udp', 1053],
			['shop/web/dns-tcp/tcp', 1054],
			['shop/web/metrics/tcp', 9153],
		],
	);
});

test('pods whose named ports differ are in different slices, and all count', (t) => {
	const other = slice(['10.0.0.9'], { ports: [{ name: 'http', port: 9090, protocol: 'TCP' }] });
	t.deepEqual(targets(service({}), [slice(['10.0.0.1']), other]), ['10.0.0.1:8080 10.0.0.9:9090']);
});

test('headless services, ExternalName and IPv6 have no rules', (t) => {
	const slices = [slice(['10.0.0.1'])];
	t.deepEqual(targets(service({ clusterIP: 'None' }), slices), []);
	t.deepEqual(targets(service({ type: 'ExternalName', externalName: 'example.com' }), slices), []);
	t.deepEqual(targets(service({ clusterIP: 'fd00::1' }), slices), []);
	t.deepEqual(targets(service({}), [slice(['fd00::2'], { addressType: 'IPv6' })]), ['']);
});

test('a service that is for another proxy, or for none, has no rules', (t) => {
	for (const label of ['service-proxy-name', 'headless']) {
		const labels = { [`service.kubernetes.io/${label}`]: '' };
		t.deepEqual(targets(service({}, { labels }), [slice(['10.0.0.1'])]), []);
	}
});

test('the endpoints on this node are known apart, and terminate apart', (t) => {
	const found = one({ type: 'NodePort', externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' }, [
		slice([at('10.0.0.1', { nodeName: 'there' }), at('10.0.0.2', { nodeName: 'here', conditions: leaving })]),
	]);
	t.like(found, { internalPolicy: 'Local', externalPolicy: 'Local' });
	t.deepEqual(found?.targets, [{ ip: '10.0.0.1', port: 8080 }]);
	t.deepEqual(found?.localTargets, [{ ip: '10.0.0.2', port: 8080 }]);
});

test('affinity lasts as long as the service says, three hours where it does not', (t) => {
	t.is(one({}, [])?.affinitySeconds, undefined);
	t.is(one({ sessionAffinity: 'ClientIP' }, [])?.affinitySeconds, 10_800);
	const config = { clientIP: { timeoutSeconds: 7 } };
	t.is(one({ sessionAffinity: 'ClientIP', sessionAffinityConfig: config }, [])?.affinitySeconds, 7);
});

test('a service is reached at its external and load balancer addresses too', (t) => {
	const balanced = {
		...service({ type: 'LoadBalancer', externalIPs: ['192.0.2.1', 'fd00::1'] }),
		status: { loadBalancer: { ingress: [{ ip: '192.0.2.2' }, { hostname: 'lb.example.com' }] } },
	};
	t.deepEqual(servicePorts(balanced, [], 'here')[0]?.externalAddresses, ['192.0.2.1', '192.0.2.2']);
});

test('a load balancer address is for the ranges that the service names, its other addresses are for everybody', (t) => {
	const balanced = (ranges: string[] | undefined, ingress: object[] = [{ ip: '192.0.2.2' }]) =>
		servicePorts(
			{
				...service({ type: 'LoadBalancer', externalIPs: ['192.0.2.1'], loadBalancerSourceRanges: ranges }),
				status: { loadBalancer: { ingress } },
			},
			[],
			'here',
		)[0];
	t.is(balanced(undefined)?.balanced, undefined);
	t.deepEqual(balanced([' 198.51.100.7/24', '198.51.100.0/24', 'fd00::/8'])?.balanced, {
		addresses: ['192.0.2.2'],
		sourceRanges: ['198.51.100.0/24'],
	});
	t.deepEqual(balanced(['fd00::/8'])?.balanced?.sourceRanges, []);
	const proxied = [
		{ ip: '192.0.2.2', ipMode: 'Proxy' },
		{ ip: '192.0.2.3', ipMode: 'VIP' },
	];
	t.deepEqual(balanced(undefined, proxied)?.externalAddresses, ['192.0.2.1', '192.0.2.3']);
});

test('of two services at one address and port the older has it, and whose cluster address it is before all', (t) => {
	const spec = { externalIPs: ['192.0.2.1'] };
	const old = service(spec, { name: 'old', creationTimestamp: '2026-01-01T00:00:00Z' });
	const young = service(spec, { name: 'young', creationTimestamp: '2026-01-02T00:00:00Z' });
	const other = service({ ...spec, ports: [{ name: 'http', port: 81 }] }, { name: 'other' });
	const owner = service({ clusterIP: '192.0.2.1' }, { name: 'owner', creationTimestamp: '2026-01-03T00:00:00Z' });
	const has = (one: Service, all: Service[]) =>
		servicePorts(one, [], 'here', () => all)[0]?.externalAddresses.length === 1;
	t.true(has(old, [old, young]));
	t.false(has(young, [old, young]));
	t.true(has(other, [old, young, other]));
	t.false(has(old, [old, young, owner]));
});
