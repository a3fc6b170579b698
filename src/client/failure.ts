/** What an answer or a connection that failed is as an error: the API's own Status, or what is on the way has to say. */
import { STATUS_CODES } from 'node:http';
import { ApiError, type Reason, type Status, serviceUnavailable } from '../kinds/index.ts';
import type { KubeConfig } from './kubeconfig.ts';

/** The ApiError for a connection that failed. */
export function unreachable(error: unknown, config: KubeConfig): ApiError {
	const why =
		error instanceof Error ? error.message || ('code' in error ? String(error.code) : error.name) : String(error);
	return Object.assign(serviceUnavailable(`the API server at ${config.server} cannot be reached: ${why}`), {
		cause: error,
	});
}

const reasons: Readonly<Record<number, Reason>> = {
	400: 'BadRequest',
	401: 'Unauthorized',
	403: 'Forbidden',
	404: 'NotFound',
	405: 'MethodNotAllowed',
	406: 'NotAcceptable',
	409: 'Conflict',
	410: 'Gone',
	413: 'RequestEntityTooLarge',
	415: 'UnsupportedMediaType',
	422: 'Invalid',
	429: 'TooManyRequests',
	500: 'InternalError',
	501: 'NotImplemented',
	503: 'ServiceUnavailable',
	504: 'Timeout',
};

/** The error of a body that is a Status, or that is whatever a proxy on the way has to say. */
export function errorOf(code: number, body: string): ApiError {
	const status = statusOf(body);
	if (status) return fromStatus(status, code);
	const said = body.trim().slice(0, 500);
	return new ApiError(
		code,
		reasons[code] ?? '',
		said || `the server answered ${code} ${STATUS_CODES[code] ?? ''}`.trim(),
	);
}

/** A Status that came over the wire, as the error that it is. */
export function fromStatus(status: Status, code = 500): ApiError {
	const at = status.code ?? code;
	return new ApiError(
		at,
		status.reason ?? reasons[at] ?? '',
		status.message ?? `the server answered ${at}`,
		status.details,
	);
}

function statusOf(body: string): Status | undefined {
	try {
		const value: unknown = JSON.parse(body);
		return isStatus(value) ? value : undefined;
	} catch {
		return undefined;
	}
}

export const isStatus = (value: unknown): value is Status =>
	typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status';
