import { equalJson } from '../../../src/api/patch/index.ts';
import type { Dynamic } from '../../../src/kinds/object.ts';

/** Whether two states of an object differ in nothing but the times of their managedFields entries. */
export function equalButTimes(a: Dynamic, b: Dynamic): boolean {
	if (a === b) return true;
	return equalJson(withoutTimes(a), withoutTimes(b));
}

function withoutTimes(object: Dynamic): object {
	const { managedFields, ...metadata } = object.metadata;
	if (!managedFields?.length) return object;
	return { ...object, metadata: { ...metadata, managedFields: managedFields.map(({ time, ...entry }) => entry) } };
}
