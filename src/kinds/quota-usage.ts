/**
 * What an object counts for in quotas, and which quotas are about it. Pure: the API charges by it with every write, and the
 * controller counts anew by it. Source: Kubernetes documentation, "Resource Quotas".
 */
import type { PodSpec, ScopedResourceSelectorRequirement } from 'kubernetes-types/core/v1.js';
import type { Pod, ResourceQuota, Service } from './builtins.generated.ts';
import { qosClass } from './core/pod-qos.ts';
import { isExtendedResource } from './core/quota-resources.ts';
import type { Kind } from './kind.ts';
import type { KubeObject } from './object.ts';
import { type Amounts, podAmounts, sum } from './pod-amounts.ts';
import { compareQuantities, subtractQuantities } from './quantity.ts';

type Resource = Pick<Kind, 'group' | 'plural'>;

/** Core kinds that have a resource of their own name in quotas. */
export const OBJECT_RESOURCES: ReadonlySet<string> = new Set([
	'configmaps',
	'persistentvolumeclaims',
	'replicationcontrollers',
	'resourcequotas',
	'secrets',
	'services',
]);

/** What the object counts for, by resource of quotas. */
export function quotaUsage({ group, plural }: Resource, object: KubeObject): Amounts {
	const counted = { [`count/${group ? `${plural}.${group}` : plural}`]: '1' };
	if (group !== '') return counted;
	if (plural === 'pods') return { ...counted, ...podUsage(object as Pod) };
	if (plural === 'services') return { ...counted, services: '1', ...serviceUsage(object as Service) };
	if (plural === 'persistentvolumeclaims') return { ...counted, ...claimUsage(object as KubeObject & Claim) };
	return OBJECT_RESOURCES.has(plural) ? { ...counted, [plural]: '1' } : counted;
}

/** A pod that has ended counts as an object only. */
function podUsage({ spec, status }: Pod): Amounts {
	if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return {};
	return { pods: '1', ...computeUsage(podAmounts(spec, 'requests'), podAmounts(spec, 'limits')) };
}

const COMPUTE: ReadonlySet<string> = new Set(['cpu', 'memory', 'ephemeral-storage']);

/** Requests count by their plain name, too; of what nodes have beside these, only requests are limited. */
function computeUsage(requests: Amounts, limits: Amounts): Amounts {
	const used: Record<string, string> = {};
	for (const [name, amount] of Object.entries(requests)) {
		if (COMPUTE.has(name) || name.startsWith('hugepages-')) used[name] = amount;
		if (name in used || isExtendedResource(name)) used[`requests.${name}`] = amount;
	}
	for (const [name, amount] of Object.entries(limits)) if (COMPUTE.has(name)) used[`limits.${name}`] = amount;
	return used;
}

function serviceUsage({ spec }: Service): Amounts {
	const ports = spec?.ports ?? [];
	if (spec?.type === 'NodePort') return { 'services.nodeports': String(ports.length) };
	if (spec?.type !== 'LoadBalancer') return {};
	const given = spec.allocateLoadBalancerNodePorts === false ? ports.filter(({ nodePort }) => nodePort) : ports;
	return { 'services.loadbalancers': '1', 'services.nodeports': String(given.length) };
}

interface Claim {
	readonly spec?: {
		readonly storageClassName?: string;
		readonly resources?: { readonly requests?: Amounts };
	};
}

/** The annotation that named the class before there was a field for it. */
const CLASS = 'volume.beta.kubernetes.io/storage-class';

function claimUsage({ metadata, spec }: KubeObject & Claim): Amounts {
	const storage = spec?.resources?.requests?.storage ?? '0';
	const usage = { persistentvolumeclaims: '1', 'requests.storage': storage };
	const name = metadata.annotations?.[CLASS] ?? spec?.storageClassName;
	if (!name) return usage;
	const ofClass = `${name}.storageclass.storage.k8s.io`;
	return { ...usage, [`${ofClass}/persistentvolumeclaims`]: '1', [`${ofClass}/requests.storage`]: storage };
}

