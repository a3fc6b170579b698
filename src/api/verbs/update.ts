/** update, and the rules that every change of an object follows, however it came about (PUT, patch, apply, scale). */

import { deepEqual, equalMembers } from '../../kinds/equal.ts';
import { type Kind, storageOf } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject, ManagedFieldsEntry, Meta } from '../../kinds/object.ts';
import { ApiError, conflict, type FieldError, invalid, notFound } from '../../kinds/status.ts';
import type { Caller, Target, WriteOptions, Written } from '../api.ts';
import { type Attributes, forbiddenBy } from '../auth/authorizer.ts';
import { copy, isObject, share } from '../json.ts';
import { limits } from '../limits.ts';
import { trackUpdate } from '../patch/index.ts';
import { resourceOf, type StoredObject } from '../storage.ts';
import { type Asked, mayWait, mutate, validate } from './admission.ts';
import { placeOf, unstored } from './commit.ts';
import { type Context, timestamp } from './context.ts';
import { createNamed } from './create.ts';
import { checkName, decode, forget, placeInNamespace } from './decode.ts';
import { type Modified, modify, type Outcome } from './modify.ts';
import { managerOf } from './ownership.ts';
import { untyped, written } from './read.ts';
import { brokenRules } from './rules.ts';
import { checkSizeOwned } from './size.ts';
import { asStored, ownCopy, served, versionsOf } from './versions.ts';

export const modified = 'the object has been modified; please apply your changes to the latest version and try again';

export async function update<T extends KubeObject>(
	context: Context,
	target: Target<T>,
	body: unknown,
	options: WriteOptions,
	caller: Caller,
): Promise<Written<T>> {
	const kind = untyped(target.kind);
	const read = (how: WriteOptions) => {
		const own = decode(context, kind, body, how);
		placeInNamespace(kind, own, target.namespace);
		checkName(own, target.name);
		return own;
	};
	const decoded = read(options);
	// What there is to warn of was said the first time.
	const decodeAgain = () => read({ ...options, warn: undefined });
	const { resourceVersion, uid } = decoded.metadata;
	const overwrites = !resourceVersion || resourceVersion === '0';
	let unused: Dynamic | undefined = decoded;
	/** What the request says, each time as it came: a state that is proposed is changed on its way. */
	const anew = () => {
		const own = unused ?? decodeAgain();
		unused = undefined;
		return own;
	};
	const creates = kind.createOnUpdate && !target.subresource && overwrites && !uid;
	for (let attempt = 0; ; attempt++) {
		try {
			const { stored } = await change(context, target, options, caller, 'UpdateOptions', async () => {
				if (overwrites && !kind.unconditionalUpdate)
					throw invalid(kind.group, kind.kind, target.name, [mustSayWhichState]);
				return { next: anew() };
			});
			return written(served(target.kind, stored), false);
		} catch (cause) {
			if (!creates || attempt >= limits.conflicts || !isReason(cause, 'NotFound')) throw cause;
		}
		try {
			await mayCreate(context, { ...target, kind }, caller);
			const made = await createNamed(context, kind, anew(), options, caller, undefined);
			return written(served(target.kind, made), true);
		} catch (cause) {
			// Another one created it in between: then it is an update.
			if (!isReason(cause, 'AlreadyExists')) throw cause;
		}
	}
}

/**
 * An update or an apply that creates needs the right to create as well. Throws 403.
 * Source: Kubernetes documentation, "Authorization", "Create-on-update".
 */
export async function mayCreate(
	{ authorizer }: Context,
	{ kind, namespace, name }: Pick<Target, 'kind' | 'namespace' | 'name'>,
	caller: Caller,
): Promise<void> {
	const { group, version, plural: resource } = kind;
	const asked: Attributes = { type: 'resource', verb: 'create', group, version, resource, namespace, name };
	const { allowed, reason } = await authorizer.authorize(caller, asked);
	if (!allowed) throw forbiddenBy(caller, asked, reason);
}

const isReason = (cause: unknown, reason: string) => cause instanceof ApiError && cause.reason === reason;

/** In the words of Kubernetes, which prints the version that was not sent as the zero that it reads. */
const mustSayWhichState: FieldError = {
	type: 'FieldValueInvalid',
	field: 'metadata.resourceVersion',
	detail: 'Invalid value: 0x0: must be specified for an update',
};

/** A proposed new state of an object in the version of the request, the request's own copy. */
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
	const storage = storageOf(kind);
	const apart = mayWait(context, { operation: 'UPDATE', kind: storage, subresource: target.subresource });
	return modify(context, placeOf(storage, target), { caller, apart }, async (current) => {
		if (!current) throw notFound(kind, target.name);
		const proposal = await propose(current);
		if (proposal === 'unchanged') return { do: 'keep', stored: current };
		return settle(context, kind, current, proposal, target.subresource, options, caller, optionsKind);
	});
}

