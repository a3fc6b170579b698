/**
 * Whom the fields of an object belong to, beside the sync that applies it. Server-side apply takes a field away only when
 * its last owner lets go of it, so whoever owns a field with sync keeps it alive after it has left the source. A controller
 * does that on purpose. A person who applied or edited the same manifest by hand does not: git has the last word there.
 * Source: Kubernetes documentation, "Server-Side Apply"; Argo CD, "Sync Options", ClientSideApplyMigration. Pure.
 */
import { differenceSets, equalSets, isEmpty, isMember, unionSets } from '../kinds/fieldset.ts';
import type { Dynamic, FieldsV1, ManagedFieldsEntry } from '../kinds/index.ts';

type Entries = readonly ManagedFieldsEntry[];

/**
 * The managedFields of an object, by where its fields are stored. Whoever applies the `stringData` of a Secret is recorded as its
 * owner, as in Kubernetes, and nobody as the owner of the data that the API moves it to: so that data is theirs.
 */
export function ownershipOf({
	apiVersion,
	kind,
	metadata,
}: Pick<Dynamic, 'apiVersion' | 'kind' | 'metadata'>): Entries {
	const entries = metadata.managedFields ?? [];
	if (kind !== 'Secret' || apiVersion !== 'v1') return entries;
	return entries.map((entry) => {
		const { 'f:stringData': texts, ...fields } = entry.fieldsV1 ?? {};
		return texts ? { ...entry, fieldsV1: unionSets(fields, { 'f:data': texts }) } : entry;
	});
}

/** What sync itself applies with, and what its command does. */
const isSync = ({ manager = '' }: ManagedFieldsEntry) => manager === 'driftless' || manager.startsWith('driftless:');
const command = 'driftless-cli';
/** The manager of `kubectl apply` without `--server-side`. */
const clientSide = 'kubectl-client-side-apply';

/** Whether an entry is of a person's tool, or of another application. The status is nobody's to take. */
function isByHand(entry: ManagedFieldsEntry): boolean {
	const { manager = '', operation, subresource } = entry;
	if (subresource === 'status') return false;
	if (manager === 'kubectl' || manager.startsWith('kubectl-') || manager === command) return true;
	return manager === 'before-first-apply' || (operation === 'Apply' && isSync(entry));
}

/** Whether an entry holds a whole manifest, which that of the source replaces. */
function isManifest(entry: ManagedFieldsEntry, clientSideToo: boolean): boolean {
	const { manager, operation } = entry;
	if (manager === clientSide) return clientSideToo;
	return operation === 'Apply' && (manager === 'kubectl' || manager === command || isSync(entry));
}

const isOwn = ({ manager, operation, subresource }: ManagedFieldsEntry, own: string) =>
	manager === own && operation === 'Apply' && !subresource;

/** The entry of what `manager` applies. */
export function appliedBy(entries: Entries | undefined, manager: string): ManagedFieldsEntry | undefined {
	return entries?.find((entry) => isOwn(entry, manager));
}

/**
 * The managedFields with which `manager` takes an object over from those who applied it before: what their manifests had is
 * its own now, so that its apply removes what it does not have. Undefined where there is nobody to take it from.
 */
export function takenOver(
	entries: Entries,
	manager: string,
	apiVersion: string,
	{ clientSideToo }: { readonly clientSideToo: boolean },
): ManagedFieldsEntry[] | undefined {
	const theirs = entries.filter((entry) => !isOwn(entry, manager) && isManifest(entry, clientSideToo));
	if (theirs.length === 0) return undefined;
	const own = appliedBy(entries, manager);
	const fieldsV1 = [own, ...theirs].reduce((all: FieldsV1, entry) => unionSets(all, entry?.fieldsV1 ?? {}), {});
	const mine = {
		manager,
		operation: 'Apply',
		apiVersion: own?.apiVersion ?? apiVersion,
		fieldsType: 'FieldsV1',
	} as const;
	return [
		...entries.filter((entry) => entry !== own && !theirs.includes(entry)),
		{ ...mine, time: own?.time, fieldsV1 },
	];
}

/** The managedFields without what is held by hand of what `manager` applies; undefined where nothing is. */
export function withoutShares(entries: Entries, manager: string): ManagedFieldsEntry[] | undefined {
	const own = appliedBy(entries, manager)?.fieldsV1;
	const sharing = sharers(entries, manager);
	if (!own || sharing.length === 0) return undefined;
	return entries.flatMap((entry) => {
		if (!sharing.includes(entry)) return [entry];
		const fieldsV1 = differenceSets(entry.fieldsV1 ?? {}, own);
		return isEmpty(fieldsV1) ? [] : [{ ...entry, fieldsV1 }];
	});
}

/** The entries by hand that hold a field which `manager` applies. */
function sharers(entries: Entries, manager: string): ManagedFieldsEntry[] {
	const own = appliedBy(entries, manager)?.fieldsV1;
	if (!own) return [];
	return entries.filter((entry) => !isOwn(entry, manager) && isByHand(entry) && shares(own, entry.fieldsV1 ?? {}));
}

/** Whether a field at the end of a path is in both; what leads there (`metadata.labels`) is in many. */
function shares(own: FieldsV1, theirs: FieldsV1): boolean {
	if (isEmpty(own)) return isMember(theirs);
	for (const element in own) {
		const [ours, other] = [own[element], theirs[element]];
		if (element !== '.' && ours && other && shares(ours, other)) return true;
	}
	return false;
}

/** How many fields people have set beside what `manager` applies, by the tool they did it with. */
export function byHand(entries: Entries, manager: string): { readonly manager: string; readonly fields: number }[] {
	const found = new Map<string, number>();
	for (const entry of entries) {
		if (isOwn(entry, manager) || !isByHand(entry)) continue;
		const name = entry.manager ?? '';
		found.set(name, (found.get(name) ?? 0) + countFields(entry.fieldsV1 ?? {}));
	}
	return [...found].map(([manager, fields]) => ({ manager, fields }));
}

/** The fields at the ends of paths. */
function countFields(node: FieldsV1): number {
	const children = Object.entries(node).filter(([element]) => element !== '.');
	return children.length === 0 ? 1 : children.reduce((sum, [, child]) => sum + countFields(child), 0);
}

/**
 * Who holds what is `manager`'s: by hand and with it, or instead of it. `applied` are the managedFields that its next apply
 * would leave. Empty where that apply changes no ownership.
 */
export function heldBy(live: Entries, applied: Entries, manager: string): string[] {
	// Most objects belong to sync alone.
	if (live === applied && live.every((entry) => isOwn(entry, manager))) return [];
	const names = sharers(live, manager).map((entry) => entry.manager ?? 'unknown');
	const [before, after] = [appliedBy(live, manager), appliedBy(applied, manager)];
	if (equalSets(before?.fieldsV1, after?.fieldsV1)) return [...new Set(names)];
	const lost = differenceSets(after?.fieldsV1 ?? {}, before?.fieldsV1 ?? {});
	const holders = live.filter((entry) => entry !== before && shares(lost, entry.fieldsV1 ?? {}));
	names.push(...holders.map((entry) => entry.manager ?? 'unknown'));
	// Where nobody holds it, the set itself is to be mended.
	return names.length > 0 ? [...new Set(names)] : [manager];
}
