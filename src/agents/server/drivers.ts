/**
 * Calls of a storage driver's controller service, for the control plane: it reaches the sockets of a node only through the node's
 * agent. What the driver answers is passed on as it is; so is its error.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, badRequest, notFound } from '../../kinds/index.ts';
import { type CsiVolumes, type Drivers, isUnsettled, wordsOf } from '../csi/index.ts';

/** Bytes of a request. */
const MAX_REQUEST = 1 << 20;
/** A node's own calls are its agent's alone, but for that which somebody else knows the time of. */
const SERVICES = ['Identity', 'Controller'] as const;
const EXPAND = 'Node/NodeExpandVolume';

export interface DriverAccess extends Pick<Drivers, 'get'> {
	expand: CsiVolumes['expand'];
}

/** POST /csi/DRIVER/SERVICE/METHOD. */
export async function serveDriverCall(
	request: IncomingMessage,
	response: ServerResponse,
	drivers: DriverAccess,
	[name = '', serviceName = '', method = '']: readonly string[],
	signal: AbortSignal,
): Promise<void> {
	const service = SERVICES.find((each) => each === serviceName);
	const expands = `${serviceName}/${method}` === EXPAND;
	if ((!service && !expands) || !/^[A-Z][A-Za-z]{2,63}$/.test(method))
		throw badRequest('the path must name driver, service and method');
	const body = await readBody(request);
	const driver = drivers.get(name);
	if (!driver) throw notFound({ group: 'storage.k8s.io', plural: 'csidrivers' }, name);
	const gone = new AbortController();
	response.once('close', () => gone.abort());
	const until = AbortSignal.any([signal, gone.signal]);
	const called = service ? driver.call<object>(service, method, body, until) : expand(name, body, drivers);
	const answer = await called.then(
		(ok) => ({ ok }),
		(error: unknown) => ({
			error: { code: codeOf(error), message: wordsOf(error), unsettled: isUnsettled(error) },
		}),
	);
	response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
}

async function expand(driver: string, body: object, drivers: DriverAccess): Promise<object> {
	const { volumeId, capacityRange } = body as { volumeId?: unknown; capacityRange?: unknown };
	if (typeof volumeId !== 'string' || typeof capacityRange !== 'object' || capacityRange === null)
		throw badRequest('the body must have volumeId and capacityRange');
	return drivers.expand(driver, volumeId, capacityRange);
}

const codeOf = (error: unknown) => (error as { code?: string }).code ?? 'UNKNOWN';

async function readBody(request: IncomingMessage): Promise<object> {
	let text = '';
	for await (const chunk of request.setEncoding('utf8')) {
		text += chunk;
		if (text.length > MAX_REQUEST)
			throw new ApiError(413, 'RequestEntityTooLarge', `a call has at most ${MAX_REQUEST} bytes`);
	}
	try {
		const body = JSON.parse(text) as unknown;
		if (typeof body === 'object' && body !== null) return body;
	} catch {
		// Said below.
	}
	throw badRequest('the body must be an object of JSON');
}
