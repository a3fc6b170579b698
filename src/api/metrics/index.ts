/**
 * metrics.k8s.io: what nodes and pods use, as their agents measure it. Computed when it is asked for; nothing is stored.
 * Source: Kubernetes documentation, "Resource metrics pipeline".
 */
import { Node } from '../../kinds/core/node.ts';
import { Pod } from '../../kinds/core/pod.ts';
import { NodeMetrics } from '../../kinds/metrics/node-metrics.ts';
import { PodMetrics } from '../../kinds/metrics/pod-metrics.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { ApiError } from '../../kinds/status.ts';
import type { Log } from '../../log.ts';
import type { Api, Computing } from '../api.ts';
import type { KeyPair } from '../certificates.ts';
import { systemCaller } from '../open.ts';
import { nodeMetrics, podMetrics } from './rates.ts';
import { openMeter, type Reading } from './reading.ts';
import { createReadings, type Readings } from './readings.ts';

export interface MeasuringOptions {
	/** What the server shows to agents, now. */
	readonly client: () => KeyPair;
	readonly log: Log;
	readonly signal: AbortSignal;
}

/** Computes PodMetrics and NodeMetrics. What runs on a node that does not answer is left out. */
export function measuring({ client, log, signal }: MeasuringOptions): readonly Computing[] {
	return measuredBy(createReadings({ open: (node) => openMeter(node, client, signal), log, signal }));
}

/** As `measuring`, of readings that somebody takes. */
export function measuredBy(readings: Readings): readonly Computing[] {
	const nodes: Computing<NodeMetrics> = {
		kind: NodeMetrics,
		async compute(api, { name, labelSelector }) {
			const asked = await selected(api, Node, { name, labelSelector });
			const all = await Promise.all(asked.map(async (node) => nodeMetrics(node, await readings.of(node))));
			return all.filter((each) => each !== undefined);
		},
	};
	const pods: Computing<PodMetrics> = {
		kind: PodMetrics,
		async compute(api, asked) {
			const running = (await selected(api, Pod, asked)).filter(({ status }) => status?.phase === 'Running');
			const byNode = Map.groupBy(running, ({ spec }) => spec.nodeName ?? '');
			const all = await Promise.all(
				[...byNode].map(async ([name, there]) => {
					const known = await readingsOn(api, readings, name);
					return there.map((pod) => podMetrics(pod, known));
				}),
			);
			return all.flat().filter((each) => each !== undefined);
		},
	};
	return [nodes as unknown as Computing, pods as unknown as Computing];
}

async function readingsOn(api: Api, readings: Readings, name: string): Promise<readonly Reading[]> {
	const [node] = name ? await selected(api, Node, { name }) : [];
	return node ? readings.of(node) : [];
}

type Asked = Parameters<Computing['compute']>[1];

/** What the cache has of the objects that are asked for; one that is not there is none. */
async function selected<T extends KubeObject>(
	api: Api,
	kind: Parameters<typeof api.get<T>>[0]['kind'],
	{ namespace, name, labelSelector }: Asked,
): Promise<readonly T[]> {
	const resourceVersion = '0';
	if (name === undefined) {
		const listed = await api.list({ kind, namespace }, { labelSelector, resourceVersion }, systemCaller);
		return listed.items.map(({ object }) => object);
	}
	try {
		return [(await api.get({ kind, namespace, name }, { resourceVersion }, systemCaller)).object];
	} catch (error) {
		if (error instanceof ApiError && error.reason === 'NotFound') return [];
		throw error;
	}
}
