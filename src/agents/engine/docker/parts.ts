/** Docker's containers as the sandboxes and containers of pods. */
import type Docker from 'dockerode';
import type { Created, Engine } from '../engine.ts';
import { EngineError } from '../error.ts';
import type { Limited } from '../pod.ts';
import { stateOf, toPart, toUsage } from './answers.ts';
import { CPU_PERIOD } from './body.ts';
import { nodeLabel, podOf } from './names.ts';
import type { Requests } from './requests.ts';

/** Ids as Docker shows them. */
export const short = (id: string) => id.slice(0, 12);

export function dockerParts({ docker, call, find, dial }: Requests): Engine['parts'] {
	const container = (id: string) => docker.getContainer(id);
	return {
		async list(node) {
			const label = Object.entries(nodeLabel(node)).map(([name, value]) => `${name}=${value}`);
			const all = await call('list containers', 'answerMs', (abortSignal) =>
				docker.listContainers({ all: true, filters: { label }, abortSignal }),
			);
			return all.flatMap(({ Id, State, Labels }) => {
				const uid = podOf(Labels)?.uid;
				return uid === undefined ? [] : [{ id: Id, uid, state: stateOf(State) }];
			});
		},
		async inspect(id) {
			const body = await find(`inspect container ${short(id)}`, 'answerMs', (abortSignal) =>
				container(id).inspect({ abortSignal }),
			);
			return body && toPart(body);
		},
		async start(id) {
			await call(`start container ${short(id)}`, 'changeMs', async (abortSignal) => {
				await container(id)
					.start({ abortSignal })
					.catch((error: { statusCode?: number }) => {
						if (error.statusCode !== 304) throw error;
					});
			});
		},
		async kill(id, signal) {
			await find(`send ${signal} to container ${short(id)}`, 'changeMs', (abortSignal) =>
				container(id).kill({ signal, abortSignal }),
			).catch((error: EngineError) => {
				if (error.fault !== 'conflict') throw error;
			});
		},
		async remove(id) {
			await find(`remove container ${short(id)}`, 'changeMs', (abortSignal) =>
				container(id).remove({ force: true, v: true, abortSignal }),
			).catch((error: EngineError) => {
				if (error.fault !== 'conflict') throw error; // "removal ... is already in progress"
			});
		},
		async usage(id) {
			const body = await find(`read the statistics of container ${short(id)}`, 'answerMs', (abortSignal) =>
				dial<Docker.ContainerStats>(`/containers/${id}/stats`, abortSignal, {
					query: { stream: false, 'one-shot': true },
				}),
			);
			return body && toUsage(body);
		},
	};
}

/** Changes what a running container may take; what is absent stays as it is. */
export async function limitContainer({ docker, call }: Requests, id: string, limits: Limited): Promise<void> {
	const { cpuShares, cpuQuota, memory } = limits;
	await call(`change the limits of container ${short(id)}`, 'changeMs', (abortSignal) =>
		docker.getContainer(id).update({
			CpuShares: cpuShares,
			...(cpuQuota === undefined ? {} : { CpuPeriod: CPU_PERIOD, CpuQuota: cpuQuota }),
			...(memory === undefined ? {} : { Memory: memory, MemorySwap: memory }),
			abortSignal,
		}),
	);
}

/** Creates a container. Two of one name cannot be: where there is one, it was made before an interruption. */
export async function createContainer(
	{ docker, call, find }: Requests,
	body: Docker.ContainerCreateOptions,
): Promise<Created> {
	const { name = '' } = body;
	try {
		const { id } = await call(`create container ${name}`, 'changeMs', (abortSignal) =>
			docker.createContainer({ ...body, abortSignal }),
		);
		return { id, existed: false };
	} catch (error) {
		if (!(error instanceof EngineError) || error.fault !== 'conflict') throw error;
		const existing = await find(`inspect container ${name}`, 'answerMs', (abortSignal) =>
			docker.getContainer(name).inspect({ abortSignal }),
		);
		if (!existing) throw error;
		return { id: existing.Id, existed: true };
	}
}
