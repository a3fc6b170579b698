/**
 * Plugins that register with a node: each listens at a socket in the folder of the registry, is asked there what it is, and is told
 * whether it was taken. It is gone when its socket is. Source: Kubernetes documentation, "Device Plugins" and "CSI", Plugin registration;
 * the kubelet's plugin watcher.
 */
import { watch } from 'node:fs';
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, pause } from '../../client/index.ts';
import type { Log } from '../../log.ts';
import type { Wheel } from '../wheel.ts';
import { type PluginClient, pluginClient } from './client.ts';

export interface Registering {
	readonly name: string;
	/** The socket of its services. */
	readonly endpoint: string;
	readonly versions: readonly string[];
}

/** What takes in plugins of a type. */
export interface PluginType {
	/** Throws with why the plugin cannot be taken: it is told, and tried again. The signal aborts when the plugin is gone. */
	register(plugin: Registering, signal: AbortSignal): Promise<void>;
}

export interface PluginRegistry {
	/** Whether each socket that is there has been asked, and has answered. */
	readonly settled: boolean;
	idle(): Promise<void>;
}

/** How often the folder is looked at, though nothing was heard of it. */
const RESCAN_MS = 10_000;
const CALL_TIMEOUT_MS = 10_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 120_000;
/** Sockets that are looked at: a folder with more is not one of plugins. */
const MAX_SOCKETS = 256;

interface Info {
	readonly type: string;
	readonly name: string;
	readonly endpoint: string;
	readonly supportedVersions: readonly string[];
}

interface Seen {
	/** Another socket at the same path is another plugin. */
	readonly identity: string;
	readonly stop: AbortController;
	registered: boolean;
	work: Promise<void>;
}

/**
 * Follows the folder until the signal aborts. Plugins stay registered then: they will be asked again.
 *
 * @param changed - called when `settled` may have become true.
 */
export function followRegistry(options: {
	readonly folder: string;
	readonly types: Readonly<Record<string, PluginType>>;
	readonly wheel: Wheel;
	readonly changed: () => void;
	readonly log: Log;
	readonly signal: AbortSignal;
}): PluginRegistry {
	const { folder, types, wheel, changed, log, signal } = options;
	const sockets = new Map<string, Seen>();
	let listed = false;
	let fault: string | undefined;
	let scanning: Promise<void> | undefined;
	let again = false;

	const begin = (path: string, identity: string) => {
		const stop = new AbortController();
		const seen: Seen = { identity, stop, registered: false, work: Promise.resolve() };
		sockets.set(path, seen);
		seen.work = keepRegistering(path, seen, AbortSignal.any([signal, stop.signal]));
	};
	const keepRegistering = async (path: string, seen: Seen, until: AbortSignal) => {
		// One for all attempts: a connection to a socket at which nobody speaks is not closed by its client's end.
		using client = pluginClient(path, 'pluginregistration.Registration');
		let told: string | undefined;
		for (let wait = RETRY_FIRST_MS; !until.aborted; wait = Math.min(wait * 2, RETRY_MAX_MS)) {
			try {
				await register(path, client, types, until);
				if (until.aborted) return;
				seen.registered = true;
				changed();
				return;
			} catch (error) {
				if (until.aborted) return;
				const cause = describe(error);
				if (cause !== told) log.warn({ socket: path, cause }, 'a plugin cannot be registered; trying on');
				told = cause;
			}
			await pause(wait, until);
		}
	};
	const scan = async () => {
		const found = await socketsIn(folder);
		if (signal.aborted) return;
		for (const [path, seen] of sockets) {
			if (found.get(path) === seen.identity) continue;
			sockets.delete(path);
			seen.stop.abort();
		}
		for (const [path, identity] of found) if (!sockets.has(path)) begin(path, identity);
		listed = true;
		changed();
	};
	const rescan = () => {
		again = true;
		scanning ??= (async () => {
			while (again && !signal.aborted) {
				again = false;
				try {
					await scan();
					fault = undefined;
				} catch (error) {
					const cause = describe(error);
					if (cause !== fault) log.warn({ folder, cause }, 'the folder of plugins cannot be read; trying on');
					fault = cause;
				}
			}
		})().finally(() => {
			scanning = undefined;
		});
	};
	let watching = false;
	const follow = () => {
		if (watching) return;
		try {
			const watcher = watch(folder, { signal }, rescan);
			watching = true;
			const lost = () => {
				watching = false;
			};
			watcher.on('error', lost).on('close', lost);
		} catch {
			// The rescan finds what this would have told.
		}
	};
	const beat = () => {
		if (signal.aborted) return;
		follow();
		rescan();
		wheel.after(RESCAN_MS, beat);
	};
	const begun = mkdir(folder, { recursive: true, mode: 0o750 }).then(beat, (error: unknown) =>
		log.warn({ folder, cause: describe(error) }, 'there is no folder for plugins'),
	);

	return {
		get settled() {
			return listed && [...sockets.values()].every(({ registered }) => registered);
		},
		async idle() {
			await begun;
			while (scanning) await scanning;
			await Promise.all([...sockets.values()].map(({ work }) => work));
		},
	};
}

async function register(
	path: string,
	client: PluginClient,
	types: Readonly<Record<string, PluginType>>,
	signal: AbortSignal,
): Promise<void> {
	const deadline = CALL_TIMEOUT_MS;
	const info = await client.call<Info>('GetInfo', {}, { deadline, signal });
	const notify = (error: string) =>
		client.call('NotifyRegistrationStatus', { pluginRegistered: error === '', error }, { deadline, signal });
	const type = Object.hasOwn(types, info.type) ? types[info.type] : undefined;
	try {
		if (!type) throw new Error(`no handler registered for plugin type: ${info.type.slice(0, 64)} at socket ${path}`);
		const { name, endpoint, supportedVersions: versions } = info;
		await type.register({ name, endpoint: endpoint || path, versions }, signal);
	} catch (error) {
		if (!signal.aborted) await notify(describe(error)).catch(() => {});
		throw error;
	}
	await notify('');
}

/** Each socket below the folder, and what tells it from another at its path. Throws where the folder cannot be read. */
async function socketsIn(folder: string): Promise<ReadonlyMap<string, string>> {
	const found = new Map<string, string>();
	const entries = await readdir(folder, { recursive: true, withFileTypes: true });
	for (const entry of entries) {
		// A name that begins with a dot is one that is being made. Source: the kubelet's plugin watcher.
		if (!entry.isSocket() || entry.name.startsWith('.')) continue;
		const path = join(entry.parentPath, entry.name);
		const stats = await lstat(path).catch(() => undefined);
		if (stats) found.set(path, `${stats.ino} ${stats.ctimeMs}`);
		if (found.size >= MAX_SOCKETS) break;
	}
	return found;
}
