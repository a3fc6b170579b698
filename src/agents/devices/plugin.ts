/**
 * One device plugin as the agent speaks with it. Each call has a deadline: a plugin may hang as well as die.
 * Source: the device plugin API v1beta1 (Kubernetes documentation, "Device Plugins").
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { PluginError, pluginClient } from '../plugins/client.ts';
import { DeviceError, rpcError } from './error.ts';
import { type Grant, readAnswer } from './grant.ts';

/** Who gives the devices of a resource: a plugin, or the engine's own runtime. All calls throw DeviceError or PluginError. */
export interface Provider {
	readonly preStartRequired: boolean;
	/** Which of the available ones it would rather give; empty where it does not mind. */
	prefer(wish: Preference, signal: AbortSignal): Promise<readonly string[]>;
	allocate(ids: readonly string[], signal: AbortSignal): Promise<Grant>;
	preStart(ids: readonly string[], signal: AbortSignal): Promise<void>;
}

export interface Preference {
	readonly available: readonly string[];
	readonly mustInclude: readonly string[];
	readonly count: number;
}

export interface DeviceList {
	readonly healthy: readonly string[];
	readonly unhealthy: readonly string[];
}

export interface Plugin extends Provider, Disposable {
	/** Every list that it sends, until it breaks off (then it throws) or the signal aborts. */
	lists(signal: AbortSignal): AsyncIterable<DeviceList>;
}

/** In milliseconds. */
export interface PluginDeadlines {
	/** Of the first answer after a plugin has registered, and of what is asked in passing. */
	readonly answerMs: number;
	/** Of Allocate: plugins reset and partition devices in it. */
	readonly allocateMs: number;
	/** As the kubelet's. */
	readonly preStartMs: number;
}

export const PLUGIN_DEADLINES: PluginDeadlines = { answerMs: 10_000, allocateMs: 60_000, preStartMs: 30_000 };

/** Devices of one resource; a list of more is refused. The longest message of a plugin (4 MiB) has room for some more. */
export const MAX_DEVICES = 100_000;
/** Bytes of a device's id: it is noted with every container that has the device. */
export const MAX_DEVICE_ID_BYTES = 1_024;
/** Pause after a list, and for each device in it: a plugin that floods has a small part of the agent's time. */
const LIST_PAUSE_MS = 5;
const LIST_PAUSE_PER_DEVICE_MS = 0.01;

/** Connects to the socket and asks for the plugin's options. Throws DeviceError where it does not answer. */
export async function connectPlugin(
	socket: string,
	resource: string,
	deadlines: PluginDeadlines,
	signal: AbortSignal,
): Promise<Plugin> {
	using stack = new DisposableStack();
	const client = stack.use(pluginClient(socket, 'v1beta1.DevicePlugin'));
	const call = async <T>(method: string, request: object, deadline: number, given: AbortSignal): Promise<T> => {
		try {
			return await client.call<T>(method, request, { deadline, signal: given });
		} catch (error) {
			given.throwIfAborted();
			if (!(error instanceof PluginError) || error.code !== 'DEADLINE_EXCEEDED') throw error;
			const late = `the device plugin of ${resource} has not answered ${method} within ${deadline / 1000} s`;
			throw new PluginError(error.code, late);
		}
	};
	const options = await call<{ preStartRequired: boolean; getPreferredAllocationAvailable: boolean }>(
		'GetDevicePluginOptions',
		{},
		deadlines.answerMs,
		signal,
	).catch((error: unknown) => {
		throw new DeviceError(`failed to get device plugin options: ${rpcError(error)}`);
	});
	const life = stack.move();
	return {
		preStartRequired: options.preStartRequired,
		async prefer({ available, mustInclude, count }, given) {
			if (!options.getPreferredAllocationAvailable) return [];
			const request = { availableDeviceIDs: available, mustIncludeDeviceIDs: mustInclude, allocationSize: count };
			try {
				const { containerResponses } = await call<{ containerResponses: { deviceIDs: string[] }[] }>(
					'GetPreferredAllocation',
					{ containerRequests: [request] },
					deadlines.answerMs,
					given,
				);
				return containerResponses[0]?.deviceIDs ?? [];
			} catch (error) {
				given.throwIfAborted();
				throw new DeviceError(`device plugin GetPreferredAllocation rpc failed with err: ${rpcError(error)}`);
			}
		},
		async allocate(ids, given) {
			return readAnswer(
				await call('Allocate', { containerRequests: [{ devicesIds: ids }] }, deadlines.allocateMs, given),
			);
		},
		async preStart(ids, given) {
			try {
				await call('PreStartContainer', { devicesIds: ids }, deadlines.preStartMs, given);
			} catch (error) {
				given.throwIfAborted();
				throw new DeviceError(`device plugin PreStartContainer rpc failed with err: ${rpcError(error)}`);
			}
		},
		async *lists(given) {
			const stream = client.stream<{ devices: { ID: string; health: string }[] }>(
				'ListAndWatch',
				{},
				{ signal: given },
			);
			for await (const { devices } of stream) {
				yield readList(devices);
				const pause = LIST_PAUSE_MS + devices.length * LIST_PAUSE_PER_DEVICE_MS;
				await sleep(pause, undefined, { signal: given }).catch(() => undefined);
			}
			if (!given.aborted) throw new DeviceError('ListAndWatch ended');
		},
		[Symbol.dispose]: () => life.dispose(),
	};
}

/** A device is healthy where its plugin says `Healthy`. Throws DeviceError where the list is one of nonsense. */
export function readList(devices: readonly { readonly ID: string; readonly health: string }[]): DeviceList {
	if (devices.length > MAX_DEVICES)
		throw new DeviceError(`the plugin lists ${devices.length} devices, more than ${MAX_DEVICES}`);
	const byId = new Map<string, boolean>();
	for (const { ID, health } of devices) {
		const bytes = Buffer.byteLength(ID);
		if (bytes === 0 || bytes > MAX_DEVICE_ID_BYTES)
			throw new DeviceError(`the plugin lists a device whose ID has ${bytes} bytes, not 1 to ${MAX_DEVICE_ID_BYTES}`);
		byId.set(ID, health === 'Healthy');
	}
	const those = (wanted: boolean) => [...byId].filter(([, healthy]) => healthy === wanted).map(([id]) => id);
	return { healthy: those(true), unhealthy: those(false) };
}
