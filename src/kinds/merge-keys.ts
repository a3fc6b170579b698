/**
 * How lists and maps of the built-in types merge, and the defaults that merge keys need. The types' package does not carry
 * these. Source: the `+listType`, `+listMapKey`, `+mapType`, `patchStrategy` and `patchMergeKey` markers that the
 * Kubernetes API reference publishes as `x-kubernetes-*` extensions.
 */
import type { Schema } from './schema.ts';

type Extensions = Pick<
	Schema,
	| 'default'
	| 'x-kubernetes-list-type'
	| 'x-kubernetes-list-map-keys'
	| 'x-kubernetes-map-type'
	| 'x-kubernetes-patch-strategy'
	| 'x-kubernetes-patch-merge-key'
>;

const atomic: Extensions = { 'x-kubernetes-list-type': 'atomic' };
const set: Extensions = { 'x-kubernetes-list-type': 'set' };
const atomicMap: Extensions = { 'x-kubernetes-map-type': 'atomic' };
const tcp: Extensions = { default: 'TCP' };
/** Strategic merge only. */
const patch = (strategy: string, key?: string): Extensions => ({
	'x-kubernetes-patch-strategy': strategy,
	...(key && { 'x-kubernetes-patch-merge-key': key }),
});
/** Server-side apply only. */
const map = (...keys: string[]): Extensions => ({
	'x-kubernetes-list-type': 'map',
	'x-kubernetes-list-map-keys': keys,
});
/** Both: merged by `keys` in server-side apply, and by the first of them in a strategic merge patch. */
const merge = (...keys: string[]): Extensions => ({ ...map(...keys), ...patch('merge', keys[0]) });
const retainKeys = (key: string): Extensions => ({ ...map(key), ...patch('merge,retainKeys', key) });

const container = {
	args: atomic,
	command: atomic,
	env: merge('name'),
	envFrom: atomic,
	ports: merge('containerPort', 'protocol'),
	resizePolicy: atomic,
	restartPolicyRules: atomic,
	volumeDevices: merge('devicePath'),
	volumeMounts: merge('mountPath'),
} satisfies Record<string, Extensions>;

const conditions = { conditions: merge('type') };
const items = { items: atomic };

