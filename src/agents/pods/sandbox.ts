/** A pod's sandbox, which holds its address and namespaces, and the files of its names. */
import { mkdir } from 'node:fs/promises';
import type { Pod } from '../../kinds/index.ts';
import { EngineError } from '../engine/index.ts';
import { sandboxSpec } from './container.ts';
import { podFiles, writeNames } from './files.ts';
import { failure } from './memory.ts';
import { uidOf } from './names.ts';
import { runtimeOf } from './runtime.ts';
import { forgetStop } from './stop.ts';
import { CREATE_BACKOFF, placeOf, rethrowIfDown, type Work } from './work.ts';

/** Creates and starts the pod's next sandbox. What goes wrong is remembered and told. Throws when the engine is down. */
export async function createSandbox(work: Work, pod: Pod, attempt: number): Promise<void> {
	const { node, dns, maxPids, engine, limit, prepared } = work.context;
	await attempting(work, pod, async () => {
		await prepared();
		await limit(async () => {
			// What has files here is cleared up also where the agent ends in between.
			await mkdir(podFiles(work.context.dataDir, uidOf(pod)).root, { recursive: true, mode: 0o750 });
			await work.context.groups.ensure(pod);
			const runtime = await runtimeOf(pod, work.context.client);
			const spec = sandboxSpec(pod, attempt, { node, domain: dns.domain, maxPids, runtime });
			const { id } = await engine.sandboxes.create(spec);
			await start(work, pod, id);
		});
	});
}

/** Starts a sandbox that was created only, because the agent or the engine was interrupted. As createSandbox otherwise. */
export async function startSandbox(work: Work, pod: Pod, id: string): Promise<void> {
	await attempting(work, pod, () => work.context.limit(() => start(work, pod, id)));
}

async function start({ context, memory }: Work, pod: Pod, id: string): Promise<void> {
	try {
		await context.engine.parts.start(id);
	} finally {
		await context.mirror.refresh(id);
	}
	await writeNames(context.dataDir, pod, placeOf(context, pod).podIp, context.dns);
	memory.sandboxFailure = undefined;
}

async function attempting({ context, memory }: Work, pod: Pod, attempt: () => Promise<void>): Promise<void> {
	try {
		// What was stopped because its sandbox had gone has a whole grace again.
		await forgetStop(context, memory, pod);
		await attempt();
	} catch (error) {
		rethrowIfDown(error);
		const { message } = error as Error;
		if (error instanceof EngineError && error.fault === 'unprepared') context.unprepared();
		context.events.event(pod, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${message}`);
		const before = memory.sandboxFailure;
		memory.sandboxFailure = failure('FailedCreatePodSandBox', message, before, context.now(), CREATE_BACKOFF);
	}
}
