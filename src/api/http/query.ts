/** The query parameters of a request as options. Throws 400 for values that are none, 422 for those that break a rule. */
import { badRequest, fieldError } from '../../kinds/status.ts';
import type { DeleteOptions, ListOptions, WriteOptions } from '../api.ts';
import { isObject } from '../json.ts';
import { invalidOptions, readDeleteOptions, readDryRun } from '../verbs/options.ts';

/** The options of a list, as far as the URL has them. */
export function listOptions(query: URLSearchParams): ListOptions {
	const match = query.get('resourceVersionMatch') || undefined;
	if (query.has('sendInitialEvents'))
		throw invalidOptions(
			'ListOptions',
			fieldError.forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'),
		);
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
	const refuse = (why: string) => invalidOptions('ListOptions', fieldError.forbidden('resourceVersionMatch', why));
	if (sendInitialEvents !== undefined && match !== 'NotOlderThan')
		throw refuse('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
	if (sendInitialEvents === undefined && match)
		throw refuse('resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided');
	return {
		labelSelector: query.get('labelSelector') || undefined,
		fieldSelector: query.get('fieldSelector') || undefined,
		resourceVersion: query.get('resourceVersion') || undefined,
		allowWatchBookmarks,
		sendInitialEvents,
		timeoutSeconds: integer(query, 'timeoutSeconds'),
	};
}

/** The options of a write. `kind` is CreateOptions, UpdateOptions or PatchOptions. */
export function writeOptions(query: URLSearchParams, kind: string, warn: (message: string) => void): WriteOptions {
	const validation = query.get('fieldValidation') || undefined;
	if (validation !== undefined && !isDirective(validation))
		throw invalidOptions(kind, fieldError.notSupported('fieldValidation', validation, directives));
	return {
		dryRun: readDryRun(kind, query.getAll('dryRun')),
		fieldManager: query.get('fieldManager') || undefined,
		fieldValidation: validation,
		warn,
	};
}

const directives = ['Ignore', 'Warn', 'Strict'] as const;
const isDirective = (value: string): value is (typeof directives)[number] =>
	directives.some((directive) => directive === value);

/** The options of a delete: of the body (DeleteOptions) where it has them, else of the URL. */
export function deleteOptions(query: URLSearchParams, body: unknown): DeleteOptions {
	if (body !== undefined && !isObject(body)) return readDeleteOptions(body);
	return readDeleteOptions({
		gracePeriodSeconds: integer(query, 'gracePeriodSeconds', true),
		propagationPolicy: query.get('propagationPolicy') || undefined,
		orphanDependents: query.has('orphanDependents') ? flag(query, 'orphanDependents') : undefined,
		dryRun: query.getAll('dryRun'),
		...body,
	});
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

/** Durations of Go: `30s`, `1m30s`, `0`. Each text matches in one way only: this is read before it is known who asks. */
const duration = /^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|[µμ]s|ms|s|m|h))+)$/;
/** Longer than any duration that a client would write. */
const longestDuration = 128;

/** Clients say how long they wait, and end the request themselves then. Throws 400 for what is no duration. */
export function checkTimeout(query: URLSearchParams): void {
	const timeout = query.get('timeout');
	if (!timeout || (timeout.length <= longestDuration && duration.test(timeout))) return;
	const shown = timeout.slice(0, longestDuration);
	throw badRequest(`invalid timeout specified in the request URL - time: invalid duration ${JSON.stringify(shown)}`);
}
