/**
 * Drift is not a text diff: it is the patch that the next apply would send, computed by the same server-side apply that
 * would send it (as a dry run). Fields that others own and the manifest does not mention are no drift.
 */
import type { Client } from '../client/index.ts';
import { ownersOf, type PathElement } from '../kinds/fieldset.ts';
import { ApiError, type Dynamic, type Kind, type ManagedFieldsEntry } from '../kinds/index.ts';
import { differences, type FieldDifference } from './fields.ts';
import { heldBy, ownershipOf } from './ownership.ts';

/** Who set a field, as managedFields records it. */
export interface Owner {
	readonly manager: string;
	readonly operation: 'Apply' | 'Update';
	/** RFC 3339. */
	readonly time?: string;
	readonly subresource?: string;
}

export interface FieldDrift extends FieldDifference {
	/** Who owns the live field; empty where nobody does. */
	readonly owners: readonly Owner[];
}

export type Drift =
	| { readonly state: 'synced' }
	/** Not in the cluster. */
	| { readonly state: 'missing' }
	/** The next apply would change these fields. */
	| { readonly state: 'changed'; readonly fields: readonly FieldDrift[] }
	/**
	 * All values are as they should be, but sync does not own what it applies, or not alone: what leaves the source would stay.
	 * The next apply takes it from these managers.
	 */
	| { readonly state: 'held'; readonly managers: readonly string[] };

const synced: Drift = { state: 'synced' };
const missing: Drift = { state: 'missing' };

/** How often an object that keeps changing is read again; the next change of it is compared in any case. */
const MAX_ATTEMPTS = 3;

/**
 * The drift of one object. `live` is the object as the caller's cache has it, undefined where it has none; `desired` is what
 * sync would apply, with apiVersion, kind, name and namespace; `manager` is the field manager it would apply with.
 * Throws ApiError when the API would refuse the apply.
 */
export async function drift(
	client: Client,
	kind: Kind,
	desired: Dynamic,
	live: Dynamic | undefined,
	manager: string,
): Promise<Drift> {
	if (!live) return missing;
	const { name, namespace } = desired.metadata;
	let current = live;
	try {
		for (let attempt = 1; ; attempt++) {
			const applied = (await client.patch(
				kind,
				{ name, namespace },
				{ type: 'apply', body: desired, force: true },
				{ dryRun: true, fieldManager: manager, fieldValidation: 'Ignore' },
			)) as Dynamic;
			// The API may know a newer object than the caller's cache: what others wrote since is no drift.
			if (applied.metadata.resourceVersion === current.metadata.resourceVersion || attempt === MAX_ATTEMPTS) {
				return between(current, applied, kind, client, manager);
			}
			current = (await client.get(kind, { name, namespace })) as Dynamic;
		}
	} catch (error) {
		if (error instanceof ApiError && error.reason === 'NotFound') return missing;
		throw error;
	}
}

/** The drift between a live object and the outcome of an apply to it by `manager`. */
function between(
	live: Dynamic,
	applied: Dynamic,
	kind: Kind,
	client: Pick<Client, 'registry'>,
	manager: string,
): Drift {
	const schemas = client.registry.schemas;
	const fields = live === applied ? [] : differences(live, applied, schemas[kind.schema], schemas);
	if (fields.length > 0)
		return {
			state: 'changed',
			fields: fields.map((field) => ({ ...field, owners: owners(ownershipOf(live), field.path) })),
		};
	const managers = heldBy(ownershipOf(live), ownershipOf(applied), manager);
	return managers.length > 0 ? { state: 'held', managers } : synced;
}

function owners(managedFields: readonly ManagedFieldsEntry[], path: readonly PathElement[]): Owner[] {
	return ownersOf(managedFields, path).map(({ manager, operation, time, subresource }) => ({
		manager: manager ?? 'unknown',
		operation: operation ?? 'Update',
		time,
		subresource,
	}));
}
