/** Everything beside the resources: discovery, OpenAPI, version, health and metrics. */
import { pipeline } from 'node:stream/promises';
import type { Registry } from '../../kinds/registry.ts';
import { methodNotAllowed, notServed } from '../../kinds/status.ts';
import { TEXT_FORMAT } from '../../metrics.ts';
import { aggregatedDocument, coreVersions, group, groupList, resourceList, serverVersion } from '../discovery.ts';
import { type Document, openApiV2, openApiV3 } from '../openapi/index.ts';
import { openApiV2Accepted, openApiV2Protobuf, openApiV2Type } from '../protobuf/openapi-v2.ts';
import type { Request, Response } from './exchange.ts';
import { type Checks, healthOf, serveHealth } from './health.ts';
import type { Metrics } from './metrics.ts';
import { negotiate } from './negotiate.ts';
import { send, sendJson } from './respond.ts';

export interface Paths {
	readonly registry: Registry;
	readonly metrics: Metrics;
	/** What there is below /metrics beside that, by the rest of the path: texts of Prometheus, in pieces. */
	readonly texts: ReadonlyMap<string, () => AsyncIterable<string>>;
	/** The named checks of readiness, each with what is wrong; undefined where nothing is. */
	readonly checks: Checks;
}

/** Answers a path that is no resource. Throws 404 and 405. */
export async function servePath(
	paths: Paths,
	request: Request,
	response: Response,
	path: string,
	query: URLSearchParams,
): Promise<void> {
	if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed();
	const trimmed = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
	const health = healthOf(trimmed);
	if (health) return serveHealth(health, paths.checks, request, response, query);
	switch (trimmed) {
		case '/version':
			return sendJson(request, response, 200, serverVersion);
		case '/metrics':
			return send(request, response, 200, TEXT_FORMAT, Buffer.from(paths.metrics.text()));
		case '/openapi/v2': {
			const { accept } = request.headers;
			if (accept?.includes(openApiV2Accepted))
				return serveDocument(request, response, openApiV2Protobuf(paths.registry), query, openApiV2Type);
			negotiate(accept, 'other');
			return serveDocument(request, response, openApiV2(paths.registry), query);
		}
		case '/openapi/v3':
			return serveDocument(request, response, openApiV3(paths.registry).index, query);
		case '/':
			return sendJson(request, response, 200, { paths: indexOf(paths.registry) });
	}
	const text = trimmed.startsWith('/metrics/') && paths.texts.get(trimmed.slice('/metrics/'.length));
	if (text) {
		response.setHeader('Content-Type', TEXT_FORMAT);
		return pipeline(text(), response);
	}
	if (trimmed.startsWith('/openapi/v3/')) {
		const document = openApiV3(paths.registry).document(trimmed.slice('/openapi/v3/'.length));
		if (!document) throw notServed();
		return serveDocument(request, response, document, query);
	}
	return serveDiscovery(paths, request, response, trimmed, query);
}

function indexOf(registry: Registry): string[] {
	const groups = groupList(registry).groups.flatMap(({ name, versions }) => [
		`/apis/${name}`,
		...versions.map(({ groupVersion }) => `/apis/${groupVersion}`),
	]);
	return [
		'/api',
		'/api/v1',
		'/apis',
		...groups,
		'/healthz',
		'/livez',
		'/metrics',
		'/openapi/v2',
		'/openapi/v3',
		'/readyz',
		'/version',
	];
}

async function serveDiscovery(
	paths: Paths,
	request: Request,
	response: Response,
	path: string,
	query: URLSearchParams,
): Promise<void> {
	const { registry } = paths;
	const form = negotiate(request.headers.accept, 'discovery');
	response.setHeader('Vary', 'Accept');
	if (path === '/api' || path === '/apis') {
		if (form.as === 'APIGroupDiscoveryList') {
			const version = form.version === 'v2beta1' ? 'v2beta1' : 'v2';
			const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
			const document = aggregatedDocument(registry, path === '/api' ? 'core' : 'named', version);
			return serveDocument(request, response, document, query, type);
		}
		return sendJson(
			request,
			response,
			200,
			path === '/api' ? coreVersions(registry, addressOf(request)) : groupList(registry),
			form,
		);
	}
	const [, root, first = '', second] = path.split('/');
	const found =
		root === 'api' && second === undefined
			? resourceList(registry, '', first)
			: root === 'apis' && second === undefined
				? group(registry, first)
				: root === 'apis' && path.split('/').length === 4
					? resourceList(registry, first, second ?? '')
					: undefined;
	if (!found) throw notServed();
	return sendJson(request, response, 200, found, form);
}

/** Host and port under which the client has reached the server: it may listen on every address. */
function addressOf({ socket }: Request): string {
	const address = (socket.localAddress ?? '').replace(/^::ffff:/, '');
	return `${address.includes(':') ? `[${address}]` : address}:${socket.localPort}`;
}

/** A document that never changes under its hash: a client that has it gets 304. */
async function serveDocument(
	request: Request,
	response: Response,
	{ bytes, hash }: Document,
	query: URLSearchParams,
	type = 'application/json',
): Promise<void> {
	const etag = `"${hash}"`;
	response.setHeader('ETag', etag);
	response.setHeader('Vary', 'Accept');
	if (query.get('hash') === hash) response.setHeader('Cache-Control', 'public, immutable');
	if (request.headers['if-none-match'] === etag) {
		response.statusCode = 304;
		response.end();
		return;
	}
	return send(request, response, 200, type, bytes);
}
