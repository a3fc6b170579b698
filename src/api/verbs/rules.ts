/** The rules that an object must keep to be stored. */
import { type Kind, storageOf } from '../../kinds/kind.ts';
import type { Dynamic } from '../../kinds/object.ts';
import type { FieldError } from '../../kinds/status.ts';
import { validateObject } from '../../kinds/validate.ts';
import type { Context } from './context.ts';
import { isComplete } from './decode.ts';

/** How the object was before an update, in the version of the request and in the stored one. */
export interface Before {
	readonly requested: Dynamic;
	readonly stored: Dynamic;
}

/**
 * The rules that an object breaks: those of the version that the client speaks, and those of the stored one. What the stored
 * object broke already is no reason to refuse a change of something else, so that a rule that has become tighter holds up
 * neither a status nor the removal of a finalizer. Source: Kubernetes documentation, "Validation ratcheting".
 */
export function brokenRules(
	context: Context,
	kind: Kind,
	requested: Dynamic,
	stored: Dynamic,
	before?: Before,
	subresource?: string,
): readonly FieldError[] {
	const storage = storageOf(kind);
	const check = (object: Dynamic, other: Dynamic, old: Before | undefined) => {
		const errors = validateObject(
			storage,
			other,
			old?.stored,
			context.registry.schemas,
			isComplete(other),
			subresource,
		);
		if (storage === kind) return errors;
		const own = validateObject(kind, object, old?.requested, context.registry.schemas);
		const said = new Set(own.map(textOf));
		return [...own, ...errors.filter((error) => !said.has(textOf(error)))];
	};
	const errors = check(requested, stored, before);
	if (errors.length === 0 || !before) return errors;
	const known = new Set(check(before.requested, before.stored, before).map(textOf));
	return errors.filter((error) => !known.has(textOf(error)));
}

const textOf = ({ type, field, detail }: FieldError) => `${type} ${field} ${detail}`;
