/**
 * The resources that quotas and limits name, and the scopes that a quota may have.
 * Source: Kubernetes documentation, "Resource Quotas".
 */
import { qualifiedName } from '../names.ts';

const OBJECTS = [
	'pods',
	'resourcequotas',
	'services',
	'services.nodeports',
	'services.loadbalancers',
	'replicationcontrollers',
	'secrets',
	'configmaps',
	'persistentvolumeclaims',
] as const;
const COMPUTE = ['cpu', 'memory', 'limits.cpu', 'limits.memory', 'requests.cpu', 'requests.memory'] as const;
const STORAGE = [
	'ephemeral-storage',
	'requests.ephemeral-storage',
	'limits.ephemeral-storage',
	'requests.storage',
] as const;
const HUGE_PAGES = /^(requests\.)?hugepages-/;

const countable: ReadonlySet<string> = new Set(OBJECTS);
const ofQuotas: ReadonlySet<string> = new Set([...OBJECTS, ...COMPUTE, ...STORAGE]);
const scopedTogether: ReadonlySet<string> = new Set(['pods', ...COMPUTE]);

/** What a quota may name without a domain. */
export const isQuotaResource = (name: string): boolean => ofQuotas.has(name) || HUGE_PAGES.test(name);

/** What the API knows without a domain. */
export const isStandardResource = (name: string): boolean => isQuotaResource(name) || name === 'storage';

/** Resources of a domain of their own, as devices are; not those of kubernetes.io, and not what a quota calls them. */
export const isExtendedResource = (name: string): boolean =>
	name.includes('/') &&
	!name.includes('kubernetes.io/') &&
	!name.startsWith('requests.') &&
	qualifiedName(`requests.${name}`).length === 0;

/** Whether there are only whole ones. */
export const isCounted = (name: string): boolean => countable.has(name) || isExtendedResource(name);

export const QUOTA_SCOPES = [
	'Terminating',
	'NotTerminating',
	'BestEffort',
	'NotBestEffort',
	'PriorityClass',
	'CrossNamespacePodAffinity',
] as const;
export type QuotaScope = (typeof QUOTA_SCOPES)[number];

/** Whether a quota of the scope may limit the resource, where that is one of Kubernetes' own. */
export function isOfScope(scope: string, resource: string): boolean {
	if (scope === 'BestEffort') return resource === 'pods';
	return !QUOTA_SCOPES.some((each) => each === scope) || scopedTogether.has(resource);
}
