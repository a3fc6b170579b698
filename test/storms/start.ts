/**
 * Servers that begin at the same moment on an empty etcd, killed at any moment of their start, while etcd hangs or dies. When all
 * serve, there is one cluster: one authority, one of each object that a start makes, and nothing given out twice.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, loadKubeconfig, overHttp } from '../../src/client/index.ts';
import {
	ApiError,
	Application,
	ConfigMap,
	type Kind,
	type KubeObject,
	keyOf,
	Lease,
	Namespace,
	Node,
	Service,
	ServiceAccount,
} from '../../src/kinds/index.ts';
import { openEtcd } from '../../src/store/etcd.ts';
import { type EtcdCluster, freePorts, startEtcd } from '../testbed/etcd.ts';
import { numbers } from './numbers.ts';
import { type ServerProcess, superviseServer } from './servers.ts';

const PATIENCE_MS = 120_000;
const NAMESPACES = ['argocd', 'default', 'kube-node-lease', 'kube-public', 'kube-system'];
/** What a server may end with while etcd is away. */
const STORE_IS_AWAY = /no member of etcd answers|the store is not available|may have been made or not/;

/** Returns what is wrong when all has come to rest. */
export async function startRound(seed: number): Promise<string[]> {
	const random = numbers(seed);
	await using stack = new AsyncDisposableStack();
	const folder = await mkdtemp(join(tmpdir(), 'driftless-start-'));
	stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
	const etcd = stack.use(await startEtcd());
	const store = `etcd://${etcd.endpoints.join(',')}`;
	const shaky = random() < 0.4;
	const gap = random() < 0.5 ? 0 : 400;
	const ports = await freePorts(random() < 0.5 ? 2 : 3);
	const servers = await Promise.all(
		ports.map(async (port, index) => {
			await sleep(random() * gap);
			const mends = shaky ? STORE_IS_AWAY : undefined;
			return superviseServer({ dataDir: join(folder, `s${index}`), store, port, mends });
		}),
	);
	stack.defer(() => Promise.all(servers.map((server) => server.stop())).then(() => undefined));
	const troubles: string[] = [];
	/** Mostly while servers start, and sometimes when they run. */
	const moment = () => random() * (random() < 0.7 ? 1_300 : 4_000);
	const kills = servers.flatMap((server, index) =>
		Array.from({ length: Math.floor(random() * 3) }, async () => {
			await sleep(moment());
			troubles.push(`s${index} killed`);
			await server.kill();
		}),
	);
	await Promise.all([...kills, ...(shaky ? [trouble(etcd, random() < 0.5, moment(), random() * 7_000)] : [])]);
	if (shaky) troubles.push('etcd away');

	const faults: string[] = [];
	try {
		await within(Promise.all(servers.map((server) => server.ready())));
		await look(servers, random);
		await lookAtClaims(servers, etcd);
		for (const server of servers) {
			const code = await server.stop();
			if (code !== 0) faults.push(`${server.dataDir} stopped with ${code}`);
		}
	} catch (error) {
		faults.push((error as Error).message);
	}
	console.log(`start ${seed}: ${servers.length} servers, ${troubles.join(', ') || 'no troubles'}`);
	if (faults.length > 0) faults.push(...servers.map((server) => server.output()));
	return faults;
}

async function trouble(etcd: EtcdCluster, dies: boolean, at: number, length: number): Promise<void> {
	await sleep(at);
	if (dies) await etcd.kill(0);
	else etcd.signal(0, 'SIGSTOP');
	await sleep(length);
	if (dies) await etcd.start(0);
	else etcd.signal(0, 'SIGCONT');
}

async function within<T>(coming: Promise<T>): Promise<T> {
	const late = new AbortController();
	const { signal } = late;
	const end = sleep(PATIENCE_MS, undefined, { signal }).then(() => {
		throw new Error('not all servers came to serve');
	});
	end.catch(() => undefined);
	return Promise.race([coming, end]).finally(() => late.abort());
}

/** Asks again until there is nothing wrong; throws what is in the end. */
async function until(wrong: () => Promise<string | undefined>): Promise<void> {
	for (const end = Date.now() + PATIENCE_MS; ; await sleep(200)) {
		const found = await wrong().catch((error: unknown) => {
			if (isAway(error)) return error.message;
			throw error;
		});
		if (found === undefined) return;
		if (Date.now() > end) throw new Error(found);
	}
}

