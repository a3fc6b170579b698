/** update, and the rules that every change of an object follows, however it came about (PUT, patch, apply, scale). */

import type { Service } from '../../kinds/core/service.ts';
import { deepEqual } from '../../kinds/equal.ts';
import { isBuiltin, type Kind } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject, ManagedFieldsEntry, Meta } from '../../kinds/object.ts';
import { ApiError, conflict, type FieldError, invalid, notFound } from '../../kinds/status.ts';
import { validateObject } from '../../kinds/validate.ts';
import type { Caller, Target, WriteOptions, Written } from '../api.ts';
import { copy, isObject } from '../json.ts';
import { limits } from '../limits.ts';
import { trackUpdate } from '../patch/index.ts';
import type { StoredObject } from '../storage.ts';
import { admitAll } from './admit.ts';
import { placeOf, unstored } from './commit.ts';
import { type Context, timestamp } from './context.ts';
import { createNamed } from './create.ts';
import { checkName, decode, placeInNamespace } from './decode.ts';
import { type Modified, modify, type Outcome } from './modify.ts';
import { managerOf } from './ownership.ts';
import { typed, untyped, written } from './read.ts';

export const modified = 'the object has been modified; please apply your changes to the latest version and try again';

export async function update<T extends KubeObject>(
	context: Context,
	target: Target<T>,
	body: unknown,
	options: WriteOptions,
	caller: Caller,
): Promise<Written<T>> {
	const kind = untyped(target.kind);
	const decoded = decode(context, kind, body, options);
	placeInNamespace(kind, decoded, target.namespace);
	checkName(decoded, target.name);
	const { resourceVersion, uid } = decoded.metadata;
	const overwrites = !resourceVersion || resourceVersion === '0';
	const creates = kind.createOnUpdate && !target.subresource && overwrites && !uid;
	for (let attempt = 0; ; attempt++) {
		try {
			const { stored } = await change(context, target, options, caller, 'UpdateOptions', async () => {
				if (overwrites && !kind.unconditionalUpdate)
					throw invalid(kind.group, kind.kind, target.name, [mustSayWhichState]);
				return { next: copy(decoded) };
			});
			return written(typed<T>(stored), false);
		} catch (cause) {
			if (!creates || attempt >= limits.conflicts || !isReason(cause, 'NotFound')) throw cause;
		}
		try {
			return written(typed<T>(await createNamed(context, kind, copy(decoded), options, caller, undefined)), true);
		} catch (cause) {
			// Another one created it in between: then it is an update.
			if (!isReason(cause, 'AlreadyExists')) throw cause;
		}
	}
}

const isReason = (cause: unknown, reason: string) => cause instanceof ApiError && cause.reason === reason;

/** In the words of Kubernetes, which prints the version that was not sent as the zero that it reads. */
const mustSayWhichState: FieldError = {
	type: 'FieldValueInvalid',
	field: 'metadata.resourceVersion',
	detail: 'Invalid value: 0x0: must be specified for an update',
};

/** A proposed new state of an object, the request's own copy. */
export interface Proposal {
	readonly next: Dynamic;
	/** The managed fields, where server-side apply has found them; else they are found by comparing. */
	readonly applied?: readonly ManagedFieldsEntry[];
}

