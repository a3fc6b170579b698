/**
 * In which order nodes are looked at: those of different zones in turn, so that the first of them, where not all are looked at, are not
 * all of one zone. Source: Kubernetes documentation, "Scheduler Performance Tuning".
 */
import type { Node } from '../../kinds/index.ts';

const ZONE = 'topology.kubernetes.io/zone';
const REGION = 'topology.kubernetes.io/region';

export interface Order<T> {
	readonly list: readonly T[];
	/** The place in the list, by the name of the node. */
	readonly places: ReadonlyMap<string, number>;
	/** Puts the node as it is now in its place; false where it is new or has another zone, and the order must be found anew. */
	replace(state: T): boolean;
}

/** Each zone in the order of the names of its nodes. */
export function inTurn<T extends { readonly name: string; readonly node: Node }>(states: Iterable<T>): Order<T> {
	const sorted = [...states].sort((a, b) => (a.name < b.name ? -1 : 1));
	const zones = Map.groupBy(sorted, zoneOf);
	const list: T[] = [];
	for (let turn = 0; list.length < sorted.length; turn++)
		for (const zone of zones.values()) {
			const state = zone[turn];
			if (state) list.push(state);
		}
	const places = new Map(list.map(({ name }, place) => [name, place]));
	return {
		list,
		places,
		replace(state) {
			const place = places.get(state.name);
			const old = place === undefined ? undefined : list[place];
			if (place === undefined || !old || zoneOf(old) !== zoneOf(state)) return false;
			list[place] = state;
			return true;
		},
	};
}

const zoneOf = ({ node: { metadata } }: { readonly node: Node }) =>
	JSON.stringify([metadata.labels?.[REGION], metadata.labels?.[ZONE]]);
