/** Labels of Kubernetes' own domains that the agent of a node may give to it. All others there are the administrator's. */

/** Source: Kubernetes documentation, "Well-Known Labels", and the reference of the kubelet, `--node-labels`. */
const allowed: ReadonlySet<string> = new Set([
	'beta.kubernetes.io/arch',
	'beta.kubernetes.io/instance-type',
	'beta.kubernetes.io/os',
	'failure-domain.beta.kubernetes.io/region',
	'failure-domain.beta.kubernetes.io/zone',
	'kubernetes.io/arch',
	'kubernetes.io/hostname',
	'kubernetes.io/os',
	'node.kubernetes.io/instance-type',
	'topology.kubernetes.io/region',
	'topology.kubernetes.io/zone',
]);
const allowedDomains = ['kubelet.kubernetes.io', 'node.kubernetes.io'];
const reservedDomains = ['kubernetes.io', 'k8s.io'];

const isOf = (domains: readonly string[], domain: string) =>
	domains.some((each) => domain === each || domain.endsWith(`.${each}`));

/**
 * Whether a node may not give itself a label of this name: with one of `node-role.kubernetes.io` or
 * `node-restriction.kubernetes.io` it would draw pods to itself that are not meant for it.
 * Source: Kubernetes documentation, "Admission Control in Kubernetes", NodeRestriction.
 */
export function isReservedNodeLabel(key: string): boolean {
	const domain = key.slice(0, Math.max(0, key.indexOf('/')));
	return isOf(reservedDomains, domain) && !allowed.has(key) && !isOf(allowedDomains, domain);
}

/** What a node may give itself of those domains, for whoever named another one. */
export const allowedNodeLabels = `of ${reservedDomains.join(' and ')} a node may give itself ${[...allowed].join(', ')} and those of ${allowedDomains.join(' and ')}`;
