/** The Node object and its Lease: made at the start, kept true while the agent runs. */
import { isDeepStrictEqual } from 'node:util';
import type * as core from 'kubernetes-types/core/v1.js';
import { type Cache, type Client, describe, type Faults, faults, microTime } from '../../client/index.ts';
import { ApiError, Lease, Node, VOLUME_ROOT } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import type { Devices } from '../devices/index.ts';
import type { Engine, EngineInfo } from '../engine/index.ts';
import type { Pressure } from '../pressure/judge.ts';
import type { Wheel } from '../wheel.ts';
import { measure, nodeImages, nodeInfo, nodeLabels } from './capacity.ts';
import { nodeConditions } from './conditions.ts';
import { changing, published } from './extended.ts';

/** As the kubelet: the lease says that the node lives, the status what it is. */
const LEASE_RENEW_MS = 10_000;
const LEASE_SECONDS = 40;
const LEASE_NAMESPACE = 'kube-node-lease';
/** The status is written so often though nothing has changed. */
const STATUS_MAX_AGE_MS = 300_000;
const RETRY_MS = 1_000;

export const CERTIFICATE_ANNOTATION = 'driftless.io/serving-certificate-sha256';

export interface RegistrationOptions {
	readonly client: Client;
	readonly cache: Cache;
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly name: string;
	readonly address: string;
	/** Of the agent's server. */
	readonly port: number;
	/** Of the certificate that the agent's server shows now. */
	readonly fingerprint: () => string;
	readonly labels: Readonly<Record<string, string>>;
	/** Of the Node when it is made. They are the administrator's from then on. */
	readonly taints: readonly core.Taint[];
	readonly dataDir: string;
	/** The folder of the node's local volumes. */
	readonly volumeRoot: string;
	/** Volumes that nobody may take away; undefined while that is not known. */
	readonly volumesInUse: () => readonly string[] | undefined;
	/** Quantities by resource that pods never get. */
	readonly reserved: Readonly<Record<string, string>>;
	readonly wheel: Wheel;
	readonly now: () => number;
	readonly log: Log;
	readonly signal: AbortSignal;
	/** Why the node cannot run pods; undefined where it can. */
	fault(): string | undefined;
	readonly devices: Pick<Devices, 'amounts' | 'fresh'>;
	/** What the node runs short of. */
	pressure(): Pressure;
}

export interface Registration {
	/** Looks at the node's state now, since it may have changed. */
	refresh(): void;
	/** Writes which certificates the agent's server shows. Rejects where the API does not take it. */
	publish(fingerprints: readonly string[]): Promise<void>;
	/** The engine has others than at the last look: the next one reads them. */
	imagesChanged(): void;
	/** Settles when no write is under way. */
	idle(): Promise<void>;
}

/** Creates or updates the Node, then keeps it and its Lease. Throws when the API refuses the Node. */
export async function registerNode(options: RegistrationOptions): Promise<Registration> {
	const { cache, wheel, log, signal } = options;
	const known = faults(log);
	const informer = cache.informer(Node);
	const seen: Seen = {
		images: { changed: true, list: [] },
		fresh: options.devices.fresh,
	};
	let lastStatus = Number.NEGATIVE_INFINITY;
	let work: Promise<void> | undefined;
	let again = false;

	await register(options);
	const refresh = () => {
		again = true;
		work ??= run().finally(() => {
			work = undefined;
			if (again && !signal.aborted) refresh();
		});
	};
	const run = async () => {
		while (again && !signal.aborted) {
			again = false;
			await attempt(known, signal, 'status', 'the node status cannot be written; trying on', async () => {
				if (await writeStatus(options, seen, wheel.now() - lastStatus > STATUS_MAX_AGE_MS)) lastStatus = wheel.now();
			});
		}
	};
	const beat = async () => {
		if (signal.aborted) return;
		const begun = wheel.now();
		refresh();
		const ok = await attempt(known, signal, 'lease', 'the node lease cannot be renewed; trying on', () =>
			renew(options),
		);
		if (!signal.aborted) wheel.after(begun + (ok ? LEASE_RENEW_MS : RETRY_MS) - wheel.now(), () => void beat());
	};
	let beating = beat();
	informer.on(({ key, object, old }) => {
		// Somebody has deleted the Node: a running agent is a node.
		if (key === options.name && !object && old && !signal.aborted) {
			beating = beating.then(async () => {
				await attempt(known, signal, 'register', 'the node cannot be registered again', () => register(options));
				refresh();
			});
		}
		// Somebody says that the node has something: pods may ask for it then.
		else if (key === options.name && old && !isDeepStrictEqual(object?.status?.capacity, old.status?.capacity))
			refresh();
	});
	return {
		refresh,
		async publish(fingerprints) {
			const annotations = { [CERTIFICATE_ANNOTATION]: fingerprints.join(',') };
			await options.client.patch(Node, { name: options.name }, { type: 'merge', body: { metadata: { annotations } } });
		},
		imagesChanged() {
			seen.images.changed = true;
		},
		async idle() {
			await beating;
			while (work) await work;
		},
	};
}

