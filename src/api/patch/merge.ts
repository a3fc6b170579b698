/** JSON Merge Patch, RFC 7396. */
import { type Fields, isFields, memberOf, setMember } from '../../kinds/mergetype.ts';
import type { Dynamic } from '../../kinds/object.ts';
import { badRequest } from '../../kinds/status.ts';

/** Null members of the patch remove, objects merge, everything else replaces. Throws ApiError 400 for a patch that is no object. */
export function applyMergePatch(object: Dynamic, patch: unknown): Dynamic {
	if (!isFields(patch)) throw badRequest('a merge patch must be a JSON object');
	return mergeFields(object, patch) as Dynamic;
}

function mergeFields(target: Fields, patch: Fields): Fields {
	let out: Record<string, unknown> | undefined;
	for (const [key, value] of Object.entries(patch)) {
		const present = memberOf(target, key);
		const wanted = merged(present, value);
		if (wanted === present) continue;
		out ??= { ...target };
		if (wanted === undefined) delete out[key];
		else setMember(out, key, wanted);
	}
	return out ?? target;
}

function merged(present: unknown, value: unknown): unknown {
	if (value === null) return undefined;
	if (!isFields(value)) return value;
	return isFields(present) ? mergeFields(present, value) : withoutMemberNulls(value);
}

// The RFC merges a new object into an empty one: nulls in it go, those in its lists stay.
function withoutMemberNulls(value: Fields): Fields {
	return mergeFields({}, value);
}