/** What the object counts for in the quota; nothing where it is not in all of its scopes. */
export function usageIn(quota: ResourceQuota, resource: Resource, object: KubeObject | undefined): Amounts {
	if (!object) return {};
	const scopes = scopesOf(quota);
	if (scopes.length > 0) {
		const isPod = resource.group === '' && resource.plural === 'pods';
		if (!isPod || !scopes.every((scope) => isIn(scope, (object as Pod).spec))) return {};
	}
	return quotaUsage(resource, object);
}

function scopesOf({ spec }: ResourceQuota): readonly ScopedResourceSelectorRequirement[] {
	const scopes = (spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' }));
	return [...scopes, ...(spec?.scopeSelector?.matchExpressions ?? [])];
}

function isIn({ scopeName, operator, values = [] }: ScopedResourceSelectorRequirement, spec: PodSpec): boolean {
	switch (scopeName) {
		case 'Terminating':
			return spec.activeDeadlineSeconds !== undefined;
		case 'NotTerminating':
			return spec.activeDeadlineSeconds === undefined;
		case 'BestEffort':
			return qosClass(spec) === 'BestEffort';
		case 'NotBestEffort':
			return qosClass(spec) !== 'BestEffort';
		case 'CrossNamespacePodAffinity':
			return looksElsewhere(spec);
		case 'PriorityClass': {
			const name = spec.priorityClassName;
			if (operator === 'Exists') return Boolean(name);
			if (operator === 'DoesNotExist') return !name;
			return values.includes(name ?? '') === (operator === 'In');
		}
		default:
			return false;
	}
}

/** Whether a term of affinity is about pods of other namespaces. */
function looksElsewhere({ affinity }: PodSpec): boolean {
	return [affinity?.podAffinity, affinity?.podAntiAffinity].some((each) =>
		[
			...(each?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
			...(each?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
		].some((term) => Boolean(term?.namespaces?.length) || term?.namespaceSelector !== undefined),
	);
}

/** What the write of an object adds to what a quota has counted: each resource of `hard` that changes. */
export function quotaChange(
	quota: ResourceQuota,
	resource: Resource,
	before: KubeObject | undefined,
	after: KubeObject | undefined,
): Amounts {
	const hard = quota.status?.hard;
	if (!hard) return {};
	const [was, is] = [usageIn(quota, resource, before), usageIn(quota, resource, after)];
	const change: Record<string, string> = {};
	for (const name of Object.keys(hard).sort()) {
		const [old, now] = [was[name] ?? '0', is[name] ?? '0'];
		if (compareQuantities(old, now) !== 0) change[name] = subtractQuantities(now, old);
	}
	return change;
}

/** The amounts of `of` among those of which `all` are kept; nothing as `0`. */
export const totals = (all: Iterable<Amounts>, of: readonly string[]): Amounts => {
	let total: Amounts = Object.fromEntries(of.map((name) => [name, '0']));
	for (const each of all)
		total = sum(total, Object.fromEntries(Object.entries(each).filter(([name]) => name in total)));
	return total;
};

/** Of these, a quota that limits one asks every container to say what it needs. Source: "Resource Quotas", "Compute Resource Quota". */
const MUST_BE_SAID: ReadonlySet<string> = new Set([
	'cpu',
	'memory',
	'requests.cpu',
	'requests.memory',
	'limits.cpu',
	'limits.memory',
]);

/** What containers of a new pod leave unsaid that the quota limits: `must specify limits.cpu for: web`. */
export function unsaid(quota: ResourceQuota, pod: Pod): string | undefined {
	if (Object.keys(usageIn(quota, { group: '', plural: 'pods' }, pod)).length === 0) return undefined;
	const asked = Object.keys(quota.status?.hard ?? {}).filter((name) => MUST_BE_SAID.has(name));
	const missing = asked.sort().flatMap((name) => {
		const silent = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].filter(
			({ resources }) => !(name in computeUsage(resources?.requests ?? {}, resources?.limits ?? {})),
		);
		const names = silent.map((container) => container.name).sort();
		return names.length > 0 ? [`${name} for: ${names.join(',')}`] : [];
	});
	return missing.length > 0 ? `must specify ${missing.join('; ')}` : undefined;
}
