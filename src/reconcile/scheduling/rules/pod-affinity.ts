/** Pods near to others, and apart from them. Source: Kubernetes documentation, "Inter-pod affinity and anti-affinity". */
import type { PodAffinityTerm } from 'kubernetes-types/core/v1.js';
import type { Labels, Pod } from '../../../kinds/index.ts';
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
	const near = [...new Set(requiredNear(pod).map(({ topologyKey }) => topologyKey))].map((key) => ({
		key,
		tally: look.tally(company, key),
	}));
	const apart = requiredApart(pod).map((term) => ({
		key: term.topologyKey,
		tally: look.tally(affinityTerm(term, pod), term.topologyKey),
	}));
	const carried = look.carried('forbids', traits);
	if (near.length + apart.length + carried.length === 0) return undefined;
	/** The first of pods that are to be near to each other has nobody to be near to. */
	const first = () => near.every(({ tally }) => tally.total === 0) && look.matches(company, traits);
	return ({ node: { metadata } }) => {
		const { labels = {} } = metadata;
		if (near.some(({ key }) => labels[key] === undefined)) return NOT_NEAR;
		if (!near.every((each) => holds(each, labels)) && !first()) return NOT_NEAR;
		if (apart.some((each) => holds(each, labels))) return NOT_APART;
		return carried.some((each) => holds(each, labels)) ? NOT_WELCOME : undefined;
	};
};

/** Whether the domain of a node with these labels has pods of the tally. */
function holds({ key, tally }: { key: string; tally: { count(value: string): number } }, labels: Labels): boolean {
	const value = labels[key];
	return value !== undefined && tally.count(value) > 0;
}

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
		const wishes = preferences(pod).map(({ term, weight }) => ({ weight, ...tallied(term) }));
		const drawn = look.carried('draws', traits).map(({ key, tally }) => ({ weight: 1, key, tally }));
		const all = [...wishes, ...drawn];
		if (all.length === 0) return undefined;
		const sums = nodes.map(({ node: { metadata } }) => {
			let sum = 0;
			for (const { key, tally, weight } of all) {
				const value = metadata.labels?.[key];
				if (value !== undefined) sum += weight * tally.count(value);
			}
			return sum;
		});
		const [least, most] = [Math.min(...sums), Math.max(...sums)];
		return most === least ? undefined : sums.map((sum) => Math.floor((100 * (sum - least)) / (most - least)));

		function tallied(term: PodAffinityTerm) {
			return { key: term.topologyKey, tally: look.tally(affinityTerm(term, pod), term.topologyKey) };
		}
	},
};
