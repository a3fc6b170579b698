/**
 * Deletes what has lost its owners, and lets owners go that wait for their dependents. Works over every kind: dependents
 * are found by the index `owner`, owners by their key; nothing is scanned.
 */
import type { Cache, Client } from '../../client/index.ts';
import {
	apiVersionOf,
	type Key,
	type Kind,
	type KubeObject,
	keyOf,
	type OwnerReference,
	parseApiVersion,
	type Registry,
	storageOf,
} from '../../kinds/index.ts';
import { type Change, type Context, type Controller, controller } from '../runtime/controller.ts';
import { unlessGone } from '../runtime/refusal.ts';
import { isFleeting } from '../runtime/sources.ts';
import { blocks, concerns, FOREGROUND, judge, ORPHAN, type OwnerState, sameOwners, waitsFor } from './garbage.ts';

/** How many owners that were found absent are remembered, so that each is asked for once and not once a dependent. */
const MOST_ABSENT = 1000;
/** When to look again at an object whose owner is of a kind that the server does not have: it may get it. */
const LOOK_AGAIN_MS = 5 * 60_000;

/** An object of any kind, and the kind. */
interface Item {
	readonly kind: Kind;
	readonly object: KubeObject;
}

export function garbageCollector(): Controller {
	const absent = new Set<string>();
	const isAbsent = (uid: string) => absent.has(uid);
	const rememberAbsent = (uid: string) => {
		absent.add(uid);
		for (const oldest of absent) {
			if (absent.size <= MOST_ABSENT) break;
			absent.delete(oldest);
		}
	};

	/** The state of an owner: by the cache, or, where that does not have it, by the API. */
	const stateOf = async (item: Item, owner: OwnerReference, context: Context): Promise<OwnerState> => {
		if (isAbsent(owner.uid)) return 'absent';
		const place = placeOf(item, owner, context.client.registry);
		if (place === 'nowhere') return 'unknown';
		if (place === 'invisible') {
			const { kind, name } = owner;
			const message = `ownerRef [${kind}/${name}, uid: ${owner.uid}] is namespaced, but the object has no namespace`;
			context.events.event(item.object, 'Warning', 'OwnerRefInvalidNamespace', message);
			return 'unknown';
		}
		const cached = context.cache.informer(place.kind).get(keyOf({ metadata: place }));
		const found = cached?.metadata.uid === owner.uid ? cached : await read(place, context);
		if (found?.metadata.uid === owner.uid) return waitsFor(found, FOREGROUND) ? 'foreground' : 'present';
		rememberAbsent(owner.uid);
		return 'absent';
	};

	return controller({
		name: 'garbage-collector',
		workers: 8,
		everything: affected,
		async reconcile(key, context) {
			const item = find(key, context);
			if (!item) return;
			if (waitsFor(item.object, ORPHAN)) return orphan(item, context);
			if (waitsFor(item.object, FOREGROUND)) return release(item, context);
			const states = new Map<string, OwnerState>();
			for (const owner of item.object.metadata.ownerReferences ?? []) {
				states.set(owner.uid, await stateOf(item, owner, context));
			}
			await collect(item, states, context);
			return [...states.values()].includes('unknown') ? { after: LOOK_AGAIN_MS } : undefined;
		},
	});
}

/** The objects to look at after a change: itself; its dependents when it has gone or waits for them; owners that waited for it. */
function* affected({ kind, object, old }: Change, cache: Cache, registry: Registry): Iterable<Key> {
	if (object && concerns(object, old)) yield itemKey({ kind, object });
	const uid = (object ?? old)?.metadata.uid;
	if (uid && (!object || (waitsFor(object, FOREGROUND) && !waitsFor(old, FOREGROUND)))) {
		for (const dependent of dependents(uid, cache, registry)) yield itemKey(dependent);
	}
	if (!old || (object && sameOwners(object.metadata.ownerReferences, old.metadata.ownerReferences))) return;
	for (const owner of old.metadata.ownerReferences ?? []) {
		const place = placeOf({ kind, object: old }, owner, registry);
		if (typeof place === 'string') continue;
		const waiting = cache.informer(place.kind).get(keyOf({ metadata: place }));
		if (waiting && waitsFor(waiting, FOREGROUND)) yield itemKey({ kind: place.kind, object: waiting });
	}
}

/** Every object that names the owner. */
function* dependents(owner: string, cache: Cache, registry: Registry): Iterable<Item> {
	for (const kind of registry.stored()) {
		if (isFleeting(kind)) continue;
		for (const object of cache.informer(kind).by('owner', owner)) yield { kind, object };
	}
}

