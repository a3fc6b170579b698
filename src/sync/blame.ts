/**
 * Why each field of an object is as it is: who owns it, and, where that is the application, the line of the file that says so,
 * and the commit that wrote the line.
 */
import { indexesInto, ownershipOf } from '../diff/index.ts';
import { formatPath, ownersOf, walk } from '../kinds/fieldset.ts';
import type { Dynamic } from '../kinds/index.ts';
import type { Position } from './render/index.ts';
import type { Commit } from './source/index.ts';
import type { Desired } from './want/desired.ts';

/** One field that somebody owns. */
export interface BlamedField {
	/** `.spec.template.spec.containers[name="web"].image`. */
	readonly path: string;
	/** The newest first. */
	readonly owners: readonly {
		readonly manager: string;
		readonly operation: string;
		readonly time?: string;
		readonly subresource?: string;
	}[];
	/** Where the source says it, if it does and the application owns it. */
	readonly origin?: Position;
	/** What last changed that line: of a field that is asked for by itself. */
	readonly commit?: { readonly id: string; readonly author: string; readonly time: string; readonly subject: string };
}

/**
 * Every field of `live` that somebody owns, or the one with the path `field`. `manager` is the application's, `desired` what it
 * wants of the object. `commitOf` finds the commit of a line.
 */
export async function blame(
	live: Dynamic,
	desired: Desired | undefined,
	manager: string,
	field: string | undefined,
	commitOf: (position: Position) => Promise<Commit | undefined>,
): Promise<BlamedField[]> {
	const managedFields = ownershipOf(live);
	const fields = new Map<string, BlamedField>();
	for (const { fieldsV1 } of managedFields) {
		walk(fieldsV1 ?? {}, (path) => {
			const name = formatPath(path);
			if (fields.has(name) || (field !== undefined && name !== field)) return;
			const entries = ownersOf(managedFields, path).toSorted((a, b) => (b.time ?? '').localeCompare(a.time ?? ''));
			const owners = entries.map(({ manager = 'unknown', operation = 'Update', time, subresource }) => ({
				manager,
				operation,
				...(time && { time }),
				...(subresource && { subresource }),
			}));
			const ours = desired && owners.some((owner) => owner.manager === manager && owner.operation === 'Apply');
			const place = ours ? desired.manifest.locate(indexesInto(desired.manifest.object, path)) : undefined;
			fields.set(name, { path: name, owners, ...(place && { origin: { ...place } }) });
		});
	}
	const found = [...fields.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
	const [only] = found;
	if (field === undefined || !only?.origin) return found;
	const commit = await commitOf(only.origin);
	return [commit ? { ...only, commit: brief(commit) } : only];
}

const brief = ({ id, author, time, message }: Commit) => ({
	id,
	author,
	time: new Date(time).toISOString(),
	subject: message.split('\n', 1)[0] ?? '',
});
