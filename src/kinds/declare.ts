/** The builder of kinds: a declaration says only what is particular to the kind, and the rest is filled in here. */
import type { Kind } from './kind.ts';
import type { KubeObject } from './object.ts';

/** What a declaration must say; everything else of Kind has a default. */
export type Declaration<T extends KubeObject> = Pick<Kind<T>, 'group' | 'version' | 'kind' | 'plural' | 'schema'> &
	Partial<Omit<Kind<T>, 'object'>>;

/** A kind from its declaration. Absent: namespaced, no subresources, no defaults, only the rules of all objects, the column Age. */
export function kind<T extends KubeObject>(declaration: Declaration<T>): Kind<T> {
	return {
		singular: declaration.kind.toLowerCase(),
		shortNames: [],
		categories: [],
		namespaced: true,
		subresources: {},
		selectableFields: {},
		columns: [],
		defaults: () => {},
		prepare: () => {},
		validate: () => [],
		health: () => undefined,
		gracePeriod: () => 0,
		generation: false,
		...declaration,
	};
}
