/** Takes in a driver that registers with the node: what it is called, how it calls the node, and what it can do. */
import { csiDriverName, labelValue, qualifiedName } from '../../kinds/index.ts';
import type { Registering } from '../plugins/registry.ts';
import { type Driver, driverServices } from './drivers.ts';
import { wordsOf } from './error.ts';

/** The longest name of a node, in bytes. Source: the Container Storage Interface, "NodeGetInfo". */
const MAX_NODE_ID_BYTES = 256;
/** Labels of topology that one driver may give. */
const MAX_SEGMENTS = 32;

interface NodeInfo {
	readonly nodeId: string;
	/** int64 as text; 0 where the driver sets no bound. */
	readonly maxVolumesPerNode: string;
	readonly accessibleTopology: { readonly segments: Readonly<Record<string, string>> } | null;
}

interface Capabilities {
	readonly capabilities: readonly { readonly rpc?: { readonly type: string } }[];
}

/** Why the driver cannot be taken, before it is asked anything; undefined where it can. Source: the kubelet's validation of CSI plugins. */
export function refusal({ name, endpoint, versions }: Registering): string | undefined {
	const wrong = csiDriverName(name);
	if (wrong.length > 0) return `CSI driver name "${name.slice(0, 128)}" is invalid: ${wrong.join(', ')}`;
	if (!endpoint.startsWith('/')) return `the endpoint of CSI driver ${name} is no absolute path`;
	if (!versions.some((version) => /^v?1(\.\d+){0,2}$/.test(version)))
		return `versions ${JSON.stringify(versions.slice(0, 8))} of CSI driver ${name} are not supported: version 1 is`;
	return undefined;
}

/** Asks the driver. Throws with why it cannot be used. Dispose of it when it has gone. */
export async function openDriver({ name, endpoint }: Registering, signal: AbortSignal): Promise<Driver & Disposable> {
	const services = driverServices(endpoint);
	try {
		const ask = <T>(method: string) =>
			services.call<T>('Node', method, {}, signal).catch((error: unknown) => {
				throw new Error(`${method} of CSI driver ${name} failed: ${wordsOf(error)}`);
			});
		const info = await ask<NodeInfo>('NodeGetInfo');
		const { capabilities } = await ask<Capabilities>('NodeGetCapabilities');
		const max = Number(info.maxVolumesPerNode);
		return {
			name,
			...nodeIdOf(name, info),
			...(max > 0 && { maxVolumes: Math.min(max, 2 ** 31 - 1) }),
			capabilities: new Set(capabilities.flatMap(({ rpc }) => (rpc ? [rpc.type] : []))),
			...services,
		};
	} catch (error) {
		services[Symbol.dispose]();
		throw error;
	}
}

/** What it says of the node. Throws where that can be written nowhere. */
function nodeIdOf(name: string, { nodeId, accessibleTopology }: NodeInfo): Pick<Driver, 'nodeId' | 'topology'> {
	if (!nodeId) throw new Error(`CSI driver ${name} gives the node no name`);
	if (Buffer.byteLength(nodeId) > MAX_NODE_ID_BYTES)
		throw new Error(`CSI driver ${name} gives the node a name of more than ${MAX_NODE_ID_BYTES} bytes`);
	const topology = { ...accessibleTopology?.segments };
	const entries = Object.entries(topology);
	if (entries.length > MAX_SEGMENTS)
		throw new Error(
			`CSI driver ${name} tells of ${entries.length} topology segments: at most ${MAX_SEGMENTS} are taken`,
		);
	for (const [key, value] of entries) {
		const wrong = [...qualifiedName(key), ...labelValue(value)];
		if (wrong.length > 0)
			throw new Error(`CSI driver ${name} tells of a topology segment that is no label: ${wrong.join(', ')}`);
	}
	return { nodeId, topology };
}