/** By OpenAPI name of the type, then by field. */
export const fieldExtensions: Readonly<Record<string, Readonly<Record<string, Extensions>>>> = {
	'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta': {
		finalizers: { ...set, ...patch('merge') },
		managedFields: atomic,
		ownerReferences: merge('uid'),
	},
	'io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector': { matchExpressions: atomic },
	'io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement': { values: atomic },
	'io.k8s.apimachinery.pkg.apis.meta.v1.StatusDetails': { causes: atomic },
	'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions': { dryRun: atomic },
	'io.k8s.api.apps.v1.DeploymentSpec': { strategy: patch('retainKeys') },
	'io.k8s.api.apps.v1.DeploymentStatus': conditions,
	'io.k8s.api.apps.v1.ReplicaSetStatus': conditions,
	'io.k8s.api.core.v1.Capabilities': { add: atomic, drop: atomic },
	'io.k8s.api.core.v1.CephFSVolumeSource': { monitors: atomic },
	'io.k8s.api.core.v1.ConfigMapProjection': items,
	'io.k8s.api.core.v1.ConfigMapVolumeSource': items,
	'io.k8s.api.core.v1.Container': container,
	'io.k8s.api.core.v1.ContainerImage': { names: atomic },
	'io.k8s.api.core.v1.ContainerPort': { protocol: tcp },
	'io.k8s.api.core.v1.ContainerRestartRuleOnExitCodes': { values: set },
	'io.k8s.api.core.v1.ContainerStatus': {
		allocatedResourcesStatus: merge('name'),
		volumeMounts: merge('mountPath'),
	},
	'io.k8s.api.core.v1.DownwardAPIProjection': items,
	'io.k8s.api.core.v1.DownwardAPIVolumeSource': items,
	'io.k8s.api.core.v1.EndpointSubset': { addresses: atomic, notReadyAddresses: atomic, ports: atomic },
	'io.k8s.api.core.v1.Endpoints': { subsets: atomic },
	'io.k8s.api.core.v1.EphemeralContainer': container,
	'io.k8s.api.core.v1.ExecAction': { command: atomic },
	'io.k8s.api.core.v1.FCVolumeSource': { targetWWNs: atomic, wwids: atomic },
	'io.k8s.api.core.v1.HTTPGetAction': { httpHeaders: atomic },
	'io.k8s.api.core.v1.HostAlias': { hostnames: atomic },
	'io.k8s.api.core.v1.ISCSIVolumeSource': { portals: atomic },
	'io.k8s.api.core.v1.LinuxContainerUser': { supplementalGroups: atomic },
	'io.k8s.api.core.v1.LoadBalancerIngress': { ports: atomic },
	'io.k8s.api.core.v1.LoadBalancerStatus': { ingress: atomic },
	'io.k8s.api.core.v1.NamespaceSpec': { finalizers: atomic },
	'io.k8s.api.core.v1.NamespaceStatus': conditions,
	'io.k8s.api.core.v1.NodeAffinity': { preferredDuringSchedulingIgnoredDuringExecution: atomic },
	'io.k8s.api.core.v1.NodeSelector': { nodeSelectorTerms: atomic },
	'io.k8s.api.core.v1.NodeSelectorRequirement': { values: atomic },
	'io.k8s.api.core.v1.NodeSelectorTerm': { matchExpressions: atomic, matchFields: atomic },
	'io.k8s.api.core.v1.NodeSpec': { podCIDRs: { ...set, ...patch('merge') }, taints: atomic },
	'io.k8s.api.core.v1.NodeStatus': {
		addresses: merge('type'),
		...conditions,
		declaredFeatures: atomic,
		images: atomic,
		runtimeHandlers: atomic,
		volumesAttached: atomic,
		volumesInUse: atomic,
	},
	'io.k8s.api.core.v1.PersistentVolumeClaimSpec': { accessModes: atomic },
	'io.k8s.api.core.v1.PodAffinity': {
		preferredDuringSchedulingIgnoredDuringExecution: atomic,
		requiredDuringSchedulingIgnoredDuringExecution: atomic,
	},
	'io.k8s.api.core.v1.PodAffinityTerm': { matchLabelKeys: atomic, mismatchLabelKeys: atomic, namespaces: atomic },
	'io.k8s.api.core.v1.PodAntiAffinity': {
		preferredDuringSchedulingIgnoredDuringExecution: atomic,
		requiredDuringSchedulingIgnoredDuringExecution: atomic,
	},
	'io.k8s.api.core.v1.PodDNSConfig': { nameservers: atomic, options: atomic, searches: atomic },
	'io.k8s.api.core.v1.PodSecurityContext': { supplementalGroups: atomic, sysctls: atomic },
	'io.k8s.api.core.v1.PodSpec': {
		containers: merge('name'),
		ephemeralContainers: merge('name'),
		hostAliases: merge('ip'),
		imagePullSecrets: merge('name'),
		initContainers: merge('name'),
		nodeSelector: atomicMap,
		readinessGates: atomic,
		resourceClaims: retainKeys('name'),
		schedulingGates: merge('name'),
		tolerations: atomic,
		topologySpreadConstraints: merge('topologyKey', 'whenUnsatisfiable'),
		volumes: retainKeys('name'),
	},
	'io.k8s.api.core.v1.PodStatus': {
		...conditions,
		containerStatuses: atomic,
		ephemeralContainerStatuses: atomic,
		hostIPs: { ...atomic, ...patch('merge', 'ip') },
		initContainerStatuses: atomic,
		podIPs: merge('ip'),
		resourceClaimStatuses: retainKeys('name'),
	},
	'io.k8s.api.core.v1.ProjectedVolumeSource': { sources: atomic },
	'io.k8s.api.core.v1.RBDVolumeSource': { monitors: atomic },
	'io.k8s.api.core.v1.ResourceRequirements': { claims: map('name') },
	'io.k8s.api.core.v1.ResourceStatus': { resources: map('resourceID') },
	'io.k8s.api.core.v1.SecretProjection': items,
	'io.k8s.api.core.v1.SecretVolumeSource': items,
	'io.k8s.api.core.v1.ServiceAccount': { imagePullSecrets: atomic, secrets: merge('name') },
	'io.k8s.api.core.v1.ServicePort': { protocol: tcp },
	'io.k8s.api.core.v1.ServiceSpec': {
		clusterIPs: atomic,
		externalIPs: atomic,
		ipFamilies: atomic,
		loadBalancerSourceRanges: atomic,
		ports: merge('port', 'protocol'),
		selector: atomicMap,
	},
	'io.k8s.api.core.v1.ServiceStatus': conditions,
	'io.k8s.api.core.v1.TopologySpreadConstraint': { matchLabelKeys: atomic },
	'io.k8s.api.discovery.v1.Endpoint': { addresses: set },
	'io.k8s.api.discovery.v1.EndpointHints': { forNodes: atomic, forZones: atomic },
	'io.k8s.api.discovery.v1.EndpointSlice': { endpoints: atomic, ports: atomic },
};

/** Types whose objects are one value in server-side apply: who sets one of the fields sets them all. */
export const atomicTypes: ReadonlySet<string> = new Set([
	'io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector',
	'io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference',
	'io.k8s.api.core.v1.ConfigMapKeySelector',
	'io.k8s.api.core.v1.EndpointAddress',
	'io.k8s.api.core.v1.EndpointPort',
	'io.k8s.api.core.v1.FileKeySelector',
	'io.k8s.api.core.v1.LocalObjectReference',
	'io.k8s.api.core.v1.NodeSelector',
	'io.k8s.api.core.v1.NodeSelectorTerm',
	'io.k8s.api.core.v1.ObjectFieldSelector',
	'io.k8s.api.core.v1.ObjectReference',
	'io.k8s.api.core.v1.ResourceFieldSelector',
	'io.k8s.api.core.v1.SecretKeySelector',
	'io.k8s.api.core.v1.TypedLocalObjectReference',
	'io.k8s.api.discovery.v1.EndpointPort',
]);