/** What is remembered from one look to the next. */
interface Seen {
	/** The engine's images as they were last read. */
	readonly images: { changed: boolean; list: core.ContainerImage[] };
	/** The devices that were published before this run are nobody's. */
	fresh: boolean;
}

/** Runs once; a failure is logged once per cause. */
async function attempt(known: Faults, signal: AbortSignal, what: string, message: string, run: () => Promise<unknown>) {
	try {
		await run();
		known.healed(what, `${what}: works again`);
		return true;
	} catch (error) {
		if (!signal.aborted) known.failed(what, error, message);
		return false;
	}
}

async function register(options: RegistrationOptions): Promise<void> {
	const { client, name, info, labels, taints, fingerprint } = options;
	const metadata = {
		name,
		labels: { ...nodeLabels(name, info), ...labels },
		annotations: { [CERTIFICATE_ANNOTATION]: fingerprint(), [VOLUME_ROOT]: options.volumeRoot },
	};
	const spec = taints.length > 0 ? { taints: [...taints] } : {};
	try {
		await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata, spec });
	} catch (error) {
		if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') {
			throw new Error(`cannot register the node ${name}: ${describe(error)}`, { cause: error });
		}
		const { name: _, ...changes } = metadata;
		await client.patch(Node, { name }, { type: 'merge', body: { metadata: changes } });
	}
}

/** Writes the status where it differs from the stored one, or where `force` is set. @returns whether it was written. */
async function writeStatus(options: RegistrationOptions, seen: Seen, force: boolean): Promise<boolean> {
	const { client, engine, info, name, address, port, dataDir, reserved, now, fault } = options;
	const node = options.cache.informer(Node).get(name) ?? (await client.get(Node, { name }));
	const before = node.status ?? {};
	const machine = { info, dataDir };
	const { images } = seen;
	const [own, devices] = [await measure(machine, reserved), options.devices.amounts()];
	const { capacity, allocatable } = published(
		{
			capacity: { ...own.capacity, ...devices.capacity },
			allocatable: { ...own.allocatable, ...devices.allocatable },
		},
		before,
		seen.fresh,
	);
	const why = fault();
	if (images.changed && why === undefined) {
		// One that comes meanwhile is read at the next look.
		images.changed = false;
		try {
			images.list = nodeImages(await engine.images.list());
		} catch (error) {
			images.changed = true;
			throw error;
		}
	}
	const status: core.NodeStatus = {
		addresses: [
			{ type: 'InternalIP', address },
			{ type: 'Hostname', address: name },
		],
		capacity,
		allocatable,
		daemonEndpoints: { kubeletEndpoint: { Port: port } },
		nodeInfo: await nodeInfo(info),
		images: images.list,
		conditions: nodeConditions({ fault: why, pressure: options.pressure() }, before.conditions ?? [], now()),
	};
	const inUse = options.volumesInUse();
	if (inUse && (inUse.length > 0 || before.volumesInUse)) status.volumesInUse = [...inUse];
	const changes: Record<string, unknown> = {};
	for (const [key, value] of Object.entries(status)) {
		const stored = before[key as keyof core.NodeStatus];
		if (!isDeepStrictEqual(settled(stored), settled(value))) changes[key] = value;
	}
	if (Object.keys(changes).length === 0 && !force) {
		seen.fresh = false;
		return false;
	}
	const whole: Record<string, unknown> = force ? { ...status } : changes;
	for (const list of ['capacity', 'allocatable'] as const)
		if (whole[list]) whole[list] = changing(status[list] ?? {}, before[list]);
	await client.patch(Node, { name }, { type: 'merge', body: { status: whole } }, { subresource: 'status' });
	seen.fresh = false;
	return true;
}

/** Without what changes at each look: a heartbeat alone is no change. */
function settled(value: unknown): unknown {
	return JSON.parse(
		JSON.stringify(value ?? null, (key, inner: unknown) => (key === 'lastHeartbeatTime' ? undefined : inner)),
	) as unknown;
}

async function renew({ client, cache, name, now }: RegistrationOptions): Promise<void> {
	const spec = { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime: microTime(now()) };
	try {
		await client.patch(Lease, { namespace: LEASE_NAMESPACE, name }, { type: 'merge', body: { spec } });
	} catch (error) {
		if (!(error instanceof ApiError) || error.code !== 404) throw error;
		const node = cache.informer(Node).get(name) ?? (await client.get(Node, { name }));
		const owner = { apiVersion: 'v1', kind: 'Node', name, uid: node.metadata.uid ?? '' };
		await client.create(Lease, {
			apiVersion: 'coordination.k8s.io/v1',
			kind: 'Lease',
			metadata: { name, namespace: LEASE_NAMESPACE, ownerReferences: [owner] },
			spec,
		});
	}
}
