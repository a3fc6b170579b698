/**
 * The set of the fields of a value, as its manager owns them.
 * Source: KEP-555 and the Kubernetes documentation, "Server-Side Apply".
 */
import { sorted } from '../../kinds/fieldset.ts';
import { type Fields, itemElement, leaf, type MergeType, typeOf } from '../../kinds/mergetype.ts';
import type { FieldsV1 } from '../../kinds/object.ts';

const member: FieldsV1 = Object.freeze({});

/** Two items of one list claim the same place. */
export class DuplicateItem extends Error {
	override readonly name = 'DuplicateItem';
	/** The list, then the item: path elements. */
	readonly path: string[];
	constructor(path: string[]) {
		super('duplicate entries');
		this.path = path;
	}
}

/**
 * The set of the fields of a value. `whole`: with every container as a member of its own, as the fields of what has newly
 * appeared; otherwise as of an applied configuration, where a struct is only the sum of its fields.
 * Throws DuplicateItem with the path from here (not when `whole`: what is stored is taken as it is).
 */
export function fieldsOf(type: MergeType, value: unknown, whole = false): FieldsV1 | undefined {
	return nodeOf(type, value, whole, false);
}

/** As `fieldsOf`; `isIn`: where it has children, it is a member itself beside them. */
export function nodeOf(type: MergeType, value: unknown, whole: boolean, isIn: boolean): FieldsV1 | undefined {
	const shape = typeOf(type, value);
	if (shape.type === 'leaf') return member;
	const out: FieldsV1 = isIn ? { '.': member } : {};
	let empty = true;
	if (shape.type === 'map') {
		const fields = value as Fields;
		for (const key in fields) {
			const field = shape.fields.get(key);
			const element = field?.element ?? `f:${key}`;
			const child = childFields(element, field?.type ?? shape.element, fields[key], whole, !field);
			if (!child) continue;
			out[element] = child;
			empty = false;
		}
	} else {
		const items = value as readonly unknown[];
		const itemType = shape.type === 'keyed' ? shape.item : leaf;
		for (let i = 0; i < items.length; i++) {
			const element = itemElement(shape, items[i], i);
			if (element in out) {
				if (whole) continue;
				throw new DuplicateItem([element]);
			}
			const child = childFields(element, itemType, items[i], whole, true);
			if (!child) continue;
			out[element] = child;
			empty = false;
		}
	}
	return empty ? undefined : sorted(out);
}

/** The node of a child. `always`: it is a member beside its children, because the schema does not name it. */
function childFields(
	element: string,
	type: MergeType,
	value: unknown,
	whole: boolean,
	always: boolean,
): FieldsV1 | undefined {
	if (typeof value !== 'object' || value === null) return value === undefined ? undefined : member;
	try {
		// What is empty is a field of its own. (Upstream leaves empty lists out: its types do not store them.)
		return nodeOf(type, value, whole, whole || always) ?? member;
	} catch (error) {
		if (error instanceof DuplicateItem) error.path.unshift(element);
		throw error;
	}
}
