/** Services, names and routes between pods, hosts and others, on two real nodes. The tests share them and run one after the other. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { loadKubeconfig } from '../../src/client/index.ts';
import { EndpointSlice, Endpoints, Node, Pod, Service } from '../../src/kinds/index.ts';
import { type Cluster, eventually, type Machine, outcome, type Place, STRANGER, startCluster } from './cluster.ts';

let cluster: Cluster;
let first: Machine;
let second: Machine;
const addresses = new Map<string, string>();

const HTTP = 8080;
const NODE_PORT = 30_080;
/** Says which pod answers, and whom it sees. */
const WHO = [
	'mkdir -p /www/cgi-bin',
	`printf '#!/bin/sh\necho\necho $(hostname) $(echo $REMOTE_ADDR | grep -oE "[0-9.]{7,}")\n' > /www/cgi-bin/who`,
	'chmod +x /www/cgi-bin/who',
	`httpd -p ${HTTP} -h /www`,
	'trap "exit 0" TERM',
	'sleep 100000 & wait',
].join('; ');
const url = (address: string, port = 80) => `http://${address}:${port}/cgi-bin/who`;

async function pod(name: string, nodeName: string, labels: Record<string, string> = {}): Promise<void> {
	const container = { name: 'main', image: 'driftless/example:1', command: ['sh', '-c', WHO] };
	await cluster.client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, namespace: 'default', labels: { name, ...labels } },
		spec: { nodeName, terminationGracePeriodSeconds: 1, hostname: name, containers: [container] },
	});
}

/** Its cluster address, once both nodes know it. */
async function service(name: string, spec: Partial<Service['spec']>): Promise<string> {
	const made = await cluster.client.create(Service, {
		apiVersion: 'v1',
		kind: 'Service',
		metadata: { name, namespace: 'default' },
		spec: { ports: [{ port: 80, targetPort: HTTP }], ...spec },
	});
	const address = made.spec.clusterIP ?? '';
	addresses.set(name, address);
	if (address !== 'None') await Promise.all([first, second].map((machine) => known(machine, address)));
	return address;
}

/** Empty where there is no table. */
const rules = async (machine: Machine) =>
	(await machine.run('/usr/sbin/nft', 'list', 'table', 'ip', 'driftless')).stdout;
const known = (machine: Machine, text: string) =>
	eventually(`${machine.name} has rules for ${text}`, async () => (await rules(machine)).includes(text));
const address = (name: string) => addresses.get(name) ?? '';

/** Asks again and again until all these have answered, and nobody else. */
async function allAnswer(t: ExecutionContext, place: Place, at: string, wanted: readonly string[]): Promise<void> {
	const seen = new Set<string>();
	for (let attempts = 0; attempts < 60 && seen.size < wanted.length; attempts++) {
		const answer = (await place.get(at)).split(' ')[0] ?? '';
		t.true(wanted.includes(answer), `${at} answered ${answer}`);
		seen.add(answer);
	}
	t.deepEqual([...seen].sort(), [...wanted].sort());
}

test.before(async () => {
	cluster = await startCluster();
	({ first, second } = cluster);
	await pod('web-1', 'first', { app: 'web' });
	await pod('web-2', 'first', { app: 'web' });
	await pod('web-3', 'second', { app: 'web' });
	await pod('asks', 'first');
	await service('web', {
		type: 'NodePort',
		selector: { app: 'web' },
		ports: [{ port: 80, targetPort: HTTP, nodePort: NODE_PORT }],
	});
	await service('web-1', { selector: { name: 'web-1' } });
	await service('web-3', { selector: { name: 'web-3' } });
	for (const name of ['web-1', 'web-2', 'web-3', 'asks']) {
		const running = await eventually(`${name} runs`, async () => {
			const { status } = await cluster.client.get(Pod, { namespace: 'default', name });
			return status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') && status;
		});
		addresses.set(`pod ${name}`, running.podIP ?? '');
	}
	for (const machine of [first, second])
		for (const name of ['web-1', 'web-2', 'web-3']) await known(machine, `${address(`pod ${name}`)} . ${HTTP}`);
});
test.after.always(async () => {
	await cluster?.[Symbol.asyncDispose]();
});

