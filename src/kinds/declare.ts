/** The builder of kinds: a declaration says only what is particular to the kind, and the rest is filled in here. */
import { ageOf } from './age.ts';
import { equalMembers } from './equal.ts';
import type { Column, Health, Kind } from './kind.ts';
import { finalizerWarnings, keepMetadata, validateMetadata } from './metadata.ts';
import { dnsSubdomain, type NameCheck } from './names.ts';
import type { KubeObject } from './object.ts';

/** What a declaration must say; everything else of Kind has a default. */
export interface Declaration<T extends KubeObject>
	extends Pick<Kind<T>, 'group' | 'version' | 'kind' | 'plural' | 'schema'>,
		Partial<Omit<Kind<T>, 'object' | 'group' | 'version' | 'kind' | 'plural' | 'schema' | 'assessed'>> {
	/** The rule of its names; a DNS subdomain when absent. */
	readonly names?: NameCheck;
	/** Whether a create may carry the status; else it is dropped where the kind has a status subresource. */
	readonly statusOnCreate?: true;
	/** What a write of the main resource may change in the status, in spite of its subresource. Default: nothing. */
	readonly statusOnUpdate?: (status: unknown, stored: unknown) => unknown;
}

/**
 * A kind from its declaration. Absent: namespaced, no subresources, no defaults, the column Age.
 *
 * To the declaration's own hooks it adds what holds for all kinds: `prepare` keeps the metadata that an update leaves out,
 * keeps the stored status where the kind has a status subresource (writes of the main resource do not change it), and
 * counts the generation; `validate` checks the metadata as well; what is being deleted is on its way, whatever else it says.
 */
export function kind<T extends KubeObject>(declaration: Declaration<T>): Kind<T> {
	const {
		names = dnsSubdomain,
		statusOnCreate = false,
		statusOnUpdate,
		prepare,
		validate,
		warnings,
		health,
		...rest
	} = declaration;
	const custom = rest.custom ?? !isKubernetes(rest.group);
	const made: Kind<T> = {
		singular: rest.kind.toLowerCase(),
		shortNames: [],
		categories: [],
		namespaced: true,
		merges: {},
		additions: {},
		subresources: {},
		selectableFields: {},
		columns: [age],
		defaults: () => {},
		gracePeriod: () => 0,
		holds: () => false,
		onDelete: () => {},
		propagation: 'Background',
		prepareStatus: custom ? keepAllMetadata : () => {},
		claims: noClaims,
		generation: false,
		createOnUpdate: false,
		// Custom resources must say which state they replace.
		unconditionalUpdate: !custom,
		deleteCollection: true,
		returnsDeleted: false,
		computed: false,
		...rest,
		custom,
		assessed: health !== undefined,
		health: (object) => (object.metadata.deletionTimestamp ? pendingDeletion : health?.(object)),
		prepare(object, old) {
			if (old) keepMetadata(object.metadata, old.metadata);
			const sent = (object as WithStatus).status;
			if (made.subresources.status && (old || !statusOnCreate)) keepStatus(object, old);
			if (old && statusOnUpdate) (object as WithStatus).status = statusOnUpdate(sent, (old as WithStatus).status);
			prepare?.(object, old);
			if (made.generation) countGeneration(object, old);
		},
		validate(object, old, subresource) {
			const errors = validateMetadata(made, object, old, names);
			const part = subresource === undefined ? undefined : made.subresources.parts?.[subresource];
			if (part && old) errors.push(...part.validate(object, old));
			else if (validate) errors.push(...validate(object, old));
			return errors;
		},
		warnings: (object, old) => [
			...finalizerWarnings(object.metadata, old?.metadata),
			...(warnings?.(object, old) ?? []),
		],
	};
	return made;
}

/** What objects of most kinds hold. */
export const noClaims = (): readonly string[] => [];

/** Groups of Kubernetes' own. Definitions of custom resources lie in such groups as well (Gateway API): they say so. */
const isKubernetes = (group: string) => !group.includes('.') || group.endsWith('.k8s.io');

/** A custom resource's status is written alone; Kubernetes' own kinds let labels, annotations and finalizers go with it. */
const keepAllMetadata = (object: KubeObject, old: KubeObject) => {
	object.metadata = { ...old.metadata, managedFields: object.metadata.managedFields };
};

/** Source: Argo CD, the health of any resource with a deletionTimestamp. */
const pendingDeletion: Health = { status: 'Progressing', message: 'Pending deletion' };

/** The column that nearly every kind ends with. */
export const age: Column = {
	name: 'Age',
	type: 'string',
	description: 'How long ago the object was created.',
	priority: 0,
	cell: (object, now) => ageOf(object.metadata.creationTimestamp, now),
};

/** A column of text or a number that does not depend on the time. */
export function column<T extends KubeObject>(
	name: string,
	type: Column['type'],
	description: string,
	cell: Column<T>['cell'],
): Column<T> {
	return { name, type, description, priority: 0, cell };
}

/** A column that only `-o wide` shows. */
export function wide<T extends KubeObject>(
	name: string,
	type: Column['type'],
	description: string,
	cell: Column<T>['cell'],
): Column<T> {
	return { name, type, description, priority: 1, cell };
}

type WithStatus = KubeObject & { status?: unknown };

function keepStatus(object: WithStatus, old: WithStatus | undefined): void {
	if (old?.status !== undefined) object.status = old.status;
	else delete object.status;
}

function countGeneration(object: KubeObject, old: KubeObject | undefined): void {
	const before = old?.metadata.generation ?? 0;
	object.metadata.generation = old && sameIntent(object, old) ? before : before + 1;
	if (object.metadata.generation === 0) object.metadata.generation = 1;
}

const notIntended: ReadonlySet<string> = new Set(['metadata', 'status']);

/** Whether two objects are the same outside metadata and status. */
function sameIntent(object: KubeObject, old: KubeObject): boolean {
	return equalMembers(object, old, notIntended);
}
