/** GET /stats/summary: what the node and its pods use. Source: the kubelet's stats API, v1alpha1, of which this is the core. */
import os from 'node:os';
import pLimit from 'p-limit';
import type { Pod } from '../../kinds/index.ts';
import { type Engine, EngineError, type Usage } from '../engine/index.ts';
import type { Mirror } from '../pods/mirror.ts';
import { uidOf } from '../pods/names.ts';

/** Containers that are read at once: a reading is a request of the engine. */
const PARALLEL_READINGS = 8;

/** A counter of processor time, and memory now. */
interface Amounts {
	readonly cpu: { readonly time: string; readonly usageCoreNanoSeconds: number };
	readonly memory: { readonly time: string; readonly usageBytes: number; readonly workingSetBytes: number };
}

export interface PodSummary {
	readonly podRef: { readonly name: string; readonly namespace: string | undefined; readonly uid: string };
	readonly containers: readonly (Amounts & { readonly name: string })[];
	readonly network?: { readonly rxBytes: number; readonly txBytes: number | undefined };
}

export interface Summary {
	readonly node: Amounts & { readonly nodeName: string };
	readonly pods: readonly PodSummary[];
}

export async function summary(engine: Engine, mirror: Mirror, pods: Iterable<Pod>, node: string): Promise<Summary> {
	const limit = pLimit(PARALLEL_READINGS);
	// One that cannot be read keeps nobody from the others.
	const read: Read = (id) =>
		limit(() => engine.parts.usage(id)).catch((error: unknown) => {
			if (error instanceof EngineError && error.fault !== 'down') return undefined;
			throw error;
		});
	const time = new Date().toISOString();
	return {
		node: { nodeName: node, cpu: { time, usageCoreNanoSeconds: processorTime() }, memory: { time, ...memoryNow() } },
		pods: await Promise.all([...pods].map((pod) => podSummary(read, mirror, pod))),
	};
}

/** How long the processors of the machine have worked since its start, in nanoseconds. */
const processorTime = () =>
	os.cpus().reduce((sum, { times: { user, nice, sys, irq } }) => sum + (user + nice + sys + irq) * 1e6, 0);

function memoryNow() {
	const used = os.totalmem() - os.freemem();
	return { usageBytes: used, workingSetBytes: used, availableBytes: os.freemem() };
}

type Read = (id: string) => Promise<Usage | undefined>;

async function podSummary(read: Read, mirror: Mirror, pod: Pod): Promise<PodSummary> {
	const { name, namespace } = pod.metadata;
	const running = [...mirror.of(uidOf(pod))].filter(({ state }) => state === 'running');
	const readings = await Promise.all(
		running.map(async (part) => ({
			name: part.kind === 'container' ? part.name : undefined,
			usage: await read(part.id),
		})),
	);
	const sandbox = readings.find(({ name }) => name === undefined)?.usage;
	return {
		podRef: { name, namespace, uid: uidOf(pod) },
		containers: readings.flatMap(({ name, usage }) =>
			usage && name !== undefined ? [{ name, ...amounts(usage) }] : [],
		),
		...(sandbox?.received === undefined ? {} : { network: { rxBytes: sandbox.received, txBytes: sandbox.sent } }),
	};
}

function amounts(usage: Usage): Amounts {
	const time = new Date(usage.at).toISOString();
	return {
		cpu: { time, usageCoreNanoSeconds: usage.cpuNanoseconds },
		memory: { time, usageBytes: usage.memory, workingSetBytes: usage.workingSet },
	};
}