/** What the agent of a node tells of itself. */
async function metricsOf({ engine }: Machine): Promise<string> {
	const { cert, key } = await loadKubeconfig(join(first.engine.dataDir, 'kubeconfig'));
	const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
	const where = { host: engine.address, port: 10_250, path: '/metrics', agent: false };
	get({ ...where, cert, key, rejectUnauthorized: false }, resolve).on('error', reject);
	return text(await promise);
}

const WEB = ['web-1', 'web-2', 'web-3'];

test.serial('a service is reached from both hosts and from pods, at its address and by its name', async (t) => {
	for (const place of [
		await first.place(),
		await second.place(),
		await first.place('asks'),
		await second.place('web-3'),
	])
		await allAnswer(t, place, url(address('web')), WEB);
	const { stdout } = await first.inPod('asks', 'wget', '-q', '-O-', url('web-3'));
	t.regex(stdout, /^web-3 /);
});

test.serial('pods of every node reach the API by its service', async (t) => {
	for (const place of [await first.place('asks'), await second.place('web-3'), await second.place()]) {
		// Throws where there is no connection.
		await using api = await place.peer('tcp-client', '10.96.0.1', '443');
		t.regex(await api.say('GET / HTTP/1.0'), /HTTP|closed|^$/);
	}
});

test.serial('a node port is reached on localhost, at every address of every node, and from outside', async (t) => {
	await allAnswer(t, await first.place(), url('127.0.0.1', NODE_PORT), WEB);
	await allAnswer(t, await second.place(), url('127.0.0.1', NODE_PORT), WEB);
	await allAnswer(t, await second.place(), url(first.address, NODE_PORT), WEB);
	await allAnswer(t, await first.place('asks'), url(second.address, NODE_PORT), WEB);
	await allAnswer(t, cluster.stranger, url('198.51.100.1', NODE_PORT), WEB);
});

test.serial(
	'a pod that asks another through a service is seen as itself, on the same node and elsewhere',
	async (t) => {
		const asks = await first.place('asks');
		t.is(await asks.get(url(address('web-1'))), `web-1 ${address('pod asks')}`);
		t.is(await asks.get(url(address('web-3'))), `web-3 ${address('pod asks')}`);
	},
);

test.serial('pods reach one another directly, also across nodes', async (t) => {
	const asks = await first.place('asks');
	t.is(await asks.get(url(address('pod web-1'), HTTP)), `web-1 ${address('pod asks')}`);
	t.is(await asks.get(url(address('pod web-3'), HTTP)), `web-3 ${address('pod asks')}`);
	t.is(await (await second.place('web-3')).get(url(address('pod asks'), HTTP)), `asks ${address('pod web-3')}`);
});

test.serial('a pod reaches itself through its service', async (t) => {
	const web = await first.place('web-1');
	const answer = await web.get(url(address('web-1')));
	t.regex(answer, /^web-1 /);
	t.not(answer, `web-1 ${address('pod web-1')}`);
});

test.serial('several ports have their names', async (t) => {
	const ports = [
		{ name: 'http', port: 80, targetPort: HTTP },
		{ name: 'alt', port: 8000, targetPort: HTTP },
	];
	const several = await service('several', { selector: { name: 'web-1' }, ports });
	await known(first, 'cluster/default/several/alt/tcp');
	const place = await first.place('asks');
	for (const port of [80, 8000]) t.regex(await place.get(url(several, port)), /^web-1 /);
	t.is(await place.get(url(several, 81)), 'refused');
});

