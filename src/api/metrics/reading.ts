/**
 * One reading of what a node and its pods use: counters and amounts with their own time, as the node's agent tells them at
 * /stats/summary. Source: the kubelet's stats API, v1alpha1.
 */
import { Agent, type IncomingMessage, request } from 'node:http';
import type { Node } from '../../kinds/core/node.ts';
import type { KeyPair } from '../certificates.ts';
import { connectAgent } from '../http/agent-connection.ts';
import { isObject } from '../json.ts';
import { limits } from '../limits.ts';

/** Processor time since the start, and memory now. `at` is in milliseconds since the epoch, by the node's clock. */
export interface Figure {
	readonly at: number;
	readonly cpuNanoseconds: number;
	readonly memoryBytes: number;
}

export interface Reading {
	readonly node: Figure | undefined;
	/** By the pod's uid, then by the container's name. */
	readonly pods: ReadonlyMap<string, ReadonlyMap<string, Figure>>;
}

/** What is asked for: a kubelet leaves out all else then. */
const SUMMARY = '/stats/summary?only_cpu_and_memory=true';

/** A connection to the agent of a node that is kept between readings; disposing of it closes it. */
export interface Meter extends Disposable {
	/** Throws with why the agent cannot be read: it is not reached, answers otherwise, too late or with too much. */
	read(): Promise<Reading>;
}

export function openMeter(node: () => Node, client: () => KeyPair, signal: AbortSignal): Meter {
	const agent = new Agent({ keepAlive: true, maxSockets: 1 });
	agent.createConnection = (_, done) => {
		connectAgent(node(), client(), signal).then(
			(socket) => done?.(null, socket),
			// Nobody looks at the stream of a connection that was not made.
			(cause: Error) => done?.(cause, undefined as never),
		);
		return undefined;
	};
	return {
		read: async () => readingOf(JSON.parse(await get(agent, signal))),
		[Symbol.dispose]: () => agent.destroy(),
	};
}

async function get(agent: Agent, signal: AbortSignal): Promise<string> {
	const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
	const until = AbortSignal.any([signal, AbortSignal.timeout(limits.figures)]);
	const asked = request({ agent, path: SUMMARY, headers: { host: 'agent' }, signal: until });
	asked.on('response', resolve);
	asked.on('error', (cause) => reject(until.aborted && !signal.aborted ? late() : cause));
	asked.end();
	const answer = await promise;
	let text = '';
	for await (const chunk of answer.setEncoding('utf8')) {
		text += chunk;
		if (text.length > limits.figuresSize) {
			asked.destroy();
			throw new Error(`the agent answers with more than ${limits.figuresSize} characters`);
		}
	}
	if (answer.statusCode !== 200) throw new Error(`the agent answers with ${answer.statusCode}`);
	return text;
}

const late = () => new Error(`the agent does not answer within ${limits.figures / 1000} s`);

/** What a summary says; parts of it that are missing are left out. */
export function readingOf(summary: unknown): Reading {
	const { node, pods } = fields(summary);
	const read = new Map<string, Map<string, Figure>>();
	for (const each of list(pods)) {
		const { podRef, containers } = fields(each);
		const { uid } = fields(podRef);
		if (typeof uid !== 'string') continue;
		const figures = new Map<string, Figure>();
		for (const container of list(containers)) {
			const { name } = fields(container);
			const figure = figureOf(container);
			if (typeof name === 'string' && figure) figures.set(name, figure);
		}
		read.set(uid, figures);
	}
	return { node: figureOf(node), pods: read };
}

function figureOf(part: unknown): Figure | undefined {
	const { cpu, memory } = fields(part);
	const { time, usageCoreNanoSeconds: cpuNanoseconds } = fields(cpu);
	const { workingSetBytes: memoryBytes } = fields(memory);
	const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
	if (Number.isNaN(at) || typeof cpuNanoseconds !== 'number' || typeof memoryBytes !== 'number') return undefined;
	return { at, cpuNanoseconds, memoryBytes };
}

const fields = (value: unknown): Record<string, unknown> => (isObject(value) ? value : {});
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
