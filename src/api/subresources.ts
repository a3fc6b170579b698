/**
 * The subresources that this server answers, in one table: what routing, authorization, discovery and OpenAPI know of them.
 * Which of them a kind has, its declaration says.
 */
import type { Kind } from '../kinds/kind.ts';

export interface GroupVersionKind {
	readonly group: string;
	readonly version: string;
	readonly kind: string;
}

export interface Subresource {
	/** The verbs of requests for it. */
	readonly verbs: readonly string[];
	/** What is read and written under it. */
	kind(of: GroupVersionKind): GroupVersionKind;
	/**
	 * `object`: the verbs of api.ts, on a part of the object or as an action. `stream`: the agent of the pod's node. `given`: who
	 * composes the process (http/given.ts).
	 */
	readonly answer: 'object' | 'stream' | 'given';
	/** A stream that is a connection of its own: it is asked for as a creation, whatever method opens it. */
	readonly upgrade?: true;
}

const core = (kind: string) => () => ({ group: '', version: 'v1', kind });
const itself = (of: GroupVersionKind) => of;
const changeable = ['get', 'patch', 'update'];
const action = { verbs: ['create'], answer: 'object' } as const;
const connection = { verbs: ['create', 'get'], answer: 'stream', upgrade: true } as const;

export const subresources = {
	status: { verbs: changeable, kind: itself, answer: 'object' },
	scale: { verbs: changeable, kind: () => ({ group: 'autoscaling', version: 'v1', kind: 'Scale' }), answer: 'object' },
	ephemeralcontainers: { verbs: changeable, kind: itself, answer: 'object' },
	resize: { verbs: changeable, kind: itself, answer: 'object' },
	finalize: { verbs: ['update', 'patch'], kind: itself, answer: 'object' },
	binding: { ...action, kind: core('Binding') },
	eviction: { ...action, kind: () => ({ group: 'policy', version: 'v1', kind: 'Eviction' }) },
	log: { verbs: ['get'], kind: core('Pod'), answer: 'stream' },
	exec: { ...connection, kind: core('PodExecOptions') },
	attach: { ...connection, kind: core('PodAttachOptions') },
	portforward: { ...connection, kind: core('PodPortForwardOptions') },
	blame: { verbs: ['get'], kind: () => ({ group: 'driftless.io', version: 'v1', kind: 'Blame' }), answer: 'given' },
	manifests: { verbs: ['get'], kind: core('List'), answer: 'given' },
	plan: { verbs: ['get'], kind: itself, answer: 'given' },
} as const satisfies Readonly<Record<string, Subresource>>;

/** A subresource that the verbs of api.ts answer. */
export type ObjectSubresource =
	| 'status'
	| 'scale'
	| 'ephemeralcontainers'
	| 'resize'
	| 'finalize'
	| 'binding'
	| 'eviction';

type Declared = { readonly subresources: Kind['subresources'] };

/** The names of the subresources that a kind has, in their order. */
export function subresourcesOf({
	subresources: { status, scale, parts = {}, actions = [] },
}: Declared): readonly string[] {
	return [...(status ? ['status'] : []), ...(scale ? ['scale'] : []), ...Object.keys(parts), ...actions]
		.filter(isKnown)
		.sort();
}

/** The subresource of a kind by its name; undefined where the kind has none of that name. */
export function subresourceOf(kind: Declared, name: string): Subresource | undefined {
	return isKnown(name) && subresourcesOf(kind).includes(name) ? subresources[name] : undefined;
}

/** The subresource of that name, whatever kind has it. */
export const namedSubresource = (name: string | undefined): Subresource | undefined =>
	name !== undefined && isKnown(name) ? subresources[name] : undefined;

const isKnown = (name: string): name is keyof typeof subresources => Object.hasOwn(subresources, name);