test.serial('a service without endpoints refuses at once, and so does an address that no service has', async (t) => {
	const empty = await service('empty', {
		type: 'NodePort',
		selector: { name: 'nobody' },
		ports: [{ port: 80, targetPort: HTTP, nodePort: 30_081 }],
		externalIPs: ['203.0.113.7'],
	});
	await known(first, '203.0.113.7');
	const asks = await first.place('asks');
	const host = await first.place();
	// More than one, since errors of ICMP are rationed.
	for (let attempt = 0; attempt < 10; attempt++) t.is(await asks.get(url(empty)), 'refused');
	t.is(await host.get(url(empty)), 'refused');
	for (const place of [asks, host]) t.is(await place.get(url('10.111.1.1')), 'refused');
	t.is(await cluster.stranger.get(url('198.51.100.1', 30_081)), 'refused');
	t.is(await cluster.stranger.get(url('203.0.113.7')), 'refused');

	const gateway = (await first.ok('ip', 'route', 'show', 'default')).trim();
	await first.ok('ip', 'route', 'delete', 'default');
	t.is(await host.get(url(empty)), 'refused');
	t.regex(await host.get(url(address('web-1'))), /^web-1 /);
	t.regex(await asks.get(url(address('web-1'))), /^web-1 /);
	await first.ok('ip', 'route', 'add', ...gateway.split(' '));
});

