/** From the body of a request to an object of the kind: its own copy, without unknown fields, typed as the schema says. */
import { apiVersionOf, type Kind } from '../../kinds/kind.ts';
import type { Dynamic } from '../../kinds/object.ts';
import { badRequest } from '../../kinds/status.ts';
import { decodeError, prune, validateSchema } from '../../kinds/validate.ts';
import type { WriteOptions } from '../api.ts';
import { asText, copy, isObject } from '../json.ts';
import { limits } from '../limits.ts';
import { undeclared } from '../patch/index.ts';
import type { Context } from './context.ts';
import { checkSize } from './size.ts';

/** Throws 400 for what is no object of the kind, and for unknown fields under strict field validation. */
export function decode(context: Context, kind: Kind, body: unknown, options: WriteOptions): Dynamic {
	if (!isObject(body)) throw badRequest(`the body is no ${kind.kind}: it must be a JSON object`);
	const apiVersion = apiVersionOf(kind);
	if (body.kind !== undefined && body.kind !== kind.kind)
		throw badRequest(
			`${asText(body.kind)} in version ${JSON.stringify(body.apiVersion ?? apiVersion)} cannot be handled as a ${kind.kind}: ` +
				`the kind in the data (${asText(body.kind)}) does not match the expected kind (${kind.kind})`,
		);
	if (body.apiVersion !== undefined && body.apiVersion !== apiVersion)
		throw badRequest(
			`the API version in the data (${asText(body.apiVersion)}) does not match the expected API version (${apiVersion})`,
		);
	const object: Record<string, unknown> = copy(body);
	object.apiVersion = apiVersion;
	object.kind = kind.kind;
	object.metadata ??= {};
	return checked(context, kind, object, options);
}

/** Objects of requests that lacked nothing when they were checked, and to which only the server has added since. */
const complete = new WeakSet<object>();

export const isComplete = (object: object): boolean => complete.has(object);

/** Somebody else may have changed the object: it is to be looked at again. */
export function forget(object: object): void {
	complete.delete(object);
}

/**
 * Checks and prunes an object that is the request's own, in place. An applied configuration may not have unknown fields at
 * all, since nobody could own them; only `Ignore` drops them there. Throws 400, and 413 for what is too large to be stored.
 */
export function checked(
	context: Context,
	kind: Kind,
	object: Record<string, unknown>,
	options: WriteOptions,
	applied = false,
): Dynamic {
	const { schemas } = context.registry;
	const schema = schemas[kind.schema];
	if (!schema) throw new Error(`the kind ${kind.kind} names the schema ${kind.schema}, which does not exist`);
	const { unknown, mistyped, errors } = validateSchema(object, schema, schemas);
	if (mistyped.length > 0) throw decodeError(kind, object, mistyped);
	// What is applied is merged into something else.
	if (errors.length === 0 && !applied) complete.add(object);
	if (unknown.length > 0 && options.fieldValidation !== 'Ignore') {
		if (applied)
			throw undeclared(
				asObject(object),
				unknown.slice(0, limits.strictErrors).map(({ path }) => path),
				schema,
				schemas,
			);
		const messages = unknown.slice(0, limits.strictErrors).map(({ message }) => message);
		if (options.fieldValidation === 'Strict')
			throw badRequest(
				`${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: strict decoding error: ${messages.join(', ')}`,
			);
		for (const message of messages) options.warn?.(message);
	}
	prune(object, schema, schemas);
	const pruned = asObject(object);
	checkSize(kind, pruned);
	return pruned;
}

/** The edge where data becomes an object, after the schema check has said that it is one. */
function asObject(object: Record<string, unknown>): Dynamic {
	if (!isObject(object.metadata)) object.metadata = {};
	return object as Dynamic;
}

/** Puts the namespace of the request into the object. Throws 400 where the two disagree. */
export function placeInNamespace(kind: Kind, object: Dynamic, namespace: string | undefined): void {
	const { metadata } = object;
	if (!kind.namespaced) {
		if (metadata.namespace)
			throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
		delete metadata.namespace;
		return;
	}
	if (namespace === undefined) throw badRequest('an empty namespace may not be set during creation');
	if (metadata.namespace && metadata.namespace !== namespace)
		throw badRequest(`the namespace of the provided object does not match the namespace sent on the request`);
	metadata.namespace = namespace;
}

/** Throws 400 where the object's name is not that of the URL. */
export function checkName(object: Dynamic, name: string): void {
	const given = object.metadata.name;
	if (!given) object.metadata.name = name;
	else if (given !== name)
		throw badRequest(`the name of the object (${given}) does not match the name on the URL (${name})`);
}
