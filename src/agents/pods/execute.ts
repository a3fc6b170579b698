/** Carries out the steps that planPod returns. What goes wrong is remembered as a failure, told as an event, and planned again. */
import type { Pod } from '../../kinds/index.ts';
import { ApiError, Pod as PodKind } from '../../kinds/index.ts';
import { isStatic } from '../static/index.ts';
import { removePodFolder, setUpVolumes, unmountParts, updateVolumes } from '../volumes/index.ts';
import { podFiles } from './files.ts';
import { asFailure, failure } from './memory.ts';
import { uidOf } from './names.ts';
import { containerOf } from './outlook.ts';
import type { Step } from './plan.ts';
import { resizeContainers } from './resizing.ts';
import { createSandbox, startSandbox } from './sandbox.ts';
import { resumeContainer, startContainer } from './start.ts';
import { stopContainer } from './stop.ts';
import { volumeView, type Work } from './work.ts';

/** Pauses before volumes are set up again; those of API objects are as soon as these change. */
const MOUNT_BACKOFF = { firstMs: 500, mostMs: 122_000 };

/**
 * Carries out one step.
 *
 * @returns whether something was changed that planning can see at once. Throws when the engine is down.
 */
export async function execute(work: Work, step: Exclude<Step, { do: 'wait' | 'report' }>, pod: Pod): Promise<boolean> {
	const { memory } = work;
	const { engine, groups, images, mirror } = work.context;
	switch (step.do) {
		case 'mountVolumes':
			await mountVolumes(work, pod);
			return true;
		case 'createSandbox':
			await createSandbox(work, pod, step.attempt);
			return true;
		case 'startSandbox':
			await startSandbox(work, pod, step.id);
			return true;
		case 'pullImage': {
			const container = containerOf(pod, step.container);
			if (container) images.pull(pod, container);
			return true;
		}
		case 'startContainer':
			return startContainer(work, pod, step);
		case 'resumeContainer':
			await resumeContainer(work, pod, step.container, step.id);
			return true;
		case 'stopContainer':
			await stopContainer(work, pod, step);
			return true;
		case 'resize':
			await resizeContainers(work, pod, step.containers);
			return true;
		case 'kill':
			// Its death is an event of the engine.
			await engine.parts.kill(step.id, 'SIGKILL');
			return false;
		case 'remove':
			await engine.parts.remove(step.id);
			memory.stopping.delete(step.id);
			mirror.forget(step.id);
			return true;
		case 'removeVolumes':
			// First: while the pod has files here, it is known to have a group.
			await groups.remove(uidOf(pod));
			await removeVolumes(work, pod);
			memory.volumes = 'removed';
			return true;
		case 'deletePod':
			await deletePod(work, pod);
			return false;
	}
}

async function mountVolumes({ context, memory }: Work, pod: Pod): Promise<void> {
	const { contents, volumes } = memory;
	const before = asFailure(volumes);
	// What is set up stays as it was where it cannot be brought up to date, and the pod runs on with it.
	const standing = volumes === 'stale' || before?.standing;
	try {
		await (standing ? updateVolumes : setUpVolumes)(volumeView(context, pod));
		memory.volumes = contents === memory.contents ? 'mounted' : 'stale';
	} catch (error) {
		if (context.signal.aborted) return;
		const message = (error as Error).message;
		context.events.event(pod, 'Warning', 'FailedMount', message);
		memory.volumes = { ...failure('FailedMount', message, before, context.now(), MOUNT_BACKOFF), standing };
	}
}

async function removeVolumes({ context: { csi, dataDir, signal } }: Work, pod: Pod): Promise<void> {
	const { root } = podFiles(dataDir, uidOf(pod));
	await unmountParts(root, signal);
	await csi.unmount(uidOf(pod));
	await removePodFolder(root, signal);
}

async function deletePod({ context, memory }: Work, pod: Pod): Promise<void> {
	const { name, namespace, uid } = pod.metadata;
	memory.deleted = true;
	if (isStatic(pod)) return context.staticStopped(pod);
	try {
		await context.client.delete(PodKind, { name, namespace }, { gracePeriodSeconds: 0, preconditions: { uid } });
	} catch (error) {
		// Gone already, or another pod of the name: both is what was wanted.
		if (error instanceof ApiError && (error.code === 404 || error.code === 409)) return;
		memory.deleted = false;
		throw error;
	}
}
