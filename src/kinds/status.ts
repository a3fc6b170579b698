/**
 * Errors of the API are Kubernetes Status objects. Source: Kubernetes API conventions, "Response Status Kind", and the
 * messages of apimachinery/pkg/api/errors and util/validation/field, whose wording clients and their tests rely on.
 */

export type Reason =
	| 'Unauthorized'
	| 'Forbidden'
	| 'NotFound'
	| 'AlreadyExists'
	| 'Conflict'
	| 'Gone'
	| 'Invalid'
	| 'Timeout'
	| 'TooManyRequests'
	| 'BadRequest'
	| 'MethodNotAllowed'
	| 'NotAcceptable'
	| 'RequestEntityTooLarge'
	| 'UnsupportedMediaType'
	| 'InternalError'
	| 'Expired'
	| 'ServiceUnavailable'
	| 'NotImplemented'
	| '';

export interface StatusCause {
	readonly reason?: string;
	readonly message?: string;
	readonly field?: string;
}

/** The Status object, as it goes over the wire. */
export interface Status {
	readonly kind: 'Status';
	readonly apiVersion: 'v1';
	readonly metadata: Record<string, string>;
	readonly status: 'Success' | 'Failure';
	readonly message?: string;
	readonly reason?: Reason;
	readonly details?: {
		readonly name?: string;
		readonly group?: string;
		readonly kind?: string;
		readonly uid?: string;
		readonly causes?: readonly StatusCause[];
		readonly retryAfterSeconds?: number;
	};
	readonly code: number;
}

/** An error that the API answers with. `status.code` is the HTTP status. */
export class ApiError extends Error {
	override readonly name = 'ApiError';
	readonly status: Status;
	constructor(code: number, reason: Reason, message: string, details?: Status['details']) {
		super(message);
		this.status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details, code };
	}
	get code(): number {
		return this.status.code;
	}
	get reason(): Reason {
		return this.status.reason ?? '';
	}
}

/** 404 for a path, a verb's subresource or a kind that is not there. With details, if empty ones: kubectl debug looks into them. */
export const notServed = () => new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});

export const methodNotAllowed = () =>
	new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');

/** The plural and group of what an error speaks of. */
export interface Resource {
	readonly group: string;
	readonly plural: string;
}

const qualified = (resource: Resource) => (resource.group ? `${resource.plural}.${resource.group}` : resource.plural);
const details = (resource: Resource, name: string) => ({
	name,
	group: resource.group || undefined,
	kind: resource.plural,
});

export const notFound = (resource: Resource, name: string) =>
	new ApiError(404, 'NotFound', `${qualified(resource)} "${name}" not found`, details(resource, name));

export const alreadyExists = (resource: Resource, name: string) =>
	new ApiError(409, 'AlreadyExists', `${qualified(resource)} "${name}" already exists`, details(resource, name));

export const conflict = (resource: Resource, name: string, why: string, causes?: readonly StatusCause[]) =>
	new ApiError(409, 'Conflict', `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`, {
		...details(resource, name),
		causes,
	});

export const forbidden = (resource: Resource, name: string, why: string) =>
	new ApiError(
		403,
		'Forbidden',
		`${qualified(resource)}${name ? ` "${name}"` : ''} is forbidden: ${why}`,
		details(resource, name),
	);

export const badRequest = (why: string) => new ApiError(400, 'BadRequest', why);

/** 410: the resourceVersion of a list or watch is older than the history kept. The client lists anew. */
export const expired = (why: string) => new ApiError(410, 'Expired', why);

export const unauthorized = () => new ApiError(401, 'Unauthorized', 'Unauthorized');

export const tooManyRequests = (why: string, retryAfterSeconds: number, causes?: readonly StatusCause[]) =>
	new ApiError(429, 'TooManyRequests', why, { retryAfterSeconds, causes });

export const serviceUnavailable = (why: string) => new ApiError(503, 'ServiceUnavailable', why);

/** One broken rule of one field, in the words of Kubernetes. */
export interface FieldError {
	readonly type:
		| 'FieldValueRequired'
		| 'FieldValueInvalid'
		| 'FieldValueNotSupported'
		| 'FieldValueForbidden'
		| 'FieldValueDuplicate'
		| 'FieldValueTooLong'
		| 'FieldValueTooMany'
		| 'FieldValueTypeInvalid'
		| 'FieldValueNotFound';
	/** `spec.template.spec.containers[0].image`. */
	readonly field: string;
	/** The whole sentence after the field: `Invalid value: "a b": must be ...`. */
	readonly detail: string;
}

/** 422 with a cause for each error. `kind` is the CamelCase kind. */
export function invalid(group: string, kind: string, name: string, errors: readonly FieldError[]): ApiError {
	const lines = errors.map((error) => `${error.field}: ${error.detail}`);
	const list = lines.length === 1 ? lines[0] : `[${lines.join(', ')}]`;
	return new ApiError(422, 'Invalid', `${kind}${group ? `.${group}` : ''} "${name}" is invalid: ${list}`, {
		name,
		group: group || undefined,
		kind,
		causes: errors.map((error) => ({ reason: error.type, message: error.detail, field: error.field })),
	});
}

const quote = (value: unknown) => JSON.stringify(value) ?? 'null';

/** The field errors of Kubernetes, each in its documented wording. */
export const fieldError = {
	required: (field: string, detail = ''): FieldError => ({
		type: 'FieldValueRequired',
		field,
		detail: detail ? `Required value: ${detail}` : 'Required value',
	}),
	invalid: (field: string, value: unknown, detail: string): FieldError => ({
		type: 'FieldValueInvalid',
		field,
		detail: `Invalid value: ${quote(value)}: ${detail}`,
	}),
	notSupported: (field: string, value: unknown, supported: readonly string[]): FieldError => ({
		type: 'FieldValueNotSupported',
		field,
		detail: `Unsupported value: ${quote(value)}: supported values: ${supported.map(quote).join(', ')}`,
	}),
	forbidden: (field: string, detail: string): FieldError => ({
		type: 'FieldValueForbidden',
		field,
		detail: `Forbidden: ${detail}`,
	}),
	duplicate: (field: string, value: unknown): FieldError => ({
		type: 'FieldValueDuplicate',
		field,
		detail: `Duplicate value: ${quote(value)}`,
	}),
	tooLong: (field: string, max: number): FieldError => ({
		type: 'FieldValueTooLong',
		field,
		detail: `Too long: may not be more than ${max} bytes`,
	}),
	tooMany: (field: string, actual: number, max: number): FieldError => ({
		type: 'FieldValueTooMany',
		field,
		detail: `Too many: ${actual}: must have at most ${max} items`,
	}),
	typeInvalid: (field: string, value: unknown, detail: string): FieldError => ({
		type: 'FieldValueTypeInvalid',
		field,
		detail: `Invalid value: ${quote(value)}: ${detail}`,
	}),
	notFound: (field: string, value: unknown): FieldError => ({
		type: 'FieldValueNotFound',
		field,
		detail: `Not found: ${quote(value)}`,
	}),
};
