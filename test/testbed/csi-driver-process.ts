/**
 * A driver of the Container Storage Interface as a process of its own: its volumes are directories, bound to where they are wanted.
 * It registers as drivers do that know of a kubelet only. What it was asked is in calls.jsonl; orders.json tells it to fail.
 */
import { execFileSync } from 'node:child_process';
import {
	appendFileSync,
	cpSync,
	existsSync,
	mkdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { type ServiceName, serviceNamed } from '../../src/agents/plugins/protocol.ts';
import type { CsiDriverSettings, Order } from './csi-driver.ts';

const settings = JSON.parse(process.argv[2] ?? '{}') as CsiDriverSettings;
const { name, root, socket, registration, nodeId } = settings;

// biome-ignore lint/suspicious/noExplicitAny: requests of every shape
type Request = any;

class Refusal extends Error {
	readonly code: keyof typeof status;
	constructor(code: keyof typeof status, message: string) {
		super(message);
		this.code = code;
	}
}

const folder = (...parts: string[]) => {
	const path = join(root, ...parts);
	mkdirSync(dirname(path), { recursive: true });
	return path;
};
const write = (path: string, value: unknown) => {
	writeFileSync(`${path}.new`, JSON.stringify(value));
	renameSync(`${path}.new`, path);
};
const read = <T>(path: string): T | undefined =>
	existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : undefined;

interface Volume {
	readonly id: string;
	readonly name: string;
	readonly bytes: number;
	readonly source?: string;
}
const metaOf = (id: string) => folder('meta', `${id}.json`);
const dataOf = (id: string) => folder('volumes', id);
const attachedOf = (id: string) => folder('attached', `${id}.json`);
const snapshotOf = (id: string) => folder('snapshots', `${id}.json`);

const isMounted = (path: string) =>
	readFileSync('/proc/self/mountinfo', 'utf8')
		.split('\n')
		.some((line) => line.split(' ')[4] === path);
function bind(from: string, to: string, readOnly: boolean) {
	if (isMounted(to)) return;
	mkdirSync(to, { recursive: true });
	execFileSync('mount', ['--bind', from, to]);
	if (readOnly) execFileSync('mount', ['-o', 'remount,bind,ro', to]);
}
function unbind(path: string) {
	if (isMounted(path)) execFileSync('umount', [path]);
}
const need = (id: string): Volume => {
	const volume = read<Volume>(metaOf(id));
	if (!volume) throw new Refusal('NOT_FOUND', `volume ${id} is not there`);
	return volume;
};

const capabilities = (types: readonly string[]) => ({ capabilities: types.map((type) => ({ rpc: { type } })) });

const identity = {
	GetPluginInfo: () => ({ name, vendorVersion: '1.0.0' }),
	GetPluginCapabilities: () => ({ capabilities: [{ service: { type: 'CONTROLLER_SERVICE' } }] }),
	Probe: () => ({ ready: { value: true } }),
};

const node = {
	NodeGetInfo: () => ({
		nodeId,
		maxVolumesPerNode: String(settings.maxVolumes ?? 0),
		...(settings.topology && { accessibleTopology: { segments: settings.topology } }),
	}),
	NodeGetCapabilities: () =>
		capabilities(settings.nodeCapabilities ?? ['STAGE_UNSTAGE_VOLUME', 'EXPAND_VOLUME', 'GET_VOLUME_STATS']),
	NodeStageVolume({ volumeId, stagingTargetPath }: Request) {
		need(volumeId);
		bind(dataOf(volumeId), stagingTargetPath, false);
		return {};
	},
	NodeUnstageVolume({ stagingTargetPath }: Request) {
		unbind(stagingTargetPath);
		return {};
	},
	NodePublishVolume({ volumeId, stagingTargetPath, targetPath, readonly, volumeContext }: Request) {
		if (volumeContext['csi.storage.k8s.io/ephemeral'] === 'true') mkdirSync(dataOf(volumeId), { recursive: true });
		else need(volumeId);
		if (stagingTargetPath && !isMounted(stagingTargetPath))
			throw new Refusal('FAILED_PRECONDITION', `volume ${volumeId} is not staged`);
		bind(stagingTargetPath || dataOf(volumeId), targetPath, readonly);
		const published = folder('published', volumeId);
		writeFileSync(published, '');
		return {};
	},
	NodeUnpublishVolume({ volumeId, targetPath }: Request) {
		unbind(targetPath);
		if (existsSync(targetPath)) rmdirSync(targetPath);
		if (!existsSync(metaOf(volumeId))) rmSync(dataOf(volumeId), { recursive: true, force: true });
		return {};
	},
	NodeExpandVolume({ volumeId, capacityRange }: Request) {
		need(volumeId);
		return { capacityBytes: capacityRange?.requiredBytes ?? '0' };
	},
	NodeGetVolumeStats: () => ({ usage: [{ available: '70', total: '100', used: '30', unit: 'BYTES' }] }),
};

const controller = {
	ControllerGetCapabilities: () =>
		capabilities(
			settings.controllerCapabilities ?? [
				'CREATE_DELETE_VOLUME',
				'PUBLISH_UNPUBLISH_VOLUME',
				'EXPAND_VOLUME',
				'CREATE_DELETE_SNAPSHOT',
				'CLONE_VOLUME',
			],
		),
	CreateVolume(request: Request) {
		const { name: wanted, capacityRange, volumeContentSource: source, parameters, accessibilityRequirements } = request;
		const bytes = Number(capacityRange?.requiredBytes ?? 0);
		if (settings.capacity !== undefined && bytes > settings.capacity)
			throw new Refusal('RESOURCE_EXHAUSTED', `${bytes} bytes are more than there are`);
		const id = `vol-${wanted}`;
		const before = read<Volume>(metaOf(id));
		if (before && before.bytes !== bytes) throw new Refusal('ALREADY_EXISTS', `${wanted} has another size`);
		if (!before) {
			mkdirSync(dataOf(id), { recursive: true });
			const from = source?.volume?.volumeId ?? source?.snapshot?.snapshotId;
			if (from) cpSync(dataOf(from), dataOf(id), { recursive: true });
			write(metaOf(id), { id, name: wanted, bytes });
		}
		const preferred = accessibilityRequirements?.preferred?.[0];
		return {
			volume: {
				volumeId: id,
				capacityBytes: String(bytes),
				volumeContext: { tier: parameters?.tier ?? 'none' },
				...(preferred && settings.topology && { accessibleTopology: [preferred] }),
				...(source && { contentSource: source }),
			},
		};
	},
	DeleteVolume({ volumeId }: Request) {
		if (existsSync(attachedOf(volumeId))) throw new Refusal('FAILED_PRECONDITION', `volume ${volumeId} is in use`);
		rmSync(dataOf(volumeId), { recursive: true, force: true });
		rmSync(metaOf(volumeId), { force: true });
		return {};
	},
	ControllerPublishVolume({ volumeId, nodeId: to }: Request) {
		need(volumeId);
		const before = read<string>(attachedOf(volumeId));
		if (before && before !== to)
			throw new Refusal('FAILED_PRECONDITION', `volume ${volumeId} is attached to node ${before}`);
		write(attachedOf(volumeId), to);
		return { publishContext: { device: `disk-${volumeId}` } };
	},
	ControllerUnpublishVolume({ volumeId }: Request) {
		rmSync(attachedOf(volumeId), { force: true });
		return {};
	},
	ControllerExpandVolume({ volumeId, capacityRange }: Request) {
		write(metaOf(volumeId), { ...need(volumeId), bytes: Number(capacityRange.requiredBytes) });
		return { capacityBytes: capacityRange.requiredBytes, nodeExpansionRequired: settings.nodeExpansion ?? true };
	},
	CreateSnapshot({ sourceVolumeId, name: wanted }: Request) {
		const id = `snap-${wanted}`;
		if (!existsSync(snapshotOf(id))) {
			cpSync(dataOf(sourceVolumeId), dataOf(id), { recursive: true });
			write(snapshotOf(id), { source: sourceVolumeId, at: Math.floor(Date.now() / 1000) });
		}
		const { source, at } = read<{ source: string; at: number }>(snapshotOf(id)) ?? { source: '', at: 0 };
		return {
			snapshot: {
				snapshotId: id,
				sourceVolumeId: source,
				creationTime: { seconds: String(at), nanos: 0 },
				readyToUse: true,
				sizeBytes: String(need(source).bytes),
			},
		};
	},
	DeleteSnapshot({ snapshotId }: Request) {
		rmSync(dataOf(snapshotId), { recursive: true, force: true });
		rmSync(snapshotOf(snapshotId), { force: true });
		return {};
	},
};

/** What is to become of a call of the method, if it is no ordinary one. */
function ordered(method: string): Order | undefined {
	const path = join(root, 'orders.json');
	const orders = read<Record<string, Order>>(path) ?? {};
	const order = orders[method];
	if (!order) return undefined;
	const times = (order.times ?? Number.POSITIVE_INFINITY) - 1;
	if (Number.isFinite(times)) {
		if (times > 0) orders[method] = { ...order, times };
		else delete orders[method];
		write(path, orders);
	}
	return order;
}

function serve(methods: Record<string, (request: Request) => object>) {
	return Object.fromEntries(
		Object.entries(methods).map(([method, work]) => [
			method,
			({ request }: ServerUnaryCall<Request, object>, answer: sendUnaryData<object>) => {
				appendFileSync(join(root, 'calls.jsonl'), `${JSON.stringify({ method, request })}\n`);
				const order = ordered(method);
				try {
					if (order?.do === 'hang') return;
					if (order?.do === 'die') process.exit(1);
					if (order?.do === 'fail') throw new Refusal(order.code, order.message ?? 'as it was told');
					const result = order?.do === 'answer' ? order.answer : work(request);
					if (order?.do === 'die after') process.exit(1);
					answer(null, result);
				} catch (error) {
					const code = error instanceof Refusal ? status[error.code] : status.INTERNAL;
					answer({ code, details: (error as Error).message });
				}
			},
		]),
	);
}

async function listen(
	path: string,
	services: Partial<Record<ServiceName, Record<string, (request: Request) => object>>>,
) {
	rmSync(path, { force: true });
	mkdirSync(dirname(path), { recursive: true });
	const server = new Server();
	for (const [service, methods] of Object.entries(services))
		server.addService(serviceNamed(service as ServiceName), serve(methods));
	await new Promise<void>((resolve, reject) =>
		server.bindAsync(`unix://${path}`, ServerCredentials.createInsecure(), (error) =>
			error ? reject(error) : resolve(),
		),
	);
}

for (const part of ['meta', 'volumes', 'attached', 'snapshots', 'published'])
	mkdirSync(join(root, part), { recursive: true });
await listen(socket, { 'csi.v1.Identity': identity, 'csi.v1.Node': node, 'csi.v1.Controller': controller });
await listen(registration, {
	'pluginregistration.Registration': {
		GetInfo: () => ({ type: 'CSIPlugin', name, endpoint: socket, supportedVersions: settings.versions ?? ['1.0.0'] }),
		NotifyRegistrationStatus: () => ({}),
	},
});
process.stdout.write('listening\n');
process.on('SIGTERM', () => {
	rmSync(registration, { force: true });
	process.exit(0);
});
