/** Series of pods and their containers. Source: kube-state-metrics documentation, "Pod Metrics". */
import { Pod } from '../../kinds/index.ts';
import {
	figure,
	info,
	type Labels,
	observed,
	oneOf,
	owner,
	resources,
	type Sample,
	seconds,
	several,
	texts,
} from './series.ts';

const PHASES = ['Pending', 'Succeeded', 'Failed', 'Unknown', 'Running'];
const REASONS = ['Evicted', 'NodeAffinity', 'NodeLost', 'Shutdown', 'UnexpectedAdmissionError'];

const statuses = ({ status }: Pod) => status?.containerStatuses ?? [];

type Status = ReturnType<typeof statuses>[number];

/** A sample of each container whose figure is known. */
const perContainer = (
	name: string,
	help: string,
	of: (container: Status) => number | boolean | undefined,
	type: 'gauge' | 'counter' = 'gauge',
) =>
	several<Pod>(
		name,
		help,
		function* (pod) {
			for (const container of statuses(pod)) {
				const value = of(container);
				if (value !== undefined) yield [{ container: container.name }, Number(value)];
			}
		},
		type,
	);

/** 1 for the reason of each container that has one. */
const reasonOf = (name: string, help: string, of: (container: Status) => string | undefined) =>
	several<Pod>(name, help, function* (pod) {
		for (const container of statuses(pod)) {
			const reason = of(container);
			if (reason) yield [{ container: container.name, reason }, 1];
		}
	});

/** As conditions of pods are told: by the word, in lower case. */
const conditionOf = (name: string, help: string, type: string) =>
	several<Pod>(name, help, ({ status }) => {
		const found = status?.conditions?.find((condition) => condition.type === type);
		return found ? oneOf('condition', ['true', 'false', 'unknown'], found.status.toLowerCase()) : [];
	});

function* ofContainers({ spec }: Pod, which: 'requests' | 'limits'): Iterable<Sample> {
	for (const { name, resources: asked } of spec.containers)
		yield* resources(asked?.[which], { container: name, node: spec.nodeName ?? '' });
}

const labelsOf = ({ metadata: { namespace = '', name, uid = '' } }: Pod): Labels => ({ namespace, pod: name, uid });

export const podSeries = observed<Pod>(
	Pod,
	[
		info('kube_pod_info', 'Where the pod runs, and for whom.', ({ metadata, spec, status }) => {
			const controller = metadata.ownerReferences?.find((reference) => reference.controller);
			return {
				host_ip: status?.hostIP,
				pod_ip: status?.podIP,
				node: spec.nodeName,
				created_by_kind: controller?.kind,
				created_by_name: controller?.name,
				priority_class: spec.priorityClassName,
				host_network: String(spec.hostNetwork ?? false),
			};
		}),
		figure('kube_pod_created', 'When it was made, in seconds since the epoch.', ({ metadata }) =>
			seconds(metadata.creationTimestamp),
		),
		figure('kube_pod_start_time', 'When its node has taken it, in seconds since the epoch.', ({ status }) =>
			seconds(status?.startTime),
		),
		figure('kube_pod_deletion_timestamp', 'When it is to be gone, in seconds since the epoch.', ({ metadata }) =>
			seconds(metadata.deletionTimestamp),
		),
		owner('kube_pod_owner'),
		several('kube_pod_restart_policy', 'What becomes of containers that end.', ({ spec }) => [
			[{ type: spec.restartPolicy ?? '' }, 1],
		]),
		several('kube_pod_status_phase', 'Its phase.', ({ status }) => oneOf('phase', PHASES, status?.phase)),
		several('kube_pod_status_reason', 'Why it is as it is.', ({ status }) => oneOf('reason', REASONS, status?.reason)),
		several('kube_pod_status_qos_class', 'Its class of quality of service.', ({ status }) =>
			oneOf('qos_class', ['BestEffort', 'Burstable', 'Guaranteed'], status?.qosClass),
		),
		conditionOf('kube_pod_status_ready', 'Whether it is ready.', 'Ready'),
		conditionOf('kube_pod_status_scheduled', 'Whether it has a node.', 'PodScheduled'),
		figure('kube_pod_status_unschedulable', 'That no node fits it.', ({ status }) =>
			status?.conditions?.some(({ type, reason }) => type === 'PodScheduled' && reason === 'Unschedulable')
				? 1
				: undefined,
		),
		several('kube_pod_container_info', 'The image of each container.', function* (pod) {
			const specs = new Map(pod.spec.containers.map((container) => [container.name, container]));
			for (const { name, image, imageID, containerID } of statuses(pod))
				yield [
					texts({
						container: name,
						image_spec: specs.get(name)?.image,
						image,
						image_id: imageID,
						container_id: containerID,
					}),
					1,
				];
		}),
		perContainer('kube_pod_container_status_waiting', 'Whether it waits.', ({ state }) => Boolean(state?.waiting)),
		reasonOf('kube_pod_container_status_waiting_reason', 'Why it waits.', ({ state }) => state?.waiting?.reason),
		perContainer('kube_pod_container_status_running', 'Whether it runs.', ({ state }) => Boolean(state?.running)),
		perContainer('kube_pod_container_state_started', 'When it was started, in seconds since the epoch.', ({ state }) =>
			seconds(state?.running?.startedAt ?? state?.terminated?.startedAt),
		),
		perContainer('kube_pod_container_status_terminated', 'Whether it has ended.', ({ state }) =>
			Boolean(state?.terminated),
		),
		reasonOf(
			'kube_pod_container_status_terminated_reason',
			'Why it has ended.',
			({ state }) => state?.terminated?.reason,
		),
		reasonOf(
			'kube_pod_container_status_last_terminated_reason',
			'Why it had ended before.',
			({ lastState }) => lastState?.terminated?.reason,
		),
		perContainer(
			'kube_pod_container_status_last_terminated_exitcode',
			'With what it had ended before.',
			({ lastState }) => lastState?.terminated?.exitCode,
		),
		perContainer('kube_pod_container_status_ready', 'Whether it is ready.', ({ ready }) => ready),
		perContainer(
			'kube_pod_container_status_restarts_total',
			'How often it was restarted.',
			({ restartCount }) => restartCount,
			'counter',
		),
		several('kube_pod_container_resource_requests', 'What it asks for.', (pod) => ofContainers(pod, 'requests')),
		several('kube_pod_container_resource_limits', 'What it may use.', (pod) => ofContainers(pod, 'limits')),
	],
	labelsOf,
);
