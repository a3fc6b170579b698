/** A node's side of storage drivers without its pods: real API, real driver. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Csi, createCsi, type PodFacts } from '../../src/agents/csi/index.ts';
import { unmountBelow } from '../../src/agents/volumes/mount.ts';
import { createWheel } from '../../src/agents/wheel.ts';
import { type Client, createCache, inProcess, recordEvents } from '../../src/client/index.ts';
import { CSIDriver, Event, Namespace, Node } from '../../src/kinds/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { type CsiDriver, startCsiDriver } from '../testbed/csi-driver.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { eventually, NODE } from './node.ts';

export const podFacts = (uid: string, more: Partial<PodFacts> = {}): PodFacts => ({
	uid,
	name: `pod-${uid}`,
	namespace: 'default',
	serviceAccount: 'default',
	onRootMismatch: false,
	...more,
});

export interface CsiNode {
	readonly client: Client;
	readonly dataDir: string;
	readonly kubeletDir: string;
	readonly csi: Csi;
	/** Ends what follows drivers, and begins anew, as another process would. */
	restart(): Promise<void>;
	driver(options?: Parameters<typeof startCsiDriver>[1], spec?: CSIDriver['spec']): Promise<CsiDriver>;
	registered(name: string): Promise<void>;
	events(): Promise<string[]>;
}

export async function csiNode(t: ExecutionContext): Promise<CsiNode> {
	const folder = await mkdtemp(join(tmpdir(), 'driftless-csi-node-'));
	const [dataDir, kubeletDir] = [join(folder, 'data'), join(folder, 'kubelet')];
	const opened = await openTestApi();
	const client = inProcess(opened.api, { ...admin, userAgent: 'kubelet' });
	await client
		.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' }, spec: {} })
		.catch(() => undefined);
	await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: NODE }, spec: {} });
	const stack = new AsyncDisposableStack();
	const drivers = new AsyncDisposableStack();
	const begin = async () => {
		const stop = new AbortController();
		const { signal } = stop;
		const cache = createCache(client, { signal, log: silentLog });
		const informer = cache.informer(Node);
		const wheel = createWheel();
		const events = recordEvents(client, { component: 'kubelet', host: NODE, now: Date.now, log: silentLog, signal });
		// What the agent's registration does.
		const changed = () => {
			const body = { status: { volumesInUse: csi.volumes.inUse() } };
			void client.patch(Node, { name: NODE }, { type: 'merge', body }, { subresource: 'status' }).catch(() => {});
		};
		const csi = createCsi({
			...{ client, cache, events, node: NODE, dataDir, kubeletDir, wheel, log: silentLog, signal },
			changed: () => queueMicrotask(changed),
			retry: () => {},
		});
		await informer.synced;
		csi.begin();
		return {
			csi,
			async end() {
				stop.abort();
				wheel[Symbol.dispose]();
				await csi.idle();
				await cache[Symbol.asyncDispose]();
			},
		};
	};
	let running = await begin();
	t.teardown(async () => {
		await running.end();
		await drivers.disposeAsync();
		await opened[Symbol.asyncDispose]();
		await stack.disposeAsync();
		await unmountBelow(folder, new AbortController().signal);
		await rm(folder, { recursive: true, force: true });
	});
	return {
		client,
		dataDir,
		kubeletDir,
		get csi() {
			return running.csi;
		},
		async restart() {
			await running.end();
			running = await begin();
		},
		async driver(options = {}, spec = { attachRequired: false }) {
			const driver = await startCsiDriver(kubeletDir, options);
			drivers.use(driver);
			const metadata = { name: driver.name };
			await client.create(CSIDriver, { apiVersion: 'storage.k8s.io/v1', kind: 'CSIDriver', metadata, spec });
			return driver;
		},
		async registered(name) {
			await eventually(`driver ${name} is registered`, async () => running.csi.drivers.get(name) !== undefined);
		},
		async events() {
			const { items } = await client.list(Event, { namespace: 'default' });
			return items.map(({ reason, message }) => `${reason}: ${message}`);
		},
	};
}
