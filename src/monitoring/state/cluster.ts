/** Series of what is beside workloads. Source: kube-state-metrics documentation, the page of each kind. */
import {
	ConfigMap,
	Namespace,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	quantity,
	ResourceQuota,
	Secret,
	Service,
} from '../../kinds/index.ts';
import { conditions, created, figure, info, observed, oneOf, resources, type Sample, several } from './series.ts';

const ROLE = 'node-role.kubernetes.io/';
const bytes = (amount: string | undefined) => (amount === undefined ? undefined : quantity(amount));

export const clusterSeries = [
	observed<Node>(Node, [
		info('kube_node_info', 'What the node is.', ({ spec, status }) => {
			const { nodeInfo } = status ?? {};
			return {
				kernel_version: nodeInfo?.kernelVersion,
				os_image: nodeInfo?.osImage,
				container_runtime_version: nodeInfo?.containerRuntimeVersion,
				kubelet_version: nodeInfo?.kubeletVersion,
				kubeproxy_version: nodeInfo?.kubeProxyVersion,
				provider_id: spec?.providerID,
				pod_cidr: spec?.podCIDR,
				system_uuid: nodeInfo?.systemUUID,
				internal_ip: status?.addresses?.find(({ type }) => type === 'InternalIP')?.address,
			};
		}),
		created('kube_node'),
		several('kube_node_role', 'The roles that its labels give it.', ({ metadata }) =>
			Object.keys(metadata.labels ?? {})
				.filter((key) => key.startsWith(ROLE))
				.map((key): Sample => [{ role: key.slice(ROLE.length) }, 1]),
		),
		figure('kube_node_spec_unschedulable', 'Whether it takes no pods.', ({ spec }) => spec?.unschedulable ?? false),
		several('kube_node_spec_taint', 'Its taints.', ({ spec }) =>
			(spec?.taints ?? []).map(({ key, value = '', effect }): Sample => [{ key, value, effect }, 1]),
		),
		several('kube_node_status_condition', 'Its conditions.', ({ status }) => conditions(status?.conditions)),
		several('kube_node_status_capacity', 'What it has.', ({ status }) => resources(status?.capacity)),
		several('kube_node_status_allocatable', 'What pods can have of it.', ({ status }) =>
			resources(status?.allocatable),
		),
	]),
	observed<Namespace>(Namespace, [
		created('kube_namespace'),
		several('kube_namespace_status_phase', 'Its phase.', ({ status }) =>
			oneOf('phase', ['Active', 'Terminating'], status?.phase),
		),
	]),
	observed<Service>(Service, [
		info('kube_service_info', 'How it is reached.', ({ spec }) => ({
			cluster_ip: spec.clusterIP,
			external_name: spec.externalName,
			load_balancer_ip: spec.loadBalancerIP,
		})),
		created('kube_service'),
		several('kube_service_spec_type', 'Its type.', ({ spec }) => [[{ type: spec.type ?? '' }, 1]]),
		several('kube_service_status_load_balancer_ingress', 'Where it is reached from outside.', ({ status }) =>
			(status?.loadBalancer?.ingress ?? []).map(({ ip = '', hostname = '' }): Sample => [{ ip, hostname }, 1]),
		),
	]),
	observed<PersistentVolume>(PersistentVolume, [
		info('kube_persistentvolume_info', 'Its class.', ({ spec }) => ({ storageclass: spec.storageClassName })),
		several('kube_persistentvolume_status_phase', 'Its phase.', ({ status }) =>
			oneOf('phase', ['Pending', 'Available', 'Bound', 'Released', 'Failed'], status?.phase),
		),
		figure('kube_persistentvolume_capacity_bytes', 'Its size.', ({ spec }) => bytes(spec.capacity?.storage)),
	]),
	observed<PersistentVolumeClaim>(PersistentVolumeClaim, [
		info('kube_persistentvolumeclaim_info', 'Its class and its volume.', ({ spec }) => ({
			storageclass: spec.storageClassName,
			volumename: spec.volumeName,
			volumemode: spec.volumeMode,
		})),
		several('kube_persistentvolumeclaim_status_phase', 'Its phase.', ({ status }) =>
			oneOf('phase', ['Lost', 'Bound', 'Pending'], status?.phase),
		),
		figure('kube_persistentvolumeclaim_resource_requests_storage_bytes', 'The size that it asks for.', ({ spec }) =>
			bytes(spec.resources?.requests?.storage),
		),
	]),
	observed<ResourceQuota>(ResourceQuota, [
		created('kube_resourcequota'),
		several('kube_resourcequota', 'What may be used, and is.', function* ({ status }) {
			for (const type of ['hard', 'used'] as const)
				for (const [resource, amount] of Object.entries(status?.[type] ?? {}))
					yield [{ resource, type }, quantity(amount)];
		}),
	]),
	observed<ConfigMap>(ConfigMap, [
		info('kube_configmap_info', 'That there is one.', () => ({})),
		created('kube_configmap'),
	]),
	observed<Secret>(Secret, [
		info('kube_secret_info', 'That there is one.', () => ({})),
		created('kube_secret'),
		several('kube_secret_type', 'Its type.', ({ type }) => [[{ type: type ?? '' }, 1]]),
	]),
];
