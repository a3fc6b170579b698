/**
 * The removal of what nobody applies any more. What does not change is shared with the input, so `===` tells whether anything did.
 * Source: KEP-555 and the Kubernetes documentation, "Server-Side Apply".
 */
import { isEmpty, isMember } from '../../kinds/fieldset.ts';
import { type Fields, itemElement, type MergeType, setMember, typeOf } from '../../kinds/mergetype.ts';
import type { FieldsV1 } from '../../kinds/object.ts';

/**
 * The value without what its applier had applied last (`last`) and nobody owns any more (`owners`: the sets of all managers at this place,
 * the applier's new one among them). A struct goes with its fields, so that defaults do not outlive it.
 */
export function prune(type: MergeType, value: unknown, last: FieldsV1, owners: readonly FieldsV1[]): unknown {
	const shape = typeOf(type, value);
	if (shape.type === 'leaf' || isEmpty(last)) return value;
	const goes = (element: string, struct: boolean) => {
		const mine = last[element];
		if (!mine || !(struct || isMember(mine))) return false;
		return !owners.some((owner) => {
			const theirs = owner[element];
			return theirs && (struct || isMember(theirs));
		});
	};
	const within = (element: string, childType: MergeType, child: unknown) => {
		const mine = last[element];
		if (!mine) return child;
		const theirs = owners.flatMap((owner) => owner[element] ?? []);
		return prune(childType, child, mine, theirs);
	};
	if (shape.type === 'map') {
		const fields = value as Fields;
		let out: Record<string, unknown> | undefined;
		for (const key in fields) {
			const field = shape.fields.get(key);
			const element = field?.element ?? `f:${key}`;
			if (goes(element, field !== undefined)) {
				out ??= { ...fields };
				delete out[key];
				continue;
			}
			const child = within(element, field?.type ?? shape.element, fields[key]);
			if (child === fields[key]) continue;
			out ??= { ...fields };
			setMember(out, key, child);
		}
		return out ?? fields;
	}
	const items = value as readonly unknown[];
	const out: unknown[] = [];
	for (const [i, item] of items.entries()) {
		const element = itemElement(shape, item, i);
		if (!goes(element, false)) out.push(shape.type === 'keyed' ? within(element, shape.item, item) : item);
	}
	return out.length === items.length && out.every((item, i) => item === items[i]) ? items : out;
}