/** An owner that is being deleted in the foreground goes when nothing blocks it any more. */
async function release(item: Item, { client, cache }: Context): Promise<undefined> {
	const uid = item.object.metadata.uid ?? '';
	for (const { object } of dependents(uid, cache, client.registry)) if (blocks(object, uid)) return;
	await withoutFinalizer(item, FOREGROUND, client);
}

/** An owner that shall leave its dependents behind goes when none of them names it any more. */
async function orphan(item: Item, { client, cache }: Context): Promise<undefined> {
	const uid = item.object.metadata.uid ?? '';
	for (const dependent of [...dependents(uid, cache, client.registry)]) await disown(dependent, [uid], client);
	await withoutFinalizer(item, ORPHAN, client);
}

/** Does what the states of an object's owners ask for. */
async function collect(item: Item, states: ReadonlyMap<string, OwnerState>, { client, cache, log }: Context) {
	const { kind, object } = item;
	const { uid = '', resourceVersion } = object.metadata;
	const own = [...dependents(uid, cache, client.registry)];
	const verdict = judge(object, states, own.length > 0);
	if (verdict.do === 'disown') return disown(item, verdict.uids, client);
	if (verdict.do !== 'delete') return;
	// Two that own each other would wait for each other for ever.
	const circular = verdict.policy === 'Foreground' && own.some((dependent) => waitsFor(dependent.object, FOREGROUND));
	const current = circular ? await unblock(item, client) : resourceVersion;
	log.debug({ kind: kind.kind, key: keyOf(object), policy: verdict.policy }, 'deleting an object without owners');
	await unlessGone(
		client.delete(kind, object.metadata, {
			propagationPolicy: verdict.policy,
			preconditions: { uid, resourceVersion: current },
		}),
	);
}

/** Takes references to the owners away. */
async function disown({ kind, object }: Item, uids: readonly string[], client: Client): Promise<void> {
	const { ownerReferences = [], resourceVersion } = object.metadata;
	const left = ownerReferences.filter(({ uid }) => !uids.includes(uid));
	await patchMeta({ kind, object }, { resourceVersion, ownerReferences: left.length > 0 ? left : null }, client);
}

/** The object no longer keeps its owners from going. Returns its new resourceVersion. */
async function unblock(item: Item, client: Client): Promise<string | undefined> {
	const { ownerReferences = [], resourceVersion } = item.object.metadata;
	const open = ownerReferences.map((owner) => ({ ...owner, blockOwnerDeletion: false }));
	return (await patchMeta(item, { resourceVersion, ownerReferences: open }, client))?.metadata.resourceVersion;
}

async function withoutFinalizer(item: Item, finalizer: string, client: Client): Promise<void> {
	const { finalizers = [], resourceVersion } = item.object.metadata;
	await patchMeta(item, { resourceVersion, finalizers: finalizers.filter((each) => each !== finalizer) }, client);
}

/** Merges into the metadata of the object, if it is still at the resourceVersion given. */
function patchMeta({ kind, object }: Item, metadata: object, client: Client): Promise<KubeObject | undefined> {
	return unlessGone(client.patch(kind, object.metadata, { type: 'merge', body: { metadata } }));
}

/** Where an owner is: `nowhere` for a kind that the server does not have, `invisible` from a dependent without its namespace. */
function placeOf({ kind, object }: Item, owner: OwnerReference, registry: Registry): Place | 'nowhere' | 'invisible' {
	const named = registry.of(owner.apiVersion, owner.kind) ?? ofAnyVersion(owner, registry);
	if (!named) return 'nowhere';
	const found = storageOf(named);
	if (!found.namespaced) return { kind: found, name: owner.name };
	if (!kind.namespaced) return 'invisible';
	return { kind: found, name: owner.name, namespace: object.metadata.namespace };
}

interface Place {
	readonly kind: Kind;
	readonly name: string;
	readonly namespace?: string;
}

/** An owner may be named by a version that the server no longer serves. */
function ofAnyVersion(owner: OwnerReference, registry: Registry): Kind | undefined {
	const { group } = parseApiVersion(owner.apiVersion);
	for (const kind of registry.stored()) if (kind.group === group && kind.kind === owner.kind) return kind;
	return undefined;
}

const read = (place: Place, { client }: Context) => unlessGone(client.get(place.kind, place));

/** `apps/v1 Deployment default/web`: keys of this controller name the kind as well. */
const itemKey = ({ kind, object }: Item): Key => `${apiVersionOf(kind)} ${kind.kind} ${keyOf(object)}`;

function find(key: Key, { cache, client }: Context): Item | undefined {
	const [apiVersion = '', name = '', object = ''] = key.split(' ');
	const kind = client.registry.of(apiVersion, name);
	const held = kind && cache.informer(kind).get(object);
	return held && { kind, object: held };
}
