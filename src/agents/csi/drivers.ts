/** The drivers that are registered with a node, and how they are called. */
import { type PluginClient, pluginClient } from '../plugins/client.ts';
import type { ServiceName } from '../plugins/protocol.ts';

/** How long a driver may take for one call. Source: the kubelet's csiTimeout. */
export const CALL_TIMEOUT_MS = 120_000;

export type Service = 'Identity' | 'Controller' | 'Node';

export interface Driver {
	readonly name: string;
	/** What the driver calls this node. */
	readonly nodeId: string;
	/** How many volumes of it the node can have; absent where it does not say. */
	readonly maxVolumes?: number;
	/** Labels by which it tells from where its volumes can be reached. */
	readonly topology: Readonly<Record<string, string>>;
	/** Of its Node service: `STAGE_UNSTAGE_VOLUME`. */
	readonly capabilities: ReadonlySet<string>;
	/** Rejects with PluginError. */
	call<Response>(service: Service, method: string, request: object, signal: AbortSignal): Promise<Response>;
}

export interface Drivers {
	get(name: string): Driver | undefined;
	all(): Iterable<Driver>;
	/** Takes the place of one of its name. */
	add(driver: Driver): void;
	/** Only this one: not another that has its name by now. */
	remove(driver: Driver): void;
	/** Calls back when a driver has come or gone. */
	onChange(changed: () => void): void;
}

export function createDrivers(): Drivers {
	const known = new Map<string, Driver>();
	const listeners: (() => void)[] = [];
	const tell = () => {
		for (const listener of listeners) listener();
	};
	return {
		get: (name) => known.get(name),
		all: () => known.values(),
		add(driver) {
			known.set(driver.name, driver);
			tell();
		},
		remove(driver) {
			if (known.get(driver.name) !== driver) return;
			known.delete(driver.name);
			tell();
		},
		onChange: (listener) => void listeners.push(listener),
	};
}

/** The services of a driver at a socket. Dispose of it when the driver has gone. */
export function driverServices(socket: string): Pick<Driver, 'call'> & Disposable {
	const clients = new Map<Service, PluginClient>();
	return {
		call(service, method, request, signal) {
			const name: ServiceName = `csi.v1.${service}`;
			const client = clients.get(service) ?? pluginClient(socket, name);
			clients.set(service, client);
			return client.call(method, request, { deadline: CALL_TIMEOUT_MS, signal });
		},
		[Symbol.dispose]() {
			for (const client of clients.values()) client[Symbol.dispose]();
		},
	};
}
