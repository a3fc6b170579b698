/** create: decode, complete, admit, validate, store. */

import type { Service } from '../../kinds/core/service.ts';
import type { Kind } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import { ApiError, alreadyExists, badRequest, conflict, fieldError, invalid } from '../../kinds/status.ts';
import { validateObject } from '../../kinds/validate.ts';
import { Conflict, type Expectation } from '../../store/store.ts';
import type { Caller, Collection, Stored, WriteOptions } from '../api.ts';
import { copy } from '../json.ts';
import { limits } from '../limits.ts';
import { trackUpdate } from '../patch/index.ts';
import { admitAll } from './admit.ts';
import { placeOf, put, readStored, unstored } from './commit.ts';
import { type Context, timestamp } from './context.ts';
import { decode, placeInNamespace } from './decode.ts';
import { generateName, newUid } from './names.ts';
import { openNamespace } from './namespaces.ts';
import { managerOf } from './ownership.ts';
import { typed, untyped } from './read.ts';

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
			return typed<T>(await createNamed(context, kind, object, options, caller, undefined));
		} catch (cause) {
			if (!generated || attempt >= limits.conflicts || !(cause instanceof ApiError) || cause.reason !== 'AlreadyExists')
				throw cause;
			metadata.name = '';
		}
	}
}

const isService = (kind: Kind) => kind.group === '' && kind.plural === 'services';

/** Gives a service what it asked for, as `wanted` has it: an attempt before this one may have filled in addresses. */
function assign(context: Context, object: Dynamic, wanted: Dynamic) {
	object.spec = copy(wanted.spec);
	// The kind says that it is a Service.
	return context.addresses.assign(object as unknown as Service, undefined);
}

/**
 * Creates an object that has its name and is the request's own. `applied` are the managed fields where server-side apply
 * creates it; else they are found here. Throws 409 AlreadyExists.
 */
export async function createNamed(
	context: Context,
	kind: Kind,
	object: Dynamic,
	options: WriteOptions,
	caller: Caller,
	applied: KubeObject['metadata']['managedFields'],
): Promise<Stored> {
	const { registry } = context;
	const { metadata } = object;
	const { name, namespace } = metadata;
	const now = context.now();
	metadata.uid = newUid();
	metadata.creationTimestamp = timestamp(now);
	delete metadata.deletionTimestamp;
	delete metadata.deletionGracePeriodSeconds;
	delete metadata.resourceVersion;
	delete metadata.managedFields;
	if (kind.generation) metadata.generation = 1;
	else delete metadata.generation;

	const expect: Expectation[] = [];
	if (namespace !== undefined) expect.push(await openNamespace(context, kind, namespace, name));
	kind.defaults(object);
	const owned =
		applied ??
		// Before admission and the kind's own preparation: what these fill in (addresses, finalizers) belongs to nobody.
		trackUpdate({
			before: undefined,
			after: object,
			schema: registry.schemas[kind.schema],
			schemas: registry.schemas,
			manager: managerOf(options, caller, 'CreateOptions'),
			now: timestamp(now),
		});
	await admitAll(context, { operation: 'CREATE', kind, object, caller, dryRun: options.dryRun === true });
	kind.prepare(object, undefined);

	const place = placeOf(kind, { namespace, name });
	const service = isService(kind) ? copy(object) : undefined;
	for (let attempt = 0; ; attempt++) {
		let assigned = service && assign(context, object, service);
		if (service && assigned?.errors.length) {
			// What is taken may have been freed by a write that the cache has not seen yet.
			context.addresses.release(assigned.took);
			await context.cache.fresh();
			assigned = assign(context, object, service);
		}
		try {
			const errors = [...validateObject(kind, object, undefined, registry.schemas), ...(assigned?.errors ?? [])];
			if (errors.length > 0) throw invalid(kind.group, kind.kind, name, errors);
			if (options.warn) for (const warning of kind.warnings(object, undefined)) options.warn(warning);
			metadata.managedFields = [...owned];
			if (options.dryRun) {
				if (await readStored(context, place)) throw alreadyExists(kind, name);
				return unstored(object, undefined);
			}
			return await put(context, place, undefined, object, expect);
		} catch (cause) {
			if (!(cause instanceof Conflict)) throw cause;
			if (cause.key === place.storeKey) throw alreadyExists(kind, name);
			if (attempt >= limits.conflicts) throw conflict(kind, name, 'other writers came first too often; try again');
			// The namespace changed, or another server took the address: look again.
			await context.cache.fresh();
			expect.length = 0;
			if (namespace !== undefined) expect.push(await openNamespace(context, kind, namespace, name));
		} finally {
			if (assigned) context.addresses.release(assigned.took);
		}
	}
}
