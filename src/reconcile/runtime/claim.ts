/**
 * Which objects a controller owns, by its selector and by their controller reference.
 * Source: Kubernetes design proposal "controller-ref", and the documentation of ReplicaSet ("Non-template Pod acquisitions").
 */
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import type { Client } from '../../client/client.ts';
import { ApiError, apiVersionOf, type Kind, type KubeObject, type OwnerReference } from '../../kinds/index.ts';
import { selects } from './label-selector.ts';

export interface Claim<T extends KubeObject> {
	/** Owned already, and selected. */
	readonly owned: readonly T[];
	/** Selected and without a controller: to be owned. */
	readonly adopt: readonly T[];
	/** Owned and selected no more: to be let go. */
	readonly release: readonly T[];
}

/** Sorts the objects of the owner's namespace into those it has, should have and should let go; the others it leaves out. */
export function claim<T extends KubeObject>(
	owner: KubeObject,
	selector: LabelSelector,
	objects: Iterable<T>,
): Claim<T> {
	const owned: T[] = [];
	const adopt: T[] = [];
	const release: T[] = [];
	const leaving = owner.metadata.deletionTimestamp !== undefined;
	for (const object of objects) {
		const controller = controllerOf(object);
		const selected = selects(selector, object.metadata.labels);
		if (controller?.uid === owner.metadata.uid) {
			if (selected) owned.push(object);
			else if (!leaving) release.push(object);
		} else if (!controller && selected && !leaving && !object.metadata.deletionTimestamp) adopt.push(object);
	}
	return { owned, adopt, release };
}

/** The reference to the one owner that manages the object. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
	return object.metadata.ownerReferences?.find((reference) => reference.controller);
}

/** The reference by which `owner` controls an object. */
export function controllerReference(kind: Kind, owner: KubeObject): OwnerReference {
	return {
		apiVersion: apiVersionOf(kind),
		kind: kind.kind,
		name: owner.metadata.name,
		uid: owner.metadata.uid ?? '',
		controller: true,
		blockOwnerDeletion: true,
	};
}

/**
 * Makes `owner` the controller of `object`, after asking the API itself whether the owner still lives: a cache that lags
 * behind a delete must not tie new objects to it. The update carries the object's resourceVersion, so a race is a Conflict.
 */
export async function adopt<O extends KubeObject, T extends KubeObject>(
	client: Client,
	ownerKind: Kind<O>,
	owner: O,
	kind: Kind<T>,
	object: T,
): Promise<T> {
	const fresh = await client.get(ownerKind, owner.metadata);
	if (fresh.metadata.uid !== owner.metadata.uid || fresh.metadata.deletionTimestamp)
		throw new Error(`${ownerKind.kind} ${owner.metadata.name} is being deleted or was replaced; it adopts nothing`);
	const references = [...(object.metadata.ownerReferences ?? []), controllerReference(ownerKind, owner)];
	return client.update(kind, { ...object, metadata: { ...object.metadata, ownerReferences: references } });
}

/** Lets an object go: takes the owner's reference out. An object that is gone needs nothing. */
export async function release<T extends KubeObject>(client: Client, owner: KubeObject, kind: Kind<T>, object: T) {
	const ownerReferences = object.metadata.ownerReferences?.filter(({ uid }) => uid !== owner.metadata.uid);
	try {
		await client.update(kind, { ...object, metadata: { ...object.metadata, ownerReferences } });
	} catch (error) {
		if (!(error instanceof ApiError && error.code === 404)) throw error;
	}
}
