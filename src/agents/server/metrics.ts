/**
 * Figures of the node in Prometheus' form, under the kubelet's names: /metrics tells of the agent, /metrics/resource of what the
 * node and its pods use. Source: Kubernetes documentation, "Kubernetes Metrics Reference" and "Node metrics data".
 */
import type { Pod } from '../../kinds/index.ts';
import { type Family, labelled } from '../../metrics.ts';
import type { Mirror } from '../pods/mirror.ts';
import { uidOf } from '../pods/names.ts';
import type { Amounts, Summary } from './summary.ts';

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
	type Figure = (of: Amounts) => number | undefined;
	const sample = (labels: Readonly<Record<string, string>>, value: number | undefined) =>
		value === undefined ? [] : [[labelled(labels), value] as const];
	const perPod = (figure: Figure) =>
		pods
			.filter(({ containers }) => containers.length > 0)
			.flatMap((pod) => sample({ pod: pod.podRef.name, namespace: pod.podRef.namespace }, figure(pod)));
	const perContainer = (figure: Figure) =>
		pods.flatMap(({ podRef: { name, namespace }, containers }) =>
			containers.flatMap((one) => sample({ container: one.name, pod: name, namespace }, figure(one))),
		);
	const seconds = ({ cpu }: Amounts) => cpu.usageCoreNanoSeconds / NANO;
	const bytes = ({ memory }: Amounts) => memory.workingSetBytes;
	const swapped = ({ swap }: Amounts) => swap?.swapUsageBytes;
	const started = pods.flatMap(({ podRef: { name, namespace }, containers }) =>
		containers.flatMap((container) =>
			container.startTime === undefined
				? []
				: [
						[
							labelled({ container: container.name, pod: name, namespace }),
							Date.parse(container.startTime) / 1000,
						] as const,
					],
		),
	);
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
		gauge('node_swap_usage_bytes', 'Swap in use on the node, in bytes.', sample({}, swapped(node))),
		gauge('pod_swap_usage_bytes', 'Swap in use by a pod, in bytes.', perPod(swapped)),
		gauge('container_swap_usage_bytes', 'Swap in use by a container, in bytes.', perContainer(swapped)),
		gauge('container_start_time_seconds', 'When a container was started, in seconds since the epoch.', started),
		gauge('resource_scrape_error', '1 where the figures could not be read, else 0.', [['', 0]]),
	];
}

export const gauge = (name: string, help: string, samples: Family['samples']): Family => ({
	name,
	help,
	type: 'gauge',
	samples,
});
export const counter = (name: string, help: string, samples: Family['samples']): Family => ({
	name,
	help,
	type: 'counter',
	samples,
});
