/** Gives running containers other limits: the pod's group first has room for both, and then for what they have. */
import type { Pod } from '../../kinds/index.ts';
import { EngineError } from '../engine/index.ts';
import { failure } from './memory.ts';
import { containerOf } from './outlook.ts';
import { wantedLimits } from './resize.ts';
import { CREATE_BACKOFF, rethrowIfDown, type Work } from './work.ts';

/** Changes the limits of these containers. What goes wrong is remembered and told. Throws when the engine is down. */
export async function resizeContainers(
	{ context, memory }: Work,
	pod: Pod,
	containers: readonly { readonly container: string; readonly id: string }[],
): Promise<void> {
	const { engine, groups, mirror, machineMemory, events, now } = context;
	try {
		await groups.limit(pod, 'atLeast');
		for (const { container: name, id } of containers) {
			const container = containerOf(pod, name);
			if (container) await engine.containers.limit(id, wantedLimits(pod, container, machineMemory));
			await mirror.refresh(id);
		}
		await groups.limit(pod, 'exactly');
		memory.resizeFailure = undefined;
		const names = containers.map(({ container }) => container).join(', ');
		events.event(pod, 'Normal', 'ResizeCompleted', `Pod resize completed: ${names}`);
	} catch (error) {
		rethrowIfDown(error);
		const message = error instanceof EngineError ? error.detail : (error as Error).message;
		events.event(pod, 'Warning', 'ResizeError', `Pod resize failed: ${message}`);
		memory.resizeFailure = failure('Error', message, memory.resizeFailure, now(), CREATE_BACKOFF);
	}
}
