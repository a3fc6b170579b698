/**
 * 1,000 services of three endpoints each: from nothing into the kernel, and one endpoint of them changed. The limit beside each is
 * `nft -f` of the same script alone. Runs in a network namespace of its own; needs root.
 */
import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createCache, inProcess } from '../src/client/index.ts';
import { EndpointSlice, Service } from '../src/kinds/index.ts';
import { frame } from '../src/proxy/frame.ts';
import { runProxy } from '../src/proxy/index.ts';
import { linesOf, nft, nftList } from '../src/proxy/programs.ts';
import { compile, difference } from '../src/proxy/rules.ts';
import { type ServicePort, servicePorts } from '../src/proxy/services.ts';
import { admin, openTestApi } from '../test/testbed/api.ts';
import { silentLog } from '../test/testbed/silent-log.ts';

const SERVICES = 1_000;
/** Each figure of a change is the median of so many. */
const ROUNDS = 9;
const INSIDE = 'DRIFTLESS_BENCH_NETNS';

const row = (what: string, ms: number) =>
	console.log(`${what.padEnd(72)} ${ms.toFixed(ms < 100 ? 1 : 0).padStart(7)} ms`);

if (!process.env[INSIDE]) {
	if (process.getuid?.() !== 0) {
		console.error('this benchmark changes the tables of the kernel: run it as root');
		process.exit(1);
	}
	const netns = `driftbench${process.pid}`;
	const ip = (...args: string[]) => spawnSync('ip', args, { stdio: 'inherit' });
	ip('netns', 'add', netns);
	const self = fileURLToPath(import.meta.url);
	const node = [process.execPath, '--disable-warning=ExperimentalWarning', self];
	const env = { ...process.env, [INSIDE]: netns };
	const { status } = spawnSync('nsenter', [`--net=/run/netns/${netns}`, ...node], { stdio: 'inherit', env });
	ip('netns', 'delete', netns);
	process.exit(status ?? 1);
}

const network = { podNetwork: '10.244.0.0/16', serviceNetwork: '10.96.0.0/12', podCidr: undefined, bridge: 'drift0' };
const address = (base: number, index: number) => `${base >> 8}.${base & 255}.${index >> 8}.${index & 255}`;
const CHAIN = `cluster/default/web-${SERVICES - 1}/http/tcp`;
const PODS = (10 << 8) | 244;

function service(index: number): Service {
	return {
		apiVersion: 'v1',
		kind: 'Service',
		metadata: { name: `web-${index}`, namespace: 'default' },
		spec: { selector: { app: `web-${index}` }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
	};
}

function slice(index: number, endpoints = 3): EndpointSlice {
	return {
		apiVersion: 'discovery.k8s.io/v1',
		kind: 'EndpointSlice',
		metadata: {
			name: `web-${index}-x`,
			namespace: 'default',
			labels: { 'kubernetes.io/service-name': `web-${index}` },
		},
		addressType: 'IPv4',
		ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
		endpoints: Array.from({ length: endpoints }, (_, each) => ({
			addresses: [address(PODS, index * 4 + each + 1)],
			conditions: { ready: true },
		})),
	};
}

async function timed(work: () => Promise<unknown>): Promise<number> {
	const started = performance.now();
	await work();
	return performance.now() - started;
}

async function median(work: (round: number) => Promise<unknown>): Promise<number> {
	const times: number[] = [];
	for (let round = 0; round < ROUNDS; round++) times.push(await timed(() => work(round)));
	return times.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0;
}

await using test = await openTestApi();
const client = inProcess(test.api, admin);
const services = await Promise.all(
	Array.from({ length: SERVICES }, (_, index) => client.create(Service, service(index))),
);
await Promise.all(services.map((_, index) => client.create(EndpointSlice, slice(index))));

const change = (before: ServicePort[], after: ServicePort[]) =>
	difference(compile(before, network.podNetwork), compile(after, network.podNetwork));
const ports = services.flatMap((each, index) => servicePorts(each, [slice(index)], 'here'));
const [last] = ports.slice(-1);
if (!last) throw new Error('no services');
row(`nft -f of ${SERVICES} services, from nothing`, await timed(() => nft(frame(network) + change([], ports))));
const fewer = { ...last, targets: last.targets.slice(1) };
const scripts = [change([last], [fewer]), change([fewer], [last])];
row('nft -f of one endpoint of them, less or more', await median((round) => nft(scripts[round % 2] ?? '')));
await nft('delete table ip driftless\n');

const stop = new AbortController();
await using cache = createCache(client, { signal: stop.signal, log: silentLog });
cache.informer(Service);
cache.informer(EndpointSlice);
await cache.synced();
const { signal } = stop;
const options = { nodeName: 'here', clusterDns: '10.96.0.10', clusterDomain: 'cluster.local', log: silentLog };
const started = performance.now();
const running = runProxy({ ...network, ...options, cache, signal });
await until(() => list().then(Boolean, () => false));
row(`the proxy: from its start to ${SERVICES} services in the kernel`, performance.now() - started);
let seen = () => {};
const watching = watch();
let rounds = 0;
const changeOne = async () => {
	const { promise, resolve } = Promise.withResolvers<void>();
	seen = resolve;
	const name = { namespace: 'default', name: `web-${SERVICES - 1}-x` };
	const { endpoints } = slice(SERVICES - 1, rounds++ % 2 ? 3 : 2);
	await client.patch(EndpointSlice, name, { type: 'merge', body: { endpoints } });
	await promise;
};
// The first that is seen shows that the monitor listens.
while (!(await Promise.race([changeOne().then(() => true), delay(500, false)]))) {}
row('the proxy: from a write to the API to one endpoint more or less in the kernel', await median(changeOne));
const before = process.cpuUsage();
await delay(5_000);
const { user, system } = process.cpuUsage(before);
row('the proxy: CPU time in 5 s without a change (API and store with it)', (user + system) / 1_000);
stop.abort();
await Promise.all([running, watching]);

function list(): Promise<string> {
	return nftList('chain', 'ip', 'driftless', CHAIN);
}

/** Calls `seen` whenever the kernel has new rules of the last service. */
async function watch(): Promise<void> {
	for await (const line of linesOf('nft', ['monitor', 'rules'], signal))
		if (line.startsWith(`add rule ip driftless ${CHAIN} `) && line.includes('dnat')) seen();
}

async function until(condition: () => Promise<boolean>): Promise<void> {
	while (!(await condition())) await delay(1);
}
