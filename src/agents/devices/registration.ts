/**
 * Where device plugins register: the service Registration on the agent's socket. The newest plugin of a resource has it, so that a
 * plugin can be replaced while it runs. Source: Kubernetes documentation, "Device Plugins", and the kubelet's messages.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { describe, type Faults } from '../../client/index.ts';
import { isExtendedResource } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import { serviceNamed } from '../plugins/protocol.ts';
import { rpcError } from './error.ts';
import { MAX_SOCKET_PATH, REGISTRATION_SOCKET } from './folder.ts';
import { connectPlugin, type Plugin, type PluginDeadlines } from './plugin.ts';
import { MAX_RESOURCES, type Stocks } from './stocks.ts';

const VERSION = 'v1beta1';
/** A registration is three short texts. */
const MAX_REQUEST_BYTES = 64 * 1024;
/** Plugins that are being connected to at once. */
const MAX_REGISTERING = 32;

interface Request {
	readonly version: string;
	readonly endpoint: string;
	readonly resourceName: string;
}

export interface RegistrationOptions {
	/** The folder of the agent's socket and the plugins'. */
	readonly folder: string;
	readonly stocks: Stocks;
	readonly deadlines: PluginDeadlines;
	/** A plugin was registered. */
	registered(resource: string): void;
	readonly known: Faults;
	readonly log: Log;
	readonly signal: AbortSignal;
}

export interface Registration extends AsyncDisposable {
	/** Settles when the signal has aborted and no plugin is followed any more. */
	readonly ended: Promise<void>;
}

/** Serves until the signal aborts. Throws where the socket cannot be made. */
export async function serveRegistration(options: RegistrationOptions): Promise<Registration> {
	const { folder, stocks, deadlines, registered, known, log, signal } = options;
	const following = new Set<Promise<void>>();
	/** By resource: ends what follows its plugin. */
	const current = new Map<string, AbortController>();
	let registering = 0;

	const follow = async (resource: string, plugin: Plugin, replaced: AbortSignal) => {
		using _plugin = plugin;
		try {
			for await (const list of plugin.lists(replaced)) {
				stocks.list(resource, plugin, list);
				known.healed(resource, 'a device plugin is back', { resource });
			}
		} catch (error) {
			if (!replaced.aborted) known.failed(resource, rpcError(error), 'a device plugin is gone', { resource });
		}
		stocks.detach(resource, plugin);
	};
	const register = async ({ version, endpoint, resourceName: resource }: Request) => {
		refuse({ version, endpoint, resource }, folder, stocks);
		const plugin = await connectPlugin(join(folder, endpoint), resource, deadlines, signal);
		if (signal.aborted) return plugin[Symbol.dispose]();
		current.get(resource)?.abort();
		const replaced = new AbortController();
		current.set(resource, replaced);
		registered(resource);
		stocks.attach(resource, plugin);
		log.info({ resource, endpoint }, 'a device plugin has registered');
		const work = follow(resource, plugin, AbortSignal.any([signal, replaced.signal])).finally(() => {
			following.delete(work);
			if (current.get(resource) === replaced) current.delete(resource);
		});
		following.add(work);
	};

	const server = new Server({ 'grpc.max_receive_message_length': MAX_REQUEST_BYTES });
	server.addService(serviceNamed('v1beta1.Registration'), {
		Register(call: ServerUnaryCall<Request, object>, answer: sendUnaryData<object>) {
			if (registering >= MAX_REGISTERING) {
				answer({ code: status.RESOURCE_EXHAUSTED, details: `${MAX_REGISTERING} plugins are registering already` });
				return;
			}
			registering++;
			register(call.request)
				.then(
					() => answer(null, {}),
					(error: unknown) => {
						const details = describe(error);
						log.warn(
							{ resource: call.request.resourceName.slice(0, 320), cause: details },
							'a device plugin was refused',
						);
						answer({ code: status.UNKNOWN, details });
					},
				)
				.finally(() => registering--);
		},
	});
	const path = join(folder, REGISTRATION_SOCKET);
	await new Promise<void>((resolve, reject) =>
		server.bindAsync(`unix://${path}`, ServerCredentials.createInsecure(), (error) =>
			error ? reject(error) : resolve(),
		),
	);
	const end = async () => {
		if (!signal.aborted) await once(signal, 'abort');
		server.forceShutdown();
		while (following.size > 0) await Promise.all(following);
	};
	const ended = end();
	return { ended, [Symbol.asyncDispose]: () => ended };
}

/** Throws where nobody could be registered so. */
function refuse(
	{ version, endpoint, resource }: { readonly version: string; readonly endpoint: string; readonly resource: string },
	folder: string,
	stocks: Stocks,
): void {
	const quote = (text: string) => JSON.stringify(text.slice(0, 320));
	if (version !== VERSION)
		throw new Error(
			`requested API version ${quote(version)} is not supported by kubelet. Supported version is [${quote(VERSION)}]`,
		);
	if (!isExtendedResource(resource)) throw new Error(`the ResourceName ${quote(resource)} is invalid`);
	if (!/^[^/\0]+$/.test(endpoint) || ['.', '..', REGISTRATION_SOCKET].includes(endpoint))
		throw new Error(`the endpoint ${quote(endpoint)} is not the name of a socket in ${folder}`);
	const bytes = Buffer.byteLength(join(folder, endpoint));
	if (bytes > MAX_SOCKET_PATH)
		throw new Error(`the path of the endpoint has ${bytes} bytes, and the system takes ${MAX_SOCKET_PATH}`);
	if (!stocks.get(resource) && stocks.names().length >= MAX_RESOURCES)
		throw new Error(`the node has ${MAX_RESOURCES} resources of plugins already`);
}
