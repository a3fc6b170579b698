/** Who gives out values of which each may be held by one object only: the addresses and ports of services. */
import type { KubeObject } from '../../kinds/object.ts';
import type { FieldError } from '../../kinds/status.ts';

export interface Allocator {
	/**
	 * Fills in what the object needs and does not name, keeps what `old` had, and checks what it names. In place. Throws 500
	 * when nothing is left to give.
	 */
	assign(object: KubeObject, old: KubeObject | undefined): Allocation;
}

/** What was given out is held back from others until disposed: from then on the claims of the commit guard it. */
export interface Allocation extends Disposable {
	/** The rules that the object breaks. */
	readonly errors: readonly FieldError[];
}

/** By resource, as `resourceOf` names it. */
export type Allocators = ReadonlyMap<string, Allocator>;
