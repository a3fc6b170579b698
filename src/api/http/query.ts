/** The query parameters of a request as options. Throws 400 for values that are none. */
import { badRequest } from '../../kinds/status.ts';
import type { DeleteOptions, ListOptions, WriteOptions } from '../api.ts';
import { isObject } from '../json.ts';

/** The options of a list, as far as the URL has them. */
export function listOptions(query: URLSearchParams): ListOptions {
	const match = query.get('resourceVersionMatch') || undefined;
	return {
		labelSelector: query.get('labelSelector') || undefined,
		fieldSelector: query.get('fieldSelector') || undefined,
		limit: integer(query, 'limit'),
		continue: query.get('continue') || undefined,
		resourceVersion: query.get('resourceVersion') || undefined,
		// Checked where lists are made, with the other options.
		resourceVersionMatch: match as ListOptions['resourceVersionMatch'],
	};
}

export interface WatchQuery {
	readonly labelSelector?: string;
	readonly fieldSelector?: string;
	readonly resourceVersion?: string;
	readonly allowWatchBookmarks: boolean;
	readonly sendInitialEvents?: boolean;
	readonly timeoutSeconds?: number;
}

export function watchQuery(query: URLSearchParams): WatchQuery {
	const sendInitialEvents = query.has('sendInitialEvents') ? flag(query, 'sendInitialEvents') : undefined;
	const match = query.get('resourceVersionMatch');
	const allowWatchBookmarks = flag(query, 'allowWatchBookmarks');
	if (sendInitialEvents !== undefined && match !== 'NotOlderThan')
		throw badRequest(
			'resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
		);
	if (sendInitialEvents === undefined && match)
		throw badRequest(
			'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
		);
	return {
		labelSelector: query.get('labelSelector') || undefined,
		fieldSelector: query.get('fieldSelector') || undefined,
		resourceVersion: query.get('resourceVersion') || undefined,
		allowWatchBookmarks,
		sendInitialEvents,
		timeoutSeconds: integer(query, 'timeoutSeconds'),
	};
}

export function writeOptions(query: URLSearchParams, warn: (message: string) => void): WriteOptions {
	const validation = query.get('fieldValidation') || undefined;
	if (validation !== undefined && validation !== 'Ignore' && validation !== 'Warn' && validation !== 'Strict')
		throw badRequest(
			`fieldValidation: Unsupported value: ${JSON.stringify(validation)}: supported values: "Ignore", "Warn", "Strict"`,
		);
	return {
		dryRun: dryRun(query.getAll('dryRun')),
		fieldManager: query.get('fieldManager') || undefined,
		fieldValidation: validation,
		warn,
	};
}

/** The options of a delete: of the body (DeleteOptions) where it has them, else of the URL. */
export function deleteOptions(query: URLSearchParams, body: unknown): DeleteOptions {
	if (body !== undefined && !isObject(body)) throw badRequest('the body is no DeleteOptions: it must be a JSON object');
	const options = body ?? {};
	if (options.kind !== undefined && options.kind !== 'DeleteOptions')
		throw badRequest(`the body is a ${String(options.kind)}, where DeleteOptions belong`);
	const grace = options.gracePeriodSeconds ?? integer(query, 'gracePeriodSeconds', true);
	if (grace !== undefined && grace !== null && (typeof grace !== 'number' || !Number.isInteger(grace)))
		throw badRequest('gracePeriodSeconds must be a whole number');
	const orphan =
		options.orphanDependents ?? (query.has('orphanDependents') ? flag(query, 'orphanDependents') : undefined);
	const policy = options.propagationPolicy ?? query.get('propagationPolicy') ?? undefined;
	if (policy !== undefined && policy !== 'Background' && policy !== 'Foreground' && policy !== 'Orphan')
		throw badRequest(
			`propagationPolicy: Unsupported value: ${JSON.stringify(policy)}: supported values: "Foreground", "Background", "Orphan"`,
		);
	const { preconditions } = options;
	return {
		dryRun: dryRun(Array.isArray(options.dryRun) ? options.dryRun.map(String) : query.getAll('dryRun')),
		gracePeriodSeconds: grace ?? undefined,
		propagationPolicy: policy ?? (orphan === true ? 'Orphan' : orphan === false ? 'Background' : undefined),
		preconditions: isObject(preconditions)
			? { uid: text(preconditions.uid), resourceVersion: text(preconditions.resourceVersion) }
			: undefined,
	};
}

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);

function dryRun(values: readonly string[]): boolean {
	const given = values.filter((value) => value !== '');
	const wrong = given.find((value) => value !== 'All');
	if (wrong !== undefined)
		throw badRequest(`dryRun: Unsupported value: ${JSON.stringify(wrong)}: supported values: "All"`);
	return given.length > 0;
}

/** A whole number; undefined where the parameter is absent or empty. */
export function integer(query: URLSearchParams, name: string, negative = false): number | undefined {
	const value = query.get(name);
	if (value === null || value === '') return undefined;
	if (!(negative ? /^-?\d{1,15}$/ : /^\d{1,15}$/).test(value))
		throw badRequest(`${name}: Invalid value: ${JSON.stringify(value)}: must be a whole number`);
	return Number(value);
}

export function flag(query: URLSearchParams, name: string): boolean {
	const value = query.get(name);
	// As Go's ParseBool; a parameter without a value is set.
	return value !== null && !['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value);
}
