/** How kubectl prints pods. Source: Kubernetes documentation, "Pod Lifecycle", and what `kubectl get pods` shows. */
import type * as core from 'kubernetes-types/core/v1.js';
import { ageOf } from '../age.ts';
import { age, column, wide } from '../declare.ts';
import type { Column } from '../kind.ts';
import type { Pod } from './pod.ts';

export const podColumns: readonly Column<Pod>[] = [
	column('Ready', 'string', 'How many of the containers are ready.', (pod) => {
		const summary = summarize(pod);
		return `${summary.ready}/${summary.total}`;
	}),
	column('Status', 'string', 'What the pod and its containers are at, in one word.', (pod) => summarize(pod).reason),
	column('Restarts', 'string', 'How often containers were started again, and when last.', (pod, now) => {
		const { restarts, lastRestart } = summarize(pod);
		return lastRestart ? `${restarts} (${ageOf(lastRestart, now)} ago)` : String(restarts);
	}),
	age,
	wide(
		'IP',
		'string',
		'The address of the pod.',
		(pod) => pod.status?.podIPs?.[0]?.ip || pod.status?.podIP || '<none>',
	),
	wide('Node', 'string', 'The node that the pod runs on.', (pod) => pod.spec.nodeName || '<none>'),
	wide(
		'Nominated Node',
		'string',
		'The node that is being made free for the pod.',
		(pod) => pod.status?.nominatedNodeName || '<none>',
	),
	wide('Readiness Gates', 'string', 'How many of the additional conditions of readiness hold.', (pod) => {
		const gates = pod.spec.readinessGates ?? [];
		if (gates.length === 0) return '<none>';
		const held = new Set(
			(pod.status?.conditions ?? []).flatMap(({ type, status }) => (status === 'True' ? [type] : [])),
		);
		const met = gates.filter((gate) => held.has(gate.conditionType)).length;
		return `${met}/${gates.length}`;
	}),
];

interface Summary {
	readonly ready: number;
	readonly total: number;
	readonly reason: string;
	readonly restarts: number;
	readonly lastRestart?: string;
}

/** The figures of a pod's line. */
export function summarize(pod: Pod): Summary {
	const { status, spec, metadata } = pod;
	const sidecars = new Set(
		(spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always').map(({ name }) => name),
	);
	let reason = status?.reason || status?.phase || 'Pending';
	if (status?.conditions?.some((each) => each.type === 'PodScheduled' && each.reason === 'SchedulingGated'))
		reason = 'SchedulingGated';

	const init = summarizeInit(pod, sidecars);
	let { ready, restarts, lastRestart } = init;
	reason = init.reason ?? reason;
	if (!init.reason || conditionStatus(pod, 'Initialized') === 'True') {
		// Init containers are done: from here on only those that keep running count.
		restarts = init.sidecarRestarts;
		lastRestart = init.lastSidecarRestart;
		let running = false;
		// The first container that has something to say says it, hence from the last to the first.
		for (const container of (status?.containerStatuses ?? []).toReversed()) {
			restarts += container.restartCount ?? 0;
			lastRestart = later(lastRestart, container.lastState?.terminated?.finishedAt);
			const state = container.state ?? {};
			if (state.waiting?.reason) reason = state.waiting.reason;
			else if (state.terminated) reason = terminatedReason(state.terminated);
			else if (container.ready && state.running) {
				running = true;
				ready++;
			}
		}
		if (reason === 'Completed' && running) reason = conditionStatus(pod, 'Ready') === 'True' ? 'Running' : 'NotReady';
	}
	if (metadata.deletionTimestamp) {
		if (status?.reason === 'NodeLost') reason = 'Unknown';
		else if (status?.phase !== 'Succeeded' && status?.phase !== 'Failed') reason = 'Terminating';
	}
	if (restarts === 0) lastRestart = undefined;
	return { ready, total: (spec.containers?.length ?? 0) + sidecars.size, reason, restarts, lastRestart };
}

interface InitSummary {
	/** Absent when all init containers are through. */
	readonly reason?: string;
	readonly ready: number;
	readonly restarts: number;
	readonly sidecarRestarts: number;
	readonly lastRestart?: string;
	readonly lastSidecarRestart?: string;
}

function summarizeInit(pod: Pod, sidecars: ReadonlySet<string>): InitSummary {
	const total = pod.spec.initContainers?.length ?? 0;
	let ready = 0;
	let restarts = 0;
	let sidecarRestarts = 0;
	let lastRestart: string | undefined;
	let lastSidecarRestart: string | undefined;
	for (const [index, container] of (pod.status?.initContainerStatuses ?? []).entries()) {
		const { state = {}, restartCount = 0 } = container;
		const sidecar = sidecars.has(container.name);
		const finished = container.lastState?.terminated?.finishedAt;
		restarts += restartCount;
		lastRestart = later(lastRestart, finished);
		if (sidecar) {
			sidecarRestarts += restartCount;
			lastSidecarRestart = later(lastSidecarRestart, finished);
		}
		if (state.terminated?.exitCode === 0) continue;
		if (sidecar && container.started) {
			if (container.ready) ready++;
			continue;
		}
		let reason = `Init:${index}/${total}`;
		if (state.terminated) reason = `Init:${terminatedReason(state.terminated)}`;
		else if (state.waiting?.reason && state.waiting.reason !== 'PodInitializing')
			reason = `Init:${state.waiting.reason}`;
		return { reason, ready, restarts, sidecarRestarts, lastRestart, lastSidecarRestart };
	}
	return { ready, restarts, sidecarRestarts, lastRestart, lastSidecarRestart };
}

function terminatedReason(state: core.ContainerStateTerminated): string {
	if (state.reason) return state.reason;
	return state.signal ? `Signal:${state.signal}` : `ExitCode:${state.exitCode}`;
}

export function conditionStatus(pod: Pod, type: string): string | undefined {
	return pod.status?.conditions?.find((condition) => condition.type === type)?.status;
}

function later(a: string | undefined, b: string | undefined): string | undefined {
	if (!a || !b) return a ?? b;
	return Date.parse(b) > Date.parse(a) ? b : a;
}
