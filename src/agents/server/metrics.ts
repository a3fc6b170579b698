/**
 * Figures of the node in Prometheus' form, under the kubelet's names: /metrics tells of the agent, /metrics/resource of what the
 * node and its pods use. Source: Kubernetes documentation, "Kubernetes Metrics Reference" and "Node metrics data".
 */
import type { Pod } from '../../kinds/index.ts';
import { type Family, labelled } from '../../metrics.ts';
import type { Mirror } from '../pods/mirror.ts';
import { uidOf } from '../pods/names.ts';
import type { PodSummary, Summary } from './summary.ts';

const NANO = 1e9;

/** Of the agent: its process, and what runs on the node. */
export function agentFamilies(node: string, mirror: Mirror, pods: Iterable<Pod>): Family[] {
	const containers = new Map<string, number>();
	let running = 0;
	for (const pod of pods) {
		const all = [...mirror.of(uidOf(pod))];
		if (all.some((one) => one.kind === 'sandbox' && one.state === 'running')) running++;
		for (const one of all)
			if (one.kind === 'container') containers.set(one.state, (containers.get(one.state) ?? 0) + 1);
	}
	const { rss } = process.memoryUsage();
	const { user, system } = process.cpuUsage();
	return [
		gauge('kubelet_node_name', 'The name of the node.', [[labelled({ node }), 1]]),
		gauge('kubelet_running_pods', 'Pods that have a running sandbox.', [['', running]]),
		gauge(
			'kubelet_running_containers',
			'Containers by their state.',
			Array.from(containers, ([state, count]) => [labelled({ container_state: state }), count] as const),
		),
		counter('process_cpu_seconds_total', 'Processor time of the agent, in seconds.', [['', (user + system) / 1e6]]),
		gauge('process_resident_memory_bytes', 'Resident memory of the agent, in bytes.', [['', rss]]),
	];
}

/** What the node, its pods and their containers use. */
export function resourceFamilies({ node, pods }: Summary): Family[] {
	const perPod = (figure: (container: PodSummary['containers'][number]) => number) =>
		pods
			.filter(({ containers }) => containers.length > 0)
			.map(({ podRef: { name, namespace = '' }, containers }) => {
				const sum = containers.reduce((all, container) => all + figure(container), 0);
				return [labelled({ pod: name, namespace }), sum] as const;
			});
	const perContainer = (figure: (container: PodSummary['containers'][number]) => number) =>
		pods.flatMap(({ podRef: { name, namespace = '' }, containers }) =>
			containers.map(
				(container) => [labelled({ container: container.name, pod: name, namespace }), figure(container)] as const,
			),
		);
	const seconds = ({ cpu }: Pick<Summary['node'], 'cpu'>) => cpu.usageCoreNanoSeconds / NANO;
	const bytes = ({ memory }: Pick<Summary['node'], 'memory'>) => memory.workingSetBytes;
	return [
		counter('node_cpu_usage_seconds_total', 'Processor time of the node, in core seconds.', [['', seconds(node)]]),
		gauge('node_memory_working_set_bytes', 'Memory in use on the node, in bytes.', [['', bytes(node)]]),
		counter('pod_cpu_usage_seconds_total', 'Processor time of a pod, in core seconds.', perPod(seconds)),
		gauge('pod_memory_working_set_bytes', 'Memory in use by a pod, in bytes.', perPod(bytes)),
		counter(
			'container_cpu_usage_seconds_total',
			'Processor time of a container, in core seconds.',
			perContainer(seconds),
		),
		gauge('container_memory_working_set_bytes', 'Memory in use by a container, in bytes.', perContainer(bytes)),
	];
}

const gauge = (name: string, help: string, samples: Family['samples']): Family => ({
	name,
	help,
	type: 'gauge',
	samples,
});
const counter = (name: string, help: string, samples: Family['samples']): Family => ({
	name,
	help,
	type: 'counter',
	samples,
});
