/** GET /stats/summary: what the node and its pods use. Source: the kubelet's stats API, v1alpha1, of which this is the core. */
import os from 'node:os';
import type { Pod } from '../../kinds/index.ts';
import type { Engine, Usage } from '../engine/engine.ts';
import type { Mirror } from '../pods/mirror.ts';
import { labels, SANDBOX, uidOf } from '../pods/names.ts';

export async function summary(engine: Engine, mirror: Mirror, pods: Iterable<Pod>, node: string): Promise<object> {
	const time = new Date().toISOString();
	const used = os.totalmem() - os.freemem();
	return {
		node: { nodeName: node, memory: { time, usageBytes: used, workingSetBytes: used, availableBytes: os.freemem() } },
		pods: await Promise.all([...pods].map((pod) => podSummary(engine, mirror, pod))),
	};
}

async function podSummary(engine: Engine, mirror: Mirror, pod: Pod): Promise<object> {
	const { name, namespace } = pod.metadata;
	const running = [...mirror.of(uidOf(pod))].filter(({ state }) => state === 'running');
	const readings = await Promise.all(
		running.map(async (one) => ({ name: one.labels[labels.container], usage: await engine.containers.usage(one.id) })),
	);
	const sandbox = readings.find((one) => one.name === SANDBOX)?.usage;
	return {
		podRef: { name, namespace, uid: uidOf(pod) },
		containers: readings.flatMap((one) =>
			one.usage && one.name !== SANDBOX ? [{ name: one.name, ...amounts(one.usage) }] : [],
		),
		...(sandbox?.received === undefined ? {} : { network: { rxBytes: sandbox.received, txBytes: sandbox.sent } }),
	};
}

function amounts(usage: Usage): object {
	const time = new Date(usage.at).toISOString();
	return {
		cpu: { time, usageCoreNanoSeconds: usage.cpuNanoseconds },
		memory: { time, usageBytes: usage.memory, workingSetBytes: usage.workingSet },
	};
}
