/** Pods spread over zones, nodes and other domains. Source: Kubernetes documentation, "Pod Topology Spread Constraints". */
import type { TopologySpreadConstraint } from 'kubernetes-types/core/v1.js';
import type { Node, Pod } from '../../../kinds/index.ts';
import { type PodTerm, spreadTerm, traitsOf } from '../pod-terms.ts';
import type { Eligibility } from '../population.ts';
import type { Look } from '../snapshot.ts';
import type { Tally } from '../tally.ts';
import { untolerated } from '../tolerations.ts';
import type { Wanted } from '../wanted.ts';
import { nodeChoice, nodeChoiceSignature } from './node-affinity.ts';
import type { Filter, Hint, Score } from './rule.ts';
import { FORBIDDING } from './taints.ts';

const UNLABELLED = ["node(s) didn't match pod topology spread constraints (missing required label)"];
const UNEVEN = ["node(s) didn't match pod topology spread constraints"];

interface Spread extends TopologySpreadConstraint {
	readonly term: PodTerm;
	readonly tally: Tally;
}

type Unsatisfiable = 'DoNotSchedule' | 'ScheduleAnyway';

const constraintsOf = ({ spec }: Pod, unsatisfiable: Unsatisfiable) =>
	spec.topologySpreadConstraints?.filter(({ whenUnsatisfiable }) => whenUnsatisfiable === unsatisfiable) ?? [];

function spreadsOf({ pod }: Wanted, look: Look, unsatisfiable: Unsatisfiable): readonly Spread[] {
	const constraints = constraintsOf(pod, unsatisfiable);
	const keys = constraints.map(({ topologyKey }) => topologyKey).sort();
	return constraints.map((constraint) => {
		const term = spreadTerm(constraint, pod);
		const tally = look.tally(term, constraint.topologyKey, eligibilityOf(constraint, pod, keys));
		return { ...constraint, term, tally };
	});
}

/** The nodes that a constraint counts: those with the labels of all constraints of its sort, and as its policies say. */
function eligibilityOf(
	{ nodeAffinityPolicy = 'Honor', nodeTaintsPolicy = 'Ignore' }: TopologySpreadConstraint,
	pod: Pod,
	keys: readonly string[],
): Eligibility {
	const chosen = nodeAffinityPolicy === 'Honor' ? nodeChoice(pod) : undefined;
	const borne = nodeTaintsPolicy === 'Honor';
	const { tolerations } = pod.spec;
	return {
		signature: JSON.stringify([keys, chosen && nodeChoiceSignature(pod), borne && (tolerations ?? [])]),
		accepts: (node) =>
			hasAll(keys, node) &&
			(!chosen || chosen(node)) &&
			(!borne || !untolerated(node.spec.taints, tolerations, FORBIDDING)),
	};
}

const hasAll = (keys: readonly string[], { metadata: { labels } }: Node) =>
	keys.every((key) => labels?.[key] !== undefined);

const prepare: Filter['prepare'] = (wanted, look) => {
	const spreads = spreadsOf(wanted, look, 'DoNotSchedule').map((spread) => ({
		...spread,
		own: look.matches(spread.term, wanted.traits) ? 1 : 0,
	}));
	if (spreads.length === 0) return undefined;
	return ({ slot }) => {
		for (const { maxSkew, minDomains = 1, tally, own } of spreads) {
			const there = tally.at(slot);
			if (there === undefined) return UNLABELLED;
			const least = tally.domains < minDomains ? 0 : tally.least;
			if (there + own - least > maxSkew) return UNEVEN;
		}
		return undefined;
	};
};

/** A pod that is counted came, went or changed: the domains are level anew. */
const counted: Hint<'pod came' | 'pod gone' | 'pod labels'> = ({ pod }, change, look) =>
	constraintsOf(pod, 'DoNotSchedule').some((constraint) => {
		const term = spreadTerm(constraint, pod);
		// A pod on its way out counts no more, and did before.
		return [change.pod, change.old].some(
			(each) => each && look.matches(term, { ...traitsOf(each), terminating: false }),
		);
	});

/** A node of the domains came, went or changed. */
const ofDomains: Hint<'node added' | 'node removed' | 'node labels' | 'node taints'> = ({ pod }, { before, now }) => {
	const keys = constraintsOf(pod, 'DoNotSchedule').map(({ topologyKey }) => topologyKey);
	return [before, now].some((state) => state && hasAll(keys, state.node));
};

/** Constraints that must hold: in no domain so many more than in the one with the fewest. */
export const topologySpread: Filter = {
	name: 'PodTopologySpread',
	prepare,
	helpedByRoom: true,
	hints: {
		'pod came': counted,
		'pod gone': counted,
		'pod labels': counted,
		'node added': ofDomains,
		'node removed': ofDomains,
		'node labels': ofDomains,
		'node taints': ofDomains,
	},
};

/** Constraints that should hold: the domains with the fewest. A topology of many domains counts for more. */
export const evenSpread: Score = {
	name: 'PodTopologySpread',
	weight: 2,
	of(wanted, nodes, look) {
		const spreads = spreadsOf(wanted, look, 'ScheduleAnyway').map((spread) => ({
			...spread,
			weight: Math.log(spread.tally.spanned(nodes) + 2),
		}));
		if (spreads.length === 0) return undefined;
		const crowds = nodes.map(({ slot }) => crowdAt(slot, spreads));
		let [least, most] = [Number.POSITIVE_INFINITY, 0];
		for (const crowd of crowds) {
			if (crowd < least) least = crowd;
			if (crowd > most) most = crowd;
		}
		// A node without one of the labels has no domain that could be even.
		return crowds.map((crowd) => {
			if (Number.isNaN(crowd)) return 0;
			return most === 0 ? 100 : Math.floor((100 * (most + least - crowd)) / most);
		});
	},
};

/** How crowded the domains of a node are; NaN where it lacks one of the labels. */
function crowdAt(slot: number, spreads: readonly (Spread & { readonly weight: number })[]): number {
	let crowd = 0;
	for (const { maxSkew, tally, weight } of spreads) crowd += (tally.at(slot) ?? Number.NaN) * weight + (maxSkew - 1);
	return Math.round(crowd);
}
