/** What a filter and a score are. One more of either is one more entry of the list in `rules/index.ts`. */
import type { Key, PersistentVolume, Pod } from '../../../kinds/index.ts';
import type { Look, NodeState } from '../snapshot.ts';
import type { Wanted } from '../wanted.ts';

/** Rules nodes out. */
export interface Filter {
	/** As Kubernetes calls its own of the kind. */
	readonly name: string;
	/** Why the pod fits nowhere, whatever the nodes are; undefined where it may fit. */
	readonly hopeless?: (wanted: Wanted, look: Look) => string | undefined;
	/** Looks at the pod once before its nodes; undefined where it asks for nothing that the filter looks at. */
	prepare(wanted: Wanted, look: Look): Check | undefined;
	/** The only nodes that can be, by name, where the pod says so. */
	readonly narrows?: (wanted: Wanted) => ReadonlySet<string> | undefined;
	/** Whether a node that it refuses may do when other pods leave it. */
	readonly helpedByRoom?: true;
	/** After which changes a pod that the filter refused may fit. */
	readonly hints: Hints;
}

/** Why the pod cannot run on the node, in the words that Kubernetes has for it; undefined where it can. */
export type Check = (state: NodeState) => readonly string[] | undefined;

/** Prefers some nodes to others. */
export interface Score {
	/** As Kubernetes calls its own of the kind. */
	readonly name: string;
	/** How much it counts beside the others. */
	readonly weight: number;
	/** 0 to 100 for each of the nodes; undefined where it is the same for all. */
	of(wanted: Wanted, nodes: readonly NodeState[], look: Look): readonly number[] | undefined;
}

/** What can change in the cluster so that a pod that fitted nowhere may fit. */
export interface Changes {
	'node added': NodeChange;
	'node removed': NodeChange;
	'node labels': NodeChange;
	/** Also that it takes no pods, which is a taint as well. */
	'node taints': NodeChange;
	'node allocatable': NodeChange;
	/** A pod came to a node. */
	'pod came': PodChange;
	/** A pod has left its node, or needs nothing of it any more. */
	'pod gone': PodChange;
	/** A pod on a node has other labels, or is on its way out. */
	'pod labels': PodChange;
	'namespace labels': { readonly namespace: string };
	/** A claim of this key has come, gone or changed. */
	claim: { readonly key: Key };
	/** A volume has come or changed. */
	volume: { readonly volume: PersistentVolume };
	'storage class': { readonly name: string };
}

export interface NodeChange {
	readonly before?: NodeState;
	readonly now?: NodeState;
}

export interface PodChange {
	/** As it is, or as it was when it went. */
	readonly pod: Pod;
	/** As it was before it changed. */
	readonly old?: Pod;
	readonly node: string;
}

export type What = keyof Changes;

/** Whether a change of this sort may help the pod. */
export type Hint<W extends What> = (wanted: Wanted, change: Changes[W], look: Look) => boolean;

export type Hints = { readonly [W in What]?: Hint<W> };

/** The hint of a filter that looks at one node alone: it lets the pod pass on the node now, and did not before. */
export function passesNow(
	prepare: Filter['prepare'],
): Hint<'node added' | 'node labels' | 'node taints' | 'node allocatable'> {
	return (wanted, { before, now }, look) => {
		const check = prepare(wanted, look);
		if (!now || check?.(now)) return false;
		return !before || !check || check(before) !== undefined;
	};
}

/** The hint of a filter that looks at what pods take of their node: it lets the pod pass on that node now. */
export function passesThere(prepare: Filter['prepare']): Hint<'pod gone'> {
	return (wanted, { node }, look) => {
		const state = look.nodes.get(node);
		return state !== undefined && !prepare(wanted, look)?.(state);
	};
}

/** Scores scaled so that the largest is 100; undefined where all are 0. */
export function scaled(scores: readonly number[]): readonly number[] | undefined {
	const most = Math.max(...scores);
	return most > 0 ? scores.map((score) => Math.floor((score * 100) / most)) : undefined;
}
