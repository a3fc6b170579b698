/** The words after a verb: `TYPE`, `TYPE NAME...`, `TYPE/NAME...`, with several types in one word. */
import type { HttpClient } from '../../client/index.ts';
import type { Kind } from '../../kinds/index.ts';
import { UserError } from '../user-error.ts';
import { kindsOf } from './resource-types.ts';

/** Objects of one kind: those named, or, where none is, all that selectors leave. */
export interface Target {
	readonly kind: Kind;
	readonly names: readonly string[];
}

export interface Selection {
	readonly selector?: string;
	readonly fieldSelector?: string;
	readonly allNamespaces?: boolean;
}

/** One target a kind, in the order of the words. Throws a UserError where the words make no sense together. */
export async function targetsOf(
	client: HttpClient,
	words: readonly string[],
	selection: Selection = {},
): Promise<Target[]> {
	const [first, ...rest] = words;
	if (first === undefined) throw new UserError('name a type of resource, such as pods or deployment/web');
	const targets = words.some((word) => word.includes('/'))
		? await slashed(client, words)
		: (await kindsOf(client, first)).map((kind) => ({ kind, names: rest }));
	if (!targets.some(({ names }) => names.length > 0)) return targets;
	if (selection.selector !== undefined || selection.fieldSelector !== undefined)
		throw new UserError('names and selectors exclude each other: give either one');
	if (selection.allNamespaces)
		throw new UserError('a name is unique in one namespace only: leave out -A, or name it -n');
	return targets;
}

async function slashed(client: HttpClient, words: readonly string[]): Promise<Target[]> {
	const byKind = new Map<Kind, string[]>();
	for (const word of words) {
		const [type = '', name = '', ...more] = word.split('/');
		if (!type || !name || more.length > 0)
			throw new UserError(
				`${JSON.stringify(word)} is not TYPE/NAME; give either TYPE NAME... or only words of the form TYPE/NAME`,
			);
		for (const kind of await kindsOf(client, type)) byKind.set(kind, [...(byKind.get(kind) ?? []), name]);
	}
	return [...byKind].map(([kind, names]) => ({ kind, names }));
}