/** Throws 409 where the metadata of a request speak of another object, or of another state of it. */
export function checkIdentity(kind: Kind, current: StoredObject, { uid, resourceVersion }: Partial<Meta>): void {
	const { name, uid: actual } = current.object.metadata;
	if (resourceVersion && resourceVersion !== '0' && resourceVersion !== String(current.revision))
		throw conflict(kind, name, modified);
	if (uid && uid !== actual)
		throw conflict(kind, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${actual}`);
}

/** Changes an existing object to what `propose` makes of it. Throws 404 where there is none. */
export function change(
	context: Context,
	target: Pick<Target, 'name' | 'namespace' | 'subresource'> & { readonly kind: unknown },
	options: WriteOptions,
	caller: Caller,
	optionsKind: string,
	propose: (current: StoredObject) => Promise<Proposal | 'unchanged'>,
): Promise<Modified> {
	const kind = untyped(target.kind as Kind);
	return modify(context, placeOf(kind, target), async (current) => {
		if (!current) throw notFound(kind, target.name);
		const proposal = await propose(current);
		if (proposal === 'unchanged') return { do: 'keep', stored: current };
		return settle(context, kind, current, proposal, target.subresource, options, caller, optionsKind);
	});
}

/** What becomes of an object for which a new state is proposed: the rules of rest.BeforeUpdate and of the subresources. */
export async function settle(
	context: Context,
	kind: Kind,
	current: StoredObject,
	{ next: proposed, applied }: Proposal,
	subresource: Target['subresource'],
	options: WriteOptions,
	caller: Caller,
	optionsKind: string,
): Promise<Outcome> {
	const { schemas } = context.registry;
	// What lies under the key of a kind has its shape.
	const old = current.object as Dynamic;
	const { name } = old.metadata;
	checkIdentity(kind, current, proposed.metadata);
	const next = subresource ? within(kind, old, proposed, subresource) : proposed;
	const { metadata } = next;
	keepSystemFields(metadata, old.metadata);
	const isMain = !subresource || subresource === 'scale';
	if (isMain) kind.defaults(next);
	const dryRun = options.dryRun === true;
	await admitAll(context, { operation: 'UPDATE', kind, subresource, object: next, old, caller, dryRun });
	if (isMain) kind.prepare(next, old);

	const service = kind.group === '' && kind.plural === 'services' && isMain;
	// The kind says that they are Services.
	const assigned = service
		? context.addresses.assign(next as unknown as Service, old as unknown as Service)
		: undefined;
	try {
		// A binding sets what an update may not change: the pod's node.
		const before = subresource === 'binding' ? undefined : old;
		const errors = [...validateObject(kind, next, before, schemas), ...(assigned?.errors ?? [])];
		if (errors.length > 0) throw invalid(kind.group, kind.kind, name, errors);
	} finally {
		// The claim of the commit guards what was given out from here on.
		if (assigned) context.addresses.release(assigned.took);
	}

	if (options.warn && isMain) for (const warning of kind.warnings(next, old)) options.warn(warning);
	if (applied) metadata.managedFields = [...applied];
	else {
		// Without any of its own, a request keeps those that are stored.
		metadata.managedFields = metadata.managedFields?.length ? metadata.managedFields : old.metadata.managedFields;
		// Nothing changed, so nobody comes to own anything.
		if (deepEqual(old, { ...next, metadata: { ...metadata, resourceVersion: old.metadata.resourceVersion } }))
			return { do: 'keep', stored: current };
		const tracked = trackUpdate({
			before: old,
			after: next,
			schema: schemas[kind.schema] ?? {},
			schemas,
			manager: managerOf(options, caller, optionsKind),
			subresource,
			now: timestamp(context.now()),
		});
		metadata.managedFields = [...tracked];
	}
	if (unchanged(old, next)) return { do: 'keep', stored: current };
	if (options.dryRun) return { do: 'keep', stored: unstored(next, current) };
	return finished(current, next) ?? { do: 'put', object: next };
}

/** The removal of an object that is being deleted and has lost its last finalizer. */
function finished(current: StoredObject, next: KubeObject): Outcome | undefined {
	const { metadata } = next;
	if (!metadata.deletionTimestamp || metadata.finalizers?.length || metadata.deletionGracePeriodSeconds)
		return undefined;
	const { spec } = next as Dynamic;
	// Of namespaces: what the `finalize` subresource takes away.
	if (next.kind === 'Namespace' && isObject(spec) && Array.isArray(spec.finalizers) && spec.finalizers.length > 0)
		return undefined;
	return current.object.metadata.finalizers?.length || next.kind === 'Namespace' ? { do: 'remove' } : undefined;
}

/** The new state of a write to a subresource: only its part of the proposed object, and the rest as stored. */
function within(kind: Kind, old: Dynamic, proposed: Dynamic, subresource: NonNullable<Target['subresource']>): Dynamic {
	const next = copy(old);
	if (subresource === 'status') {
		if (proposed.status === undefined) delete next.status;
		else next.status = proposed.status;
		// As the strategies of Kubernetes' own kinds do; custom resources keep their metadata.
		if (isBuiltin(kind.group)) {
			next.metadata.labels = proposed.metadata.labels;
			next.metadata.annotations = proposed.metadata.annotations;
			next.metadata.finalizers = proposed.metadata.finalizers;
		}
	} else if (subresource === 'finalize') {
		const spec = isObject(proposed.spec) ? proposed.spec : {};
		next.spec = { ...(isObject(next.spec) ? next.spec : {}), finalizers: spec.finalizers };
	} else return proposed;
	return next;
}

/** What no client may change. */
function keepSystemFields(metadata: KubeObject['metadata'], old: KubeObject['metadata']): void {
	metadata.name = old.name;
	metadata.namespace = old.namespace;
	metadata.uid = old.uid;
	metadata.creationTimestamp = old.creationTimestamp;
	metadata.deletionTimestamp = old.deletionTimestamp;
	metadata.deletionGracePeriodSeconds = old.deletionGracePeriodSeconds;
	metadata.generation = old.generation;
	metadata.generateName ??= old.generateName;
	delete metadata.resourceVersion;
}

/** Whether nothing differs but the times of managed fields. */
function unchanged(old: KubeObject, next: KubeObject): boolean {
	const timeless = (object: KubeObject) => ({
		...object,
		metadata: {
			...object.metadata,
			resourceVersion: undefined,
			managedFields: object.metadata.managedFields?.map(({ time: _, ...entry }) => entry),
		},
	});
	return deepEqual(timeless(old), timeless(next));
}
