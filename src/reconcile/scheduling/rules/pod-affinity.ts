/** Pods near to others, and apart from them. Source: Kubernetes documentation, "Inter-pod affinity and anti-affinity". */
import type { Pod } from '../../../kinds/index.ts';
import { carriedBy, preferences } from '../carried-terms.ts';
import { affinityTerm, allOf, traitsOf } from '../pod-terms.ts';
import type { Filter, Hint, Score } from './rule.ts';

const NOT_NEAR = ["node(s) didn't match pod affinity rules"];
const NOT_APART = ["node(s) didn't match pod anti-affinity rules"];
const NOT_WELCOME = ["node(s) didn't satisfy existing pods anti-affinity rules"];

const requiredNear = ({ spec }: Pod) =>
	spec.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
const requiredApart = ({ spec }: Pod) =>
	spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];

/** The pods that the pod must be near to: those that all of its terms are about. */
const companyOf = (pod: Pod) => allOf(requiredNear(pod).map((term) => affinityTerm(term, pod)));

const prepare: Filter['prepare'] = ({ pod, traits }, look) => {
	const company = companyOf(pod);
	const keys = new Set(requiredNear(pod).map(({ topologyKey }) => topologyKey));
	const near = Array.from(keys, (key) => look.tally(company, key));
	const apart = requiredApart(pod).map((term) => look.tally(affinityTerm(term, pod), term.topologyKey));
	const carried = look.carried('forbids', traits).map(({ tally }) => tally);
	if (near.length + apart.length + carried.length === 0) return undefined;
	/** The first of pods that are to be near to each other has nobody to be near to. */
	const first = () => near.every(({ total }) => total === 0) && look.matches(company, traits);
	// Asked of every node: loops, and no functions made anew.
	return ({ slot }) => {
		let together = true;
		for (const tally of near) {
			const there = tally.at(slot);
			if (there === undefined) return NOT_NEAR;
			together &&= there > 0;
		}
		if (!together && !first()) return NOT_NEAR;
		for (const tally of apart) if ((tally.at(slot) ?? 0) > 0) return NOT_APART;
		for (const tally of carried) if ((tally.at(slot) ?? 0) > 0) return NOT_WELCOME;
		return undefined;
	};
};

/** A pod that a required term of the wanted pod is about came, went or changed. */
const concerns: Hint<'pod came' | 'pod gone' | 'pod labels'> = ({ pod }, change, look) => {
	const near = requiredNear(pod).length > 0 ? [companyOf(pod)] : [];
	const terms = [...near, ...requiredApart(pod).map((term) => affinityTerm(term, pod))];
	if (terms.length === 0) return false;
	return [change.pod, change.old].some((each) => each && terms.some((term) => look.matches(term, traitsOf(each))));
};

/** A pod went or changed that may have kept the wanted one off by a term of its own. */
const freed: Hint<'pod gone' | 'pod labels'> = (wanted, change, look) =>
	carriedBy(change.old ?? change.pod).some(
		({ effect, term }) => effect === 'forbids' && look.matches(term, wanted.traits),
	) || concerns(wanted, change, look);

/** A node of the topologies came, went or changed. */
const ofDomains: Hint<'node added' | 'node removed' | 'node labels'> = ({ pod }, { before, now }) => {
	const keys = requiredNear(pod).map(({ topologyKey }) => topologyKey);
	return [before, now].some((state) => state && keys.every((key) => state.node.metadata.labels?.[key] !== undefined));
};

export const interPodAffinity: Filter = {
	name: 'InterPodAffinity',
	prepare,
	helpedByRoom: true,
	hints: {
		'pod came': concerns,
		'pod gone': freed,
		'pod labels': freed,
		'node added': ofDomains,
		'node removed': ofDomains,
		'node labels': ofDomains,
		'namespace labels': ({ pod }, _change, look) =>
			look.carriedByNamespaceLabels ||
			[...requiredNear(pod), ...requiredApart(pod)].some(({ namespaceSelector }) => namespaceSelector !== undefined),
	},
};

/** The domains whose pods the pod would rather be near to, or which would rather have it; negative where rather not. */
export const preferredCompany: Score = {
	name: 'InterPodAffinity',
	weight: 2,
	of({ pod, traits }, nodes, look) {
		const wishes = preferences(pod).map(({ term, weight }) => ({
			weight,
			tally: look.tally(affinityTerm(term, pod), term.topologyKey),
		}));
		const drawn = look.carried('draws', traits).map(({ tally }) => ({ weight: 1, tally }));
		const all = [...wishes, ...drawn];
		if (all.length === 0) return undefined;
		const sums = nodes.map(({ slot }) =>
			all.reduce((sum, { weight, tally }) => sum + weight * (tally.at(slot) ?? 0), 0),
		);
		const [least, most] = [Math.min(...sums), Math.max(...sums)];
		return most === least ? undefined : sums.map((sum) => Math.floor((100 * (sum - least)) / (most - least)));
	},
};
