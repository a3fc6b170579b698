/**
 * What nodes and pods use, from two readings of their counters: processors are a rate over a window, memory is what the end of it
 * says. Source: metrics-server documentation, "FAQ", and k8s.io/metrics.
 */
import type { Node } from '../../kinds/core/node.ts';
import type { Pod } from '../../kinds/core/pod.ts';
import type { NodeMetrics } from '../../kinds/metrics/node-metrics.ts';
import type { PodMetrics } from '../../kinds/metrics/pod-metrics.ts';
import type { Usage } from '../../kinds/metrics/usage.ts';
import { canonicalQuantity, formatQuantity } from '../../kinds/quantity.ts';
import { timestamp } from '../../kinds/timestamp.ts';
import type { Figure, Reading } from './reading.ts';

/** The shortest window that is looked for, in ms; what is younger is measured over a shorter one. */
const WINDOW_MS = 2_000;
/** Over less than this a rate says nothing. */
const SHORTEST_MS = 500;
const SECOND_MS = 1_000;
const apiVersion = 'metrics.k8s.io/v1beta1';

/** Undefined where there are no two readings of the node. */
export function nodeMetrics(node: Node, readings: readonly Reading[]): NodeMetrics | undefined {
	for (const { from, to } of spans(readings)) {
		const measured = from.node && to.node && between(from.node, to.node);
		if (!measured) continue;
		const { name, labels } = node.metadata;
		const times = timesOf([measured]);
		const { usage } = measured;
		const metadata = { name, labels, creationTimestamp: times.timestamp };
		return { apiVersion, kind: 'NodeMetrics', metadata, ...times, usage };
	}
	return undefined;
}

/**
 * Undefined while not every container of it that runs has been read twice: a sum over some of them would be taken for the whole.
 * A counter that has gone back is that of another container.
 */
export function podMetrics(pod: Pod, readings: readonly Reading[]): PodMetrics | undefined {
	const wanted = runningContainers(pod);
	const { name, namespace, labels, uid, annotations } = pod.metadata;
	// A static pod is known by its own uid on its node, which the object that shows it carries as an annotation.
	const ids = [uid, annotations?.['kubernetes.io/config.mirror']];
	const figuresIn = ({ pods }: Reading) => ids.map((id) => id && pods.get(id)).find((found) => found);
	for (const { from, to } of spans(readings)) {
		const [before, after] = [figuresIn(from), figuresIn(to)];
		if (!before || !after) continue;
		const measured = [...after].flatMap(([container, figure]) => {
			const earlier = before.get(container);
			const span = earlier && between(earlier, figure);
			return span ? [{ name: container, ...span }] : [];
		});
		const names = new Set(measured.map((each) => each.name));
		if (measured.length === 0 || measured.length < after.size || !wanted.every((each) => names.has(each))) continue;
		const times = timesOf(measured);
		const containers = measured.map(({ name, usage }) => ({ name, usage })).sort((a, b) => (a.name < b.name ? -1 : 1));
		return {
			apiVersion,
			kind: 'PodMetrics',
			metadata: { name, namespace, labels, creationTimestamp: times.timestamp },
			...times,
			containers,
		};
	}
	return undefined;
}

const runningContainers = ({ status }: Pod) =>
	[...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])]
		.filter(({ state }) => state?.running)
		.map(({ name }) => name);

/**
 * The windows that end with the last reading, the best first: the shortest that is long enough, then longer ones, then, for what is
 * younger than those, the longest of the short ones.
 */
function* spans(readings: readonly Reading[]): Iterable<{ readonly from: Reading; readonly to: Reading }> {
	const to = readings.at(-1);
	if (!to) return;
	const others = readings.slice(0, -1);
	const lengthOf = ({ node }: Reading) => (to.node?.at ?? 0) - (node?.at ?? 0);
	const long = others.filter((from) => lengthOf(from) >= WINDOW_MS);
	const short = others.filter((from) => lengthOf(from) < WINDOW_MS);
	for (const from of [...long.reverse(), ...short]) yield { from, to };
}

interface Measured {
	readonly at: number;
	readonly ms: number;
	readonly usage: Usage;
}

function between(from: Figure, to: Figure): Measured | undefined {
	const ms = to.at - from.at;
	const nanoseconds = to.cpuNanoseconds - from.cpuNanoseconds;
	if (ms < SHORTEST_MS || nanoseconds < 0) return undefined;
	const cpu = canonicalQuantity(`${Math.round((nanoseconds / ms) * SECOND_MS)}n`);
	return { at: to.at, ms, usage: { cpu, memory: formatQuantity(to.memoryBytes, 'BinarySI') } };
}

/** The earliest end, and the length that belongs to it, as Go writes durations below a minute. */
function timesOf(measured: readonly Measured[]): { readonly timestamp: string; readonly window: string } {
	const [first] = measured.toSorted((a, b) => a.at - b.at);
	return { timestamp: timestamp(first?.at ?? 0), window: `${(first?.ms ?? 0) / 1000}s` };
}