test.serial('policy Local: who asks from outside is seen, and only endpoints of the node answer', async (t) => {
	const ports = (nodePort: number) => [{ port: 80, targetPort: HTTP, nodePort }];
	const policy = { type: 'NodePort', externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' } as const;
	const here = await service('here', { ...policy, selector: { name: 'web-1' }, ports: ports(30_082) });
	const there = await service('there', { ...policy, selector: { name: 'web-3' }, ports: ports(30_083) });
	await known(first, 'external/default/there');
	t.is(await cluster.stranger.get(url('198.51.100.1', 30_082)), `web-1 ${STRANGER}`);
	t.is(await cluster.stranger.get(url('198.51.100.1', 30_083)), 'refused');
	const asks = await first.place('asks');
	t.is(await asks.get(url(here)), `web-1 ${address('pod asks')}`);
	t.is(await asks.get(url(there)), 'refused');
	// Node ports are about those outside: pods and the node itself reach every endpoint.
	t.is(await asks.get(url(first.address, 30_083)), `web-3 ${address('pod asks')}`);
	t.regex(await (await first.place()).get(url('127.0.0.1', 30_083)), /^web-3 /);
});

test.serial('each node answers whether it has endpoints of a LoadBalancer with policy Local', async (t) => {
	await service('checked', {
		type: 'LoadBalancer',
		externalTrafficPolicy: 'Local',
		selector: { name: 'web-1' },
		ports: [{ port: 8082, targetPort: HTTP }],
	});
	const { spec } = await cluster.client.get(Service, { namespace: 'default', name: 'checked' });
	const ask = ({ address, run }: Machine) =>
		run('curl', '-sS', '-m', '5', '-w', ' %{http_code}', `http://${address}:${spec.healthCheckNodePort}/`);
	const answered = (localEndpoints: number, code: number) =>
		`${JSON.stringify({ service: { namespace: 'default', name: 'checked' }, localEndpoints, serviceProxyHealthy: true })} ${code}`;
	for (const [node, wanted] of [
		[first, answered(1, 200)],
		[second, answered(0, 503)],
	] as const)
		await eventually(`${node.name} answers ${wanted}`, async () => (await ask(node)).stdout === wanted);
	t.pass();
});

test.serial('UDP: a client that keeps sending goes to an endpoint that is there', async (t) => {
	await using one = await (await first.place('web-1')).peer('udp-server', 'web-1', '5353');
	await using three = await (await second.place('web-3')).peer('udp-server', 'web-3', '5353');
	const ports = [{ name: 'echo', port: 53, protocol: 'UDP', targetPort: 5353 }];
	const echo = await service('echo', { selector: { name: 'web-1' }, ports });
	await known(first, `${address('pod web-1')}:5353`);
	await using client = await (await first.place('asks')).peer('udp-client', echo, '53');
	t.is(await client.say('hello'), `web-1 ${address('pod asks')}`);
	t.is(await client.say('hello'), `web-1 ${address('pod asks')}`);
	const selector = { name: 'web-3' };
	await cluster.client.patch(
		Service,
		{ namespace: 'default', name: 'echo' },
		{ type: 'merge', body: { spec: { selector } } },
	);
	await eventually('the client is answered by web-3', async () => (await client.say('hello')).startsWith('web-3'));
	t.truthy(one);
	t.truthy(three);
});

test.serial('UDP: a client that asked a node port before there was one is answered once there is', async (t) => {
	await using server = await (await first.place('web-1')).peer('udp-server', 'web-1', '5353');
	t.truthy(server);
	// Something else has the port, so that there is a flow; it answers under its own name until the service is there.
	await using early = await (await first.place()).peer('udp-server', 'nobody', '30053');
	t.truthy(early);
	await using client = await cluster.stranger.peer('udp-client', '198.51.100.1', '30053');
	t.regex(await client.say('hello'), /^nobody/);
	const ports = [{ name: 'early', port: 53, protocol: 'UDP', targetPort: 5353, nodePort: 30_053 }];
	await service('early', { type: 'NodePort', selector: { name: 'web-1' }, ports });
	await eventually('the client is answered by web-1', async () => (await client.say('hello')).startsWith('web-1'));
});

test.serial('a load balancer address is for the ranges that the service names', async (t) => {
	const balanced = async (name: string, ip: string, loadBalancerSourceRanges: string[]) => {
		const loadBalancerClass = 'example.com/lb';
		await service(name, {
			type: 'LoadBalancer',
			loadBalancerClass,
			selector: { name: 'web-1' },
			loadBalancerSourceRanges,
		});
		const body = { status: { loadBalancer: { ingress: [{ ip }] } } };
		await cluster.client.patch(
			Service,
			{ namespace: 'default', name },
			{ type: 'merge', body },
			{ subresource: 'status' },
		);
		await known(first, `${ip} . tcp . 80 : goto guard/default/${name}`);
	};
	await balanced('for-all', '203.0.113.10', ['10.0.0.0/8', `${STRANGER}/32`]);
	await balanced('for-pods', '203.0.113.11', ['10.244.0.0/16']);
	t.regex(await cluster.stranger.get(url('203.0.113.10')), /^web-1 /);
	t.is(await cluster.stranger.get(url('203.0.113.11')), 'late', 'what is not allowed is dropped');
	t.regex(await (await first.place('asks')).get(url('203.0.113.11')), /^web-1 /);
	// The other ways to it are for everybody.
	t.regex(await (await first.place()).get(url(address('for-pods'))), /^web-1 /);
});

test.serial('a LoadBalancer is reached at the addresses of the nodes, by whom its ranges name', async (t) => {
	const balanced = async (name: string, port: number, loadBalancerSourceRanges: string[]) => {
		const ports = [{ port, targetPort: HTTP }];
		await service(name, { type: 'LoadBalancer', selector: { name: 'web-2' }, ports, loadBalancerSourceRanges });
		// Where the pod runs does not matter, nor whose address it is.
		for (const node of [first, second])
			await known(
				first,
				`${node.address} . tcp . ${port} : goto ${loadBalancerSourceRanges.length > 0 ? 'guard' : 'external'}/default/${name}`,
			);
	};
	await balanced('open', 8080, []);
	await balanced('closed', 8081, ['10.244.0.0/16']);
	for (const node of [first, second])
		t.regex(await cluster.stranger.get(url(node.address, 8080)), /^web-2 /, `at the address of ${node.name}`);
	t.regex(await (await first.place('asks')).get(url(second.address, 8080)), /^web-2 /);
	t.is(await cluster.stranger.get(url(first.address, 8081)), 'late', 'what is not allowed is dropped');
	t.regex(await (await first.place('asks')).get(url(first.address, 8081)), /^web-2 /);
});

test.serial('with affinity a client stays with its endpoint, and has another when that goes', async (t) => {
	const sticky = await service('sticky', { selector: { app: 'web' }, sessionAffinity: 'ClientIP' });
	await known(first, `endpoint/default/sticky/80/tcp/${address('pod web-3')}/${HTTP}`);
	const asks = await first.place('asks');
	const answers = async () => new Set(await Promise.all(Array.from({ length: 12 }, () => asks.get(url(sticky)))));
	const [chosen = ''] = await asks.get(url(sticky)).then((answer) => answer.split(' '));
	t.deepEqual([...(await answers())], [`${chosen} ${address('pod asks')}`]);

	const { items } = await cluster.client.list(EndpointSlice, { namespace: 'default' });
	const slice = items.find(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === 'sticky');
	t.is(slice?.endpoints?.length, 3);
	await cluster.client.patch(
		Pod,
		{ namespace: 'default', name: chosen },
		{ type: 'merge', body: { metadata: { labels: { app: 'other' } } } },
	);
	const gone = `endpoint/default/sticky/80/tcp/${address(`pod ${chosen}`)}`;
	await eventually('the endpoint is gone', async () => !(await rules(first)).includes(gone));
	const [next = ''] = (await asks.get(url(sticky))).split(' ');
	t.not(next, chosen);
	t.true(WEB.includes(next));
	await cluster.client.patch(
		Pod,
		{ namespace: 'default', name: chosen },
		{ type: 'merge', body: { metadata: { labels: { app: 'web' } } } },
	);
	await known(first, gone);
	// The one that has come back is no reason to move.
	t.deepEqual([...(await answers())], [`${next} ${address('pod asks')}`]);
});

test.serial('names are found from inside a pod by its search path', async (t) => {
	const look = async (...query: string[]) => (await first.inPod('asks', 'nslookup', ...query)).stdout;
	await service('all', { clusterIP: 'None', selector: { app: 'web' }, ports: [{ name: 'http', port: HTTP }] });
	await service('away', { type: 'ExternalName', externalName: 'www.example.com', ports: undefined });
	t.regex(await look('-type=a', 'web.default.svc.cluster.local'), new RegExp(`Address: ${address('web')}`));
	// A short name, an answer of which any other name of the search path is none.
	t.regex(
		await look('-type=a', 'web'),
		new RegExp(`web\\.default\\.svc\\.cluster\\.local\\s+Address: ${address('web')}`),
	);
	t.regex(await look('nope.default.svc.cluster.local'), /NXDOMAIN/);
	t.notRegex(await look('-type=aaaa', 'web.default.svc.cluster.local'), /NXDOMAIN|timed out|can't find/);
	const headless = await eventually('the headless service has its endpoints', async () => {
		const text = await look('-type=a', 'all.default.svc.cluster.local');
		return WEB.every((name) => text.includes(address(`pod ${name}`))) && text;
	});
	t.notRegex(headless, new RegExp(`Address: ${address('pod asks')}\\b`));
	const dashes = address('pod web-3').replaceAll('.', '-');
	t.regex(await look('-type=srv', '_http._tcp.all.default.svc.cluster.local'), new RegExp(`${HTTP} ${dashes}\\.all`));
	t.regex(await look('-type=a', `${dashes}.all.default.svc.cluster.local`), new RegExp(address('pod web-3')));
	t.regex(await look('-type=a', `${dashes}.default.pod.cluster.local`), new RegExp(address('pod web-3')));
	t.regex(await look(address('web')), /web\.default\.svc\.cluster\.local/);
	t.regex(await look(address('pod web-3')), new RegExp(`${dashes}\\.all\\.default`));
});

test.serial('other names come from the resolver of the machine', async (t) => {
	const [, resolver] = /^nameserver\s+(\d+\.\d+\.\d+\.\d+)/m.exec(await readFile('/etc/resolv.conf', 'utf8')) ?? [];
	if (!resolver) return t.pass('this machine has no resolver to stand in for');
	if (!resolver.startsWith('127.')) await first.ok('ip', 'address', 'add', `${resolver}/32`, 'dev', 'lo');
	await using upstream = await (await first.place()).peer('dns', resolver, '203.0.113.53');
	t.truthy(upstream);
	const look = async (name: string) => (await first.inPod('asks', 'nslookup', '-type=a', name)).stdout;
	t.regex(await look('www.example.com'), /www\.example\.com\s+Address: 203\.0\.113\.53/);
	const alias = await look('away.default.svc.cluster.local');
	t.regex(alias, /canonical name = www\.example\.com/);
	t.regex(alias, /203\.0\.113\.53/);
});

test.serial('cluster DNS is a service of its own, which changes nothing about who answers', async (t) => {
	const dns = { namespace: 'kube-system', name: 'kube-dns' };
	t.is((await cluster.client.get(Service, dns)).spec.clusterIP, '10.96.0.10');
	const name = 'kube-dns.kube-system.svc.cluster.local';
	t.regex(
		await first.ok('busybox', 'nslookup', '-type=a', name, '10.96.0.10'),
		/Name:\s+kube-dns\S+\s+Address\S*\s+10\.96\.0\.10/,
	);
	t.regex((await first.inPod('asks', 'nslookup', '10.96.0.10')).stdout, /kube-dns\.kube-system\.svc/);
	for (const machine of [first, second]) t.notRegex(await rules(machine), /10\.96\.0\.10 \./);
});

test.serial('a service without a selector leads to endpoints that are made by hand', async (t) => {
	const byHand = await service('by-hand', { ports: [{ name: 'http', port: 80 }] });
	const { status } = await cluster.client.get(Pod, { namespace: 'default', name: 'web-2' });
	await cluster.client.create(Endpoints, {
		apiVersion: 'v1',
		kind: 'Endpoints',
		metadata: { namespace: 'default', name: 'by-hand' },
		subsets: [{ addresses: [{ ip: status?.podIP ?? '' }], ports: [{ name: 'http', port: HTTP, protocol: 'TCP' }] }],
	});
	await known(first, 'cluster/default/by-hand/http/tcp');
	t.regex(await (await first.place('asks')).get(url(byHand)), /^web-2 /);
});

test.serial('two services at one external address: the older has it, then the other', async (t) => {
	const external = '203.0.113.8';
	const older = { selector: { name: 'web-1' }, externalIPs: [external] };
	await service('older', older);
	await known(first, `${external} . tcp . 80 : goto external/default/older`);
	await service('younger', { selector: { name: 'web-2' }, externalIPs: [external] });
	t.regex(await cluster.stranger.get(url(external)), /^web-1 /);
	await cluster.client.delete(Service, { namespace: 'default', name: 'older' });
	await known(first, `${external} . tcp . 80 : goto external/default/younger`);
	t.regex(await cluster.stranger.get(url(external)), /^web-2 /);
});

test.serial('cluster DNS answers on its own address only, and strangers are refused', async (t) => {
	for (const protocol of ['udp', 'tcp']) {
		const sockets = (await first.ok('cat', `/proc/net/${protocol}`)).split('\n');
		const local = sockets.flatMap((line) => line.trim().split(/\s+/)[1] ?? []);
		// 10.96.0.10 as this kernel prints it, and port 53.
		t.deepEqual([...new Set(local.filter((address) => address.endsWith(':0035')))], ['0A00600A:0035']);
	}
	const name = 'web.default.svc.cluster.local';
	await using host = await (await first.place()).peer('dns-client', '10.96.0.10');
	t.is(await host.say(name), `0 ${address('web')}`);
	await using stranger = await cluster.stranger.peer('dns-client', '10.96.0.10');
	t.is(await stranger.say(name), '5');
});

test.serial('a connection outlives changes of others, a kill of driftless, and rules set anew', async (t) => {
	await using server = await (await second.place('web-3')).peer('tcp-server', 'web-3', '9000');
	const stays = await service('stays', { selector: { name: 'web-3' }, ports: [{ port: 9000 }] });
	await known(first, `${address('pod web-3')}:9000`);
	await using open = await (await first.place('asks')).peer('tcp-client', stays, '9000');
	const alive = async () => t.is(await open.say('still there?'), `web-3 ${address('pod asks')}`);
	await alive();
	await service('another', { selector: { app: 'web' } });
	await known(first, 'cluster/default/another');
	await alive();

	const sticky = (await (await first.place('asks')).get(url(address('sticky')))).split(' ')[0];
	await first.stop('SIGKILL');
	await alive();
	const asks = await first.place('asks');
	for (let attempt = 0; attempt < 5; attempt++) t.regex(await asks.get(url(address('web'))), /^web-/);
	// While it starts and sets the rules anew, every single connection is served.
	let started = false;
	const starting = first.start().then(async () => {
		await service('after', { selector: { app: 'web' } });
		started = true;
	});
	while (!started) t.regex(await asks.get(url(address('web'))), /^web-/);
	await starting;
	await alive();
	t.is((await asks.get(url(address('sticky')))).split(' ')[0], sticky, 'clients with affinity are remembered');
	t.truthy(server);
});

test.serial('the agent tells how soon rules follow what they are about', async (t) => {
	await service('measured', { selector: { measured: 'yes' } });
	await pod('measured', 'first', { measured: 'yes' });
	await known(first, 'chain cluster/default/measured');
	const figures = await eventually('the agent counts', async () => {
		const told = await metricsOf(first);
		return /^kubeproxy_network_programming_duration_seconds_count [1-9]/m.test(told) && told;
	});
	t.regex(figures, /^kubelet_running_pods [1-9]/m);
	t.regex(figures, /^kubeproxy_sync_proxy_rules_duration_seconds_count [1-9]/m);
	const [, at] = /^kubeproxy_sync_proxy_rules_last_timestamp_seconds ([\d.e+]+)$/m.exec(figures) ?? [];
	t.true(Number(at) > Date.parse('2020-01-01') / 1_000);
	t.regex(figures, /^kubeproxy_sync_proxy_rules_nftables_sync_failures_total \d/m);
	await cluster.client.delete(Pod, { namespace: 'default', name: 'measured' });
});

test.serial('a service that the kernel refuses is counted, holds up no other, and comes when it can', async (t) => {
	const clusterIP = '10.96.77.7';
	const nft = (...what: string[]) => first.ok('/usr/sbin/nft', ...what);
	await nft('add', 'element', 'ip', 'driftless', 'services', `{ ${clusterIP} . tcp . 80 : drop }`);
	await service('blocked', { clusterIP, selector: { name: 'web-1' } });
	const free = await service('free', { selector: { name: 'web-1' } });
	await known(first, 'cluster/default/free');
	t.regex(await (await first.place('asks')).get(url(free)), /^web-1 /);
	t.regex(await metricsOf(first), /^kubeproxy_sync_proxy_rules_nftables_sync_failures_total [1-9]/m);
	await nft('delete', 'element', 'ip', 'driftless', 'services', `{ ${clusterIP} . tcp . 80 }`);
	const labels = { looked: 'at' };
	const name = { namespace: 'default', name: 'blocked' };
	await cluster.client.patch(Service, name, { type: 'merge', body: { metadata: { labels } } });
	await known(first, 'chain cluster/default/blocked');
	t.regex(await (await first.place('asks')).get(url(clusterIP)), /^web-1 /);
});

test.serial('rules that somebody else has flushed come back', async (t) => {
	await first.ok('/usr/sbin/nft', 'flush', 'ruleset');
	await known(first, 'cluster/default/web-1');
	t.regex(await (await first.place('asks')).get(url(address('web-1'))), /^web-1 /);
});

test.serial('addresses and routes that somebody else has taken away come back', async (t) => {
	const routes = () => first.ok('ip', 'route', 'show');
	await first.ok('ip', 'address', 'delete', '10.96.0.10/32', 'dev', 'lo');
	await eventually('the address of DNS is back', async () =>
		(await first.ok('ip', 'address', 'show', 'dev', 'lo')).includes('10.96.0.10'),
	);
	for (const route of ['10.96.0.0/12', '10.244.1.0/24']) {
		t.true((await routes()).includes(route));
		await first.ok('ip', 'route', 'delete', route);
		await eventually(`the route to ${route} is back`, async () => (await routes()).includes(route));
	}
	t.regex(await (await first.place()).get(url(address('web-3'))), /^web-3 /);
});

test.serial('after a restart of the engine, and with a new bridge, all is as before', async (t) => {
	await first.ok('ip', 'link', 'delete', 'drift0');
	// The chain may be gone with the rules that were flushed before.
	for (const what of [
		['-F', 'FORWARD'],
		['-F', 'DOCKER-USER'],
		['-X', 'DOCKER-USER'],
	])
		await first.run('iptables', ...what);
	await first.engine.restart();
	await eventually('Docker lets pods through', async () =>
		(await first.ok('iptables', '-S', 'DOCKER-USER')).includes('-d 10.244.0.0/16'),
	);
	await eventually('a pod runs again', async () =>
		/^web-1 /.test(await (await first.place()).get(url(address('web-1')))),
	);
	t.regex(await first.ok('ip', 'route', 'show'), /10\.96\.0\.0\/12 dev drift0/);
	t.is((await first.ok('cat', '/proc/sys/net/ipv4/conf/drift0/route_localnet')).trim(), '1');
	await eventually('web-1 reaches itself', async () =>
		/^web-1 /.test(await (await first.place('web-1')).get(url(address('web-1')))),
	);
	await eventually('web-1 is reached from outside', async () =>
		/^web-/.test(await cluster.stranger.get(url('198.51.100.1', NODE_PORT))),
	);
});

test.serial('the routes to a node go with it', async (t) => {
	t.regex(await first.ok('ip', 'route', 'show'), /10\.244\.1\.0\/24 via 10\.202\.0\.2/);
	await second.stop('SIGTERM');
	await cluster.client.delete(Node, { name: 'second' });
	await eventually('the route is gone', async () => !(await first.ok('ip', 'route', 'show')).includes('10.244.1.0/24'));
	t.pass();
});

test.serial('driftless that ends, or is killed, leaves no child behind, and its rules', async (t) => {
	const monitors = async () => {
		const { stdout } = await outcome('ps', ['-eo', 'pid=,args=']);
		const pids = stdout
			.split('\n')
			.filter((line) => /(ip|nft) .*monitor/.test(line))
			.map((line) => line.trim().split(' ')[0]);
		const own = await first.ok('readlink', '/proc/self/ns/net');
		const links = await Promise.all(pids.map((pid) => outcome('readlink', [`/proc/${pid}/ns/net`])));
		return links.filter(({ stdout }) => stdout === own).length;
	};
	t.is(await monitors(), 2);
	await first.stop('SIGTERM');
	t.is(await monitors(), 0);
	t.regex(await rules(first), /cluster\/default\/web-1/);

	await first.start();
	await eventually('the changes of the kernel are followed', async () => (await monitors()) === 2);
	await first.stop('SIGKILL');
	await eventually('they end with it', async () => (await monitors()) === 0);
});

test.serial('what it leaves behind can be removed, and nothing else goes', async (t) => {
	const door = new URL('../../src/proxy/index.ts', import.meta.url);
	const code = `const { removeRules } = await import('${door}'); await removeRules({ serviceNetwork: '10.96.0.0/12' });`;
	const chains = () => first.ok('iptables', '-S');
	const before = (await chains()).split('\n').filter((line) => !line.includes('driftless'));
	t.regex(await chains(), /--comment driftless/);
	for (const _ of [1, 2]) await first.ok(process.execPath, '-e', code);
	t.is(await rules(first), '');
	t.notRegex(await first.ok('ip', 'route', 'show'), /10\.96\.0\.0|proto 96/);
	t.notRegex(await first.ok('ip', 'address', 'show', 'dev', 'lo'), /10\.96\.0\.10/);
	t.deepEqual((await chains()).split('\n'), before);
});

test.serial('who is not root is told so', async (t) => {
	const code = `import('${new URL('../../src/proxy/index.ts', import.meta.url)}').then(({ runProxy }) => runProxy({})).catch((error) => console.log(error.message))`;
	const { stdout } = await outcome('setpriv', ['--reuid=65534', '--clear-groups', process.execPath, '-e', code]);
	t.regex(stdout, /need root .*run driftless as root/);
});
