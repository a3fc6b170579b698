/** create: decode, complete, admit, validate, store. */
import { type Kind, storageOf } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import { ApiError, alreadyExists, badRequest, conflict, fieldError, invalid } from '../../kinds/status.ts';
import { Conflict, type Expectation } from '../../store/store.ts';
import type { Caller, Collection, Stored, WriteOptions } from '../api.ts';
import { copy } from '../json.ts';
import { limits } from '../limits.ts';
import { trackUpdate } from '../patch/index.ts';
import { resourceOf, type StoredObject } from '../storage.ts';
import { type Asked, mutate, validate } from './admission.ts';
import { claimedBy, placeOf, put, readStored, unstored } from './commit.ts';
import { type Context, timestamp } from './context.ts';
import { decode, forget, placeInNamespace } from './decode.ts';
import { checkTerm, fenced } from './fence.ts';
import { generateName, newUid } from './names.ts';
import { openNamespace } from './namespaces.ts';
import { managerOf } from './ownership.ts';
import { untyped } from './read.ts';
import { brokenRules } from './rules.ts';
import { asStored, served } from './versions.ts';

export async function create<T extends KubeObject>(
	context: Context,
	collection: Collection<T>,
	body: unknown,
	options: WriteOptions,
	caller: Caller,
): Promise<Stored<T>> {
	const kind = untyped(collection.kind);
	const object = decode(context, kind, body, options);
	placeInNamespace(kind, object, collection.namespace);
	const { metadata } = object;
	if (metadata.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created');
	if (!metadata.name && !metadata.generateName)
		throw invalid(kind.group, kind.kind, '', [
			fieldError.required('metadata.name', 'name or generateName is required'),
		]);

	// A generated name that is taken is drawn again, as KEP-4420 says; a given one is the caller's.
	for (let attempt = 0; ; attempt++) {
		const generated = !metadata.name;
		if (generated) metadata.name = generateName(metadata.generateName ?? '');
		try {
			return served(
				collection.kind,
				await createNamed(context, kind, generated ? copy(object) : object, options, caller, undefined),
			);
		} catch (cause) {
			if (!generated || attempt >= limits.conflicts || !(cause instanceof ApiError) || cause.reason !== 'AlreadyExists')
				throw cause;
			metadata.name = '';
		}
	}
}

/**
 * Creates an object that has its name and is the request's own, in the version `kind`. `applied` are the managed fields where
 * server-side apply creates it; else they are found here. Throws 409 AlreadyExists.
 */
export async function createNamed(
	context: Context,
	kind: Kind,
	object: Dynamic,
	options: WriteOptions,
	caller: Caller,
	applied: KubeObject['metadata']['managedFields'],
): Promise<StoredObject> {
	const { name, namespace } = object.metadata;
	begin(kind, object, context.now());
	const expect: Expectation[] = [];
	if (namespace !== undefined) expect.push(await openNamespace(context, kind, namespace, name));
	kind.defaults(object);
	// Before admission and the kind's own preparation: what these fill in (addresses, finalizers) belongs to nobody.
	const owned = applied ?? ownedByCreator(context, kind, object, options, caller);

	const storage = storageOf(kind);
	const next = asStored(context, kind, object);
	const asked: Asked = {
		operation: 'CREATE',
		kind: storage,
		requested: kind,
		namespace,
		name,
		object: next,
		caller,
		dryRun: options.dryRun === true,
		warn: options.warn,
	};
	const mutated = await mutate(context, asked);
	if (mutated === 'changed') forget(next);
	if (mutated === 'changed' || next !== object) storage.defaults(next);
	storage.prepare(next, undefined);
	next.metadata.managedFields = [...owned];

	const place = placeOf(storage, { namespace, name });
	const allocator = context.allocators.get(resourceOf(storage));
	// An attempt before this one may have filled in what is taken by now.
	const wanted = allocator && copy(next.spec);
	for (let attempt = 0; ; attempt++) {
		if (allocator && attempt > 0) next.spec = copy(wanted);
		using allocation = allocator?.assign(next, undefined);
		try {
			const errors = [...brokenRules(context, kind, object, next), ...(allocation?.errors ?? [])];
			// What is taken may have been freed by a write that the cache has not seen yet.
			if (allocation?.errors.length && attempt === 0) {
				await context.cache.fresh();
				continue;
			}
			if (errors.length > 0) throw invalid(kind.group, kind.kind, name, errors);
			await validate(context, asked);
			if (attempt === 0 && options.warn) for (const warning of kind.warnings(object, undefined)) options.warn(warning);
			if (options.dryRun) {
				if (await readStored(context, place)) throw alreadyExists(kind, name);
				return unstored(next, undefined);
			}
			return await put(context, place, undefined, next, [...expect, ...fenced(caller)]);
		} catch (cause) {
			if (!(cause instanceof Conflict)) throw cause;
			if (cause.key === place.storeKey) throw alreadyExists(kind, name);
			checkTerm(caller, cause);
			if (!allocator) await claimedBy(context, place, cause);
			if (attempt >= limits.conflicts) throw conflict(kind, name, 'other writers came first too often; try again');
			// The namespace changed, or another server took the address: look again.
			await context.cache.fresh();
			expect.length = 0;
			if (namespace !== undefined) expect.push(await openNamespace(context, kind, namespace, name));
		}
	}
}

/** What the server alone says of a new object. */
function begin(kind: Kind, { metadata }: Dynamic, now: number): void {
	metadata.uid = newUid();
	metadata.creationTimestamp = timestamp(now);
	delete metadata.deletionTimestamp;
	delete metadata.deletionGracePeriodSeconds;
	delete metadata.resourceVersion;
	delete metadata.managedFields;
	if (kind.generation) metadata.generation = 1;
	else delete metadata.generation;
}

function ownedByCreator({ registry, now }: Context, kind: Kind, after: Dynamic, options: WriteOptions, caller: Caller) {
	return trackUpdate({
		before: undefined,
		after,
		schema: registry.schemas[kind.schema],
		schemas: registry.schemas,
		manager: managerOf(options, caller, 'CreateOptions'),
		now: timestamp(now()),
	});
}