/** What becomes of an object for which a new state is proposed: the rules of rest.BeforeUpdate and of the subresources. */
async function settle(
	context: Context,
	kind: Kind,
	current: StoredObject,
	{ next: proposed, applied }: Proposal,
	subresource: Target['subresource'],
	options: WriteOptions,
	caller: Caller,
	optionsKind: string,
): Promise<Outcome> {
	const storage = storageOf(kind);
	// What lies under the key of a kind has its shape.
	const old = current.object as Dynamic;
	const before = { requested: served(kind, current).object as Dynamic, stored: old };
	const { name } = old.metadata;
	checkIdentity(kind, current, proposed.metadata);
	const requested = subresource ? within(kind, before.requested, proposed, subresource) : proposed;
	keepSystemFields(requested.metadata, old.metadata);
	// A part is written as the main resource is: it counts as a change of what is wanted.
	const isMain = !subresource || subresource === 'scale' || kind.subresources.parts?.[subresource] !== undefined;
	if (isMain) kind.defaults(requested);
	const next = asStored(context, kind, requested);
	const complete = () => {
		if (isMain) storage.defaults(next);
	};
	if (next !== requested) complete();
	if (isMain) storage.prepare(next, old);
	const allocator = isMain ? context.allocators.get(resourceOf(storage)) : undefined;
	// An allocator writes into the object.
	if (!allocator) {
		share(next, old, ofMetadata);
		share(next.metadata, old.metadata, ofServer);
	}

	// Ownership is found before admission, so that nobody owns what a plugin fills in; as upstream.
	const { metadata } = next;
	if (applied) metadata.managedFields = [...applied];
	// Without any of its own, a request keeps those that are stored.
	else if (!metadata.managedFields?.length || deepEqual(metadata.managedFields, old.metadata.managedFields))
		metadata.managedFields = old.metadata.managedFields;
	else checkSizeOwned(kind, next);
	let alike = sameContent(old, next);
	// Nothing changed, so nobody comes to own anything.
	const same = !applied && alike && metadata.managedFields === old.metadata.managedFields;
	if (!applied && !same) {
		const { schemas } = context.registry;
		const after = next === requested ? next : ownCopy(kind, next);
		metadata.managedFields = trackUpdate({
			before: before.requested,
			after,
			schema: schemas[kind.schema],
			schemas,
			manager: managerOf(options, caller, optionsKind),
			subresource,
			versions: versionsOf(context.registry, kind),
			now: timestamp(context.now()),
		}).slice();
	}

	const asked: Asked = {
		operation: 'UPDATE',
		kind: storage,
		requested: kind,
		subresource,
		namespace: old.metadata.namespace,
		name,
		object: next,
		old,
		caller,
		dryRun: options.dryRun === true,
		warn: options.warn,
	};
	// A binding was admitted as what it is, before it became a change of its pod.
	const admits = subresource !== 'binding';
	const mutated = admits ? await mutate(context, asked) : 'nothing';
	if (mutated === 'changed') {
		forget(next);
		complete();
	}
	if (mutated !== 'nothing') {
		if (isMain) storage.prepare(next, old);
		alike = sameContent(old, next);
	}
	const warn = () => {
		if (options.warn && isMain) for (const warning of kind.warnings(requested, before.requested)) options.warn(warning);
	};
	if (same && mutated === 'nothing') {
		warn();
		return { do: 'keep', stored: current };
	}

	// Held until the rules are checked; the claim of the commit guards what was given out from here on.
	using allocation = allocator?.assign(next, old);
	// A binding sets what an update may not change: the pod's node.
	const errors = brokenRules(
		context,
		kind,
		requested,
		next,
		subresource === 'binding' ? undefined : before,
		subresource,
	);
	const all = [...errors, ...(allocation?.errors ?? [])];
	if (all.length > 0) throw invalid(kind.group, kind.kind, name, all);
	if (admits) await validate(context, asked);
	warn();

	if (alike && sameOwners(old.metadata, metadata)) return { do: 'keep', stored: current };
	if (options.dryRun) return { do: 'keep', stored: unstored(next, current) };
	return finished(storage, old, next) ? { do: 'remove' } : { do: 'put', object: next };
}

const ofServer: ReadonlySet<string> = new Set(['resourceVersion', 'managedFields']);
const ofMetadata: ReadonlySet<string> = new Set(['metadata']);

/** Whether two say the same, whoever owns it. */
function sameContent(old: Dynamic, next: Dynamic): boolean {
	// First the metadata, since most changes are of it, or small.
	return equalMembers(old.metadata, next.metadata, ofServer) && equalMembers(old, next, ofMetadata);
}

/** Whether the owners are the same, but for the times at which they wrote. */
function sameOwners({ managedFields: old }: Meta, { managedFields: next }: Meta): boolean {
	const timeless = (entries: Meta['managedFields']) => (entries ?? []).map(({ time: _, ...entry }) => entry);
	return old === next || deepEqual(timeless(old), timeless(next));
}

/** Whether an object that is being deleted has lost the last that held it. */
function finished(kind: Kind, old: Dynamic, next: Dynamic): boolean {
	const held = (object: Dynamic) => Boolean(object.metadata.finalizers?.length) || kind.holds(object);
	const { deletionTimestamp, deletionGracePeriodSeconds } = next.metadata;
	return Boolean(deletionTimestamp) && !deletionGracePeriodSeconds && !held(next) && held(old);
}

/** The new state of a write to a subresource: only its part of the proposed object, and the rest as stored. */
function within(kind: Kind, old: Dynamic, proposed: Dynamic, subresource: NonNullable<Target['subresource']>): Dynamic {
	if (subresource === 'status') {
		const next = copy(old);
		if (proposed.status === undefined) delete next.status;
		else next.status = proposed.status;
		next.metadata = proposed.metadata;
		kind.prepareStatus(next, old);
		return next;
	}
	const part = kind.subresources.parts?.[subresource];
	if (part) {
		const next = copy(old);
		part.take(next, proposed);
		next.metadata.managedFields = proposed.metadata.managedFields;
		return next;
	}
	if (subresource !== 'finalize') return proposed;
	const next = copy(old);
	const spec = isObject(proposed.spec) ? proposed.spec : {};
	next.spec = { ...(isObject(next.spec) ? next.spec : {}), finalizers: spec.finalizers };
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