/** A server that was killed is back soon. */
const isAway = (error: unknown): error is ApiError => error instanceof ApiError && error.code >= 500;

/** Makes an object, whatever becomes of the servers meanwhile. */
const make = <T extends KubeObject>(any: () => Client, kind: Kind<T>, object: T): Promise<void> =>
	until(async () => {
		await any()
			.create(kind, object)
			.catch((error: unknown) => {
				if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
			});
		return undefined;
	});

/** Throws what is no single cluster. */
async function look(servers: readonly ServerProcess[], random: () => number): Promise<void> {
	const authorities = await Promise.all(servers.map(({ dataDir }) => readFile(join(dataDir, 'pki', 'ca.crt'), 'utf8')));
	if (new Set(authorities).size !== 1) throw new Error('the servers have several authorities');
	await using stack = new AsyncDisposableStack();
	const configs = await Promise.all(servers.map(({ kubeconfig }) => loadKubeconfig(kubeconfig)));
	const clients: Client[] = [];
	// Each kubeconfig opens each server.
	for (const { server } of configs)
		for (const config of configs) {
			const client = stack.use(await overHttp({ ...config, server }, 'storm'));
			await client.get(Namespace, { name: 'default' });
			clients.push(client);
		}
	const any = () => clients[Math.floor(random() * clients.length)] as Client;
	const keys = async (kind: Kind) => (await any().list(kind)).items.map(keyOf).toSorted();

	const names = Array.from({ length: 9 }, (_, index) => `made-${index}`);
	const node = (name: string): Node => ({ apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {} });
	const service = (name: string): Service => ({
		apiVersion: 'v1',
		kind: 'Service',
		metadata: { name, namespace: 'default' },
		spec: { type: 'NodePort', ports: [{ port: 80 }] },
	});
	const killed = servers[Math.floor(random() * servers.length)];
	// One of them, maybe that which leads, while ranges and addresses are given out.
	await Promise.all([
		sleep(random() * 500).then(() => killed?.kill()),
		...names.flatMap((name) => [make(any, Node, node(name)), make(any, Service, service(name))]),
	]);
	await killed?.ready();
	await until(async () => {
		const ranges = (await any().list(Node)).items.flatMap(({ spec }) => spec.podCIDR ?? []);
		return new Set(ranges).size === names.length && ranges.length === names.length
			? undefined
			: `the nodes have the ranges ${ranges}`;
	});
	await until(async () => {
		const accounts = (await keys(ServiceAccount)).filter((key) => key.endsWith('/default'));
		const roots = (await keys(ConfigMap)).filter((key) => key.endsWith('/kube-root-ca.crt'));
		return accounts.length === NAMESPACES.length && roots.length === NAMESPACES.length
			? undefined
			: `of the namespaces have accounts ${accounts}, and the authority ${roots}`;
	});
	for (const [kind, wanted] of [
		[Namespace, NAMESPACES],
		[Application, ['default/default']],
	] as const) {
		const found = await keys(kind as Kind);
		if (found.join() !== wanted.join()) throw new Error(`there are ${kind.plural} ${found}`);
	}
	await until(async () => {
		for (const kind of [Namespace, Application, ConfigMap, ServiceAccount, Service, Node] as readonly Kind[]) {
			const told = await Promise.all(clients.map(async (client) => JSON.stringify((await client.list(kind)).items)));
			if (new Set(told).size > 1) return `servers differ about ${kind.plural}`;
		}
		return undefined;
	});
}

/** Throws where what is claimed in the store is not what its objects hold. */
async function lookAtClaims([server]: readonly ServerProcess[], etcd: EtcdCluster): Promise<void> {
	if (!server) return;
	await using client = await overHttp(await loadKubeconfig(server.kubeconfig), 'storm');
	await using store = await openEtcd({ endpoints: etcd.endpoints });
	// Leases come and go meanwhile.
	await until(async () => {
		const held: string[] = [];
		for (const kind of [Service, Node, Lease] as readonly Kind[])
			for (const object of (await client.list(kind)).items)
				held.push(...kind.claims(object).map((claim) => `/claims/${claim} ${keyOf(object)}`));
		const { entries } = await store.list('/claims/');
		const claimed = entries.map(({ key, value }) => `${key} ${Buffer.from(value)}`);
		const odd = [...new Set(held).symmetricDifference(new Set(claimed))];
		return odd.length === 0 ? undefined : `claimed or held, and not both: ${odd}`;
	});
}
