/** Requests that become connections of their own: exec, attach and port-forward, and what is read over a WebSocket. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Kind } from '../../kinds/kind.ts';
import { notServed } from '../../kinds/status.ts';
import type { Caller } from '../api.ts';
import { namedSubresource, subresourceOf } from '../subresources.ts';
import type { Answering } from './answer.ts';
import { type Asked, locate, verbOf } from './attributes.ts';
import { whileOpen } from './exchange.ts';
import { passUpgrade, serveLog } from './kubelet.ts';
import { serveWatch } from './resource.ts';
import type { ResourceRoute, Route } from './route.ts';
import { isWebSocket, socketAnswer } from './socket.ts';

/** Whether a request is for a stream that becomes a connection of its own. */
export function upgrades(request: IncomingMessage): boolean {
	try {
		const { route, query } = locate(request);
		if (route.type !== 'resource') return false;
		if (namedSubresource(route.subresource)?.upgrade) return true;
		return isWebSocket(request) && isReadOverSocket(route, verbOf(request, route, query));
	} catch {
		return false;
	}
}

/** Serves a connection until it ends; `begun` is called when a watch has sent what there was when it began. Throws ApiError while it may still be refused. */
export async function serveUpgrade(
	with_: Answering,
	upgrade: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Buffer },
	{ route, kind, verb, query }: Asked,
	caller: Caller,
	begun: () => void,
): Promise<void> {
	if (!kind || route.type !== 'resource') throw notServed();
	if (isReadOverSocket(route, verb)) return readOverSocket(with_, upgrade, { route, kind, verb, query }, caller, begun);
	if (!route.name) throw notServed();
	const { name, namespace, subresource = '' } = route;
	if (!subresourceOf(kind, subresource)?.upgrade) throw notServed();
	const { streaming, serving, closing } = with_;
	await serving.api.connect({ kind, namespace, name }, subresource, Object.fromEntries(query), caller);
	await passUpgrade(streaming, { ...upgrade, query, signal: closing }, kind, route, caller);
}

/** A log or a watch in frames. Throws ApiError before the first of them. */
async function readOverSocket(
	{ serving, streaming, closing }: Answering,
	{ request, socket, head }: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Buffer },
	{
		route,
		kind,
		verb,
		query,
	}: { readonly route: ResourceRoute; readonly kind: Kind; readonly verb: string; readonly query: URLSearchParams },
	caller: Caller,
	begun: () => void,
): Promise<void> {
	const response = socketAnswer(request, socket, head, verb === 'watch');
	try {
		await whileOpen(response, closing, async (signal) => {
			const exchange = { request, response, query, caller, signal, begun };
			if (verb === 'watch') await serveWatch(serving, exchange, kind, route);
			else {
				if (!route.name || !subresourceOf(kind, 'log')) throw notServed();
				await serveLog(streaming, exchange, kind, route, caller);
			}
			if (!response.closed) await once(response, 'close');
		});
	} catch (cause) {
		if (!response.headersSent) throw cause;
		response.destroy();
	}
}

const isReadOverSocket = (route: Route, verb: string) =>
	verb === 'watch' || (route.type === 'resource' && route.subresource === 'log' && verb === 'get');
