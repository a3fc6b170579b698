/** What volumes and claims have in common: how they may be accessed. Source: Kubernetes documentation, "Persistent Volumes", Access Modes. */
import { checkOneOf } from '../checks.ts';
import { compareQuantities, isQuantity } from '../quantity.ts';
import { type FieldError, fieldError } from '../status.ts';

/** In the order in which they are printed, with what is printed of each. */
const shortModes: ReadonlyMap<string, string> = new Map([
	['ReadWriteOnce', 'RWO'],
	['ReadOnlyMany', 'ROX'],
	['ReadWriteMany', 'RWX'],
	['ReadWriteOncePod', 'RWOP'],
]);
const accessModes = [...shortModes.keys()].sort();

export const volumeModes = ['Block', 'Filesystem'] as const;

/** `RWO,ROX`, as kubectl prints them. */
export const accessModesText = (modes: readonly string[] = []): string =>
	[...shortModes].flatMap(([mode, short]) => (modes.includes(mode) ? [short] : [])).join(',');

/** The modes are there, and of those that there are. `missing` is what is said where there are none. */
export function checkAccessModes(
	modes: readonly string[] | undefined,
	path: string,
	missing: string,
	errors: FieldError[],
): void {
	if (!modes?.length) errors.push(fieldError.required(path, missing));
	for (const mode of modes ?? []) checkOneOf(mode, path, accessModes, errors);
	if (modes && modes.length > 1 && modes.includes('ReadWriteOncePod'))
		errors.push(fieldError.forbidden(path, 'may not use ReadWriteOncePod with other access modes'));
}

/** An amount of storage. */
export function checkPositive(amount: string | undefined, field: string, errors: FieldError[]): void {
	if (amount !== undefined && isQuantity(amount) && compareQuantities(amount, '0') <= 0)
		errors.push(fieldError.invalid(field, amount, 'must be greater than zero'));
}

/** What is said of an amount that no storage can have. */
export const fractionWarning = (amount: string | undefined, field: string): string[] =>
	amount !== undefined && isQuantity(amount) && /(\d[num]|\.)/.test(String(amount)) && !isWhole(amount)
		? [`${field}: fractional byte value ${JSON.stringify(amount)} is invalid, must be an integer`]
		: [];

const isWhole = (amount: string) => /^[+-]?\d+000m$/.test(amount);

/** The class that a claim or a volume names: in its spec, or in the annotation of old. Undefined where it names none. */
export function classOf(object: {
	readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
	readonly spec?: { readonly storageClassName?: string };
}): string | undefined {
	return object.metadata.annotations?.[OLD_CLASS] ?? object.spec?.storageClassName;
}

/** Where claims and volumes named their class before they had a field for it. */
export const OLD_CLASS = 'volume.beta.kubernetes.io/storage-class';
