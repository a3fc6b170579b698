/** Carries out the steps that planPod returns. What goes wrong is remembered as a failure, told as an event, and planned again. */
import { existsSync } from 'node:fs';
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { ApiError, Pod as PodKind } from '../../kinds/index.ts';
import { EngineError } from '../engine/engine.ts';
import { ensurePauseImage, PAUSE_IMAGE } from '../images/pause.ts';
import { runHandler } from '../probes/handler.ts';
import {
	containerMounts,
	prepareTerminationMessage,
	removePodFiles,
	setUpVolumes,
	VolumeError,
} from '../volumes/index.ts';
import { containerSpec, sandboxSpec } from './container.ts';
import type { PodContext } from './context.ts';
import { ConfigError, environment } from './environment.ts';
import type { Place } from './fields.ts';
import { podFiles, writeNames } from './files.ts';
import { asFailure, failure, type Memory } from './memory.ts';
import { podTitle, uidOf } from './names.ts';
import { arrange } from './observed.ts';
import { fieldPath } from './outlook.ts';
import type { Step } from './plan.ts';
import { securityOf, securityOptions } from './security.ts';

/** Pauses before a container or a sandbox is created again. As the kubelet: what was wrong may have been mended elsewhere. */
const CREATE_BACKOFF = { firstMs: 1_000, mostMs: 10_000 };
/** Pauses before volumes are set up again; those of API objects are as soon as these change. */
const MOUNT_BACKOFF = { firstMs: 500, mostMs: 122_000 };
/** What a preStop hook gets that has used up its pod's grace. */
const HOOK_EXTENSION_MS = 2_000;
/** A postStart hook has no limit of its own; one that hangs must not live for ever. */
const POST_START_MS = 600_000;

export interface Executor {
	/** @returns whether something was changed that planning can see at once. Throws when the engine is down. */
	execute(step: Exclude<Step, { do: 'wait' | 'report' }>, pod: Pod): Promise<boolean>;
}

export function createExecutor(context: PodContext, memory: Memory, poke: () => void): Executor {
	const { engine, events, mirror, images, now, dataDir, signal } = context;

	const place = (pod: Pod): Place => {
		const { sandboxes } = arrange(mirror.of(uidOf(pod)), () => undefined);
		const address = pod.spec.hostNetwork ? context.address : sandboxes[0]?.address;
		return { podIp: address ?? '', hostIp: context.address, allocatable: context.allocatable };
	};
	const tell = (pod: Pod, container: string, type: 'Normal' | 'Warning', reason: string, message: string) =>
		events.event(pod, type, reason, message, fieldPath(pod, container));
	const find = (pod: Pod, name: string): core.Container | undefined =>
		[...(pod.spec.initContainers ?? []), ...pod.spec.containers].find((container) => container.name === name);

	async function mountVolumes(pod: Pod): Promise<boolean> {
		const { contents } = memory;
		try {
			await setUpVolumes(dataDir, pod, context.objects, place(pod));
			memory.volumes = contents === memory.contents ? 'mounted' : 'stale';
		} catch (error) {
			const message = (error as Error).message;
			events.event(pod, 'Warning', 'FailedMount', message);
			memory.volumes = failure('FailedMount', message, asFailure(memory.volumes), now(), MOUNT_BACKOFF);
		}
		return true;
	}

	async function createSandbox(pod: Pod, attempt: number): Promise<boolean> {
		try {
			const network = await context.network();
			if (!images.get(PAUSE_IMAGE)) await ensurePauseImage(engine, signal);
			await context.limit(async () => {
				const { id } = await engine.containers.create(
					sandboxSpec(pod, attempt, {
						node: context.node,
						network,
						domain: context.dns.domain,
						machine: context.machine,
					}),
				);
				await startSandbox(pod, id);
			});
		} catch (error) {
			failedSandbox(pod, error);
		}
		return true;
	}
	async function startSandbox(pod: Pod, id: string): Promise<void> {
		try {
			await engine.containers.start(id);
		} finally {
			await mirror.refresh(id);
		}
		await nameSandbox(pod, id);
		memory.sandboxFailure = undefined;
	}
	async function nameSandbox(pod: Pod, sandbox: string): Promise<void> {
		const address = pod.spec.hostNetwork ? context.address : mirror.get(sandbox)?.address;
		await writeNames(dataDir, pod, address, context.dns);
	}
	function failedSandbox(pod: Pod, error: unknown): void {
		rethrowIfDown(error);
		const { message } = error as Error;
		if (/network .*not found/.test(message)) context.networkLost();
		events.event(pod, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${message}`);
		memory.sandboxFailure = failure('FailedCreatePodSandBox', message, memory.sandboxFailure, now(), CREATE_BACKOFF);
	}

	async function startContainer(pod: Pod, step: Extract<Step, { do: 'startContainer' }>): Promise<boolean> {
		const container = find(pod, step.container);
		const image = images.get(container?.image ?? '');
		if (!container || !image) return false;
		const pulled = images.state(pod, container);
		if (container.imagePullPolicy !== 'Always' && pulled.state === 'present') {
			tell(pod, container.name, 'Normal', 'Pulled', `Container image "${container.image}" already present on machine`);
		}
		let id: string;
		try {
			id = await context.limit(() => create(pod, container, step, image));
		} catch (error) {
			rethrowIfDown(error);
			const message = error instanceof EngineError ? error.detail : (error as Error).message;
			const config = error instanceof ConfigError || error instanceof VolumeError;
			const reason = config ? 'CreateContainerConfigError' : 'CreateContainerError';
			tell(pod, container.name, 'Warning', 'Failed', `Error: ${message}`);
			const before = memory.failures.get(container.name);
			memory.failures.set(container.name, failure(reason, message, before, now(), CREATE_BACKOFF));
			return true;
		}
		memory.failures.delete(container.name);
		images.used(pod, container);
		await start(pod, container, id);
		return true;
	}
	async function create(
		pod: Pod,
		container: core.Container,
		step: Extract<Step, { do: 'startContainer' }>,
		image: NonNullable<ReturnType<typeof images.get>>,
	): Promise<string> {
		const files = podFiles(dataDir, uidOf(pod));
		// An agent that died between the sandbox and its files has left them out; resolv.conf is the last of them.
		if (!existsSync(files.resolv)) await nameSandbox(pod, step.sandbox);
		const where = place(pod);
		const variables = environment(pod, container, context.objects, where);
		const mounts = await containerMounts(dataDir, pod, container, step.attempt, variables);
		await prepareTerminationMessage(files.terminationMessage(container.name, step.attempt));
		const spec = containerSpec(pod, container, {
			node: context.node,
			attempt: step.attempt,
			backoff: step.backoff,
			sandbox: step.sandbox,
			image,
			files,
			mounts,
			securityOptions: await securityOptions(dataDir, securityOf(pod, container)),
			objects: context.objects,
			place: where,
			machine: context.machine,
		});
		const created = await engine.containers.create(spec);
		// Two of one name cannot be: this one was made before an interruption.
		if (created.existed) await mirror.refresh(created.id);
		else tell(pod, container.name, 'Normal', 'Created', `Created container: ${container.name}`);
		return created.id;
	}
	async function start(pod: Pod, container: core.Container, id: string): Promise<void> {
		const hook = container.lifecycle?.postStart;
		if (hook) memory.hooking.add(id);
		try {
			await context.limit(() => engine.containers.start(id));
			tell(pod, container.name, 'Normal', 'Started', `Started container ${container.name}`);
		} catch (error) {
			rethrowIfDown(error);
			tell(pod, container.name, 'Warning', 'Failed', `Error: ${(error as EngineError).detail}`);
			memory.hooking.delete(id);
		} finally {
			await mirror.refresh(id);
		}
		if (memory.hooking.has(id) && hook) context.background(postStart(pod, container, id, hook));
	}
	async function postStart(
		pod: Pod,
		container: core.Container,
		id: string,
		hook: core.LifecycleHandler,
	): Promise<void> {
		const where = { engine, id, container, address: place(pod).podIp, timeoutMs: POST_START_MS, hook: true, signal };
		const result = await runHandler(hook, where);
		memory.hooking.delete(id);
		if (!result.ok && !signal.aborted) {
			tell(pod, container.name, 'Warning', 'FailedPostStartHook', `PostStartHook failed: ${result.output}`);
			memory.hookFailed.add(id);
		}
		poke();
	}

	function stopContainer(pod: Pod, step: Extract<Step, { do: 'stopContainer' }>): void {
		memory.stopping.set(step.id, step.deadline);
		tell(pod, step.container, 'Normal', 'Killing', step.message);
		context.background(
			askToStop(pod, step).catch((error: Error) => {
				// An engine that is down is asked again: what is not remembered as stopping is planned anew.
				memory.stopping.delete(step.id);
				if (!signal.aborted)
					context.log.warn({ pod: podTitle(pod), cause: error.message }, 'a container could not be stopped');
			}),
		);
	}
	async function askToStop(pod: Pod, { id, container: name, deadline }: Extract<Step, { do: 'stopContainer' }>) {
		const container = find(pod, name);
		const hook = container?.lifecycle?.preStop;
		if (hook && container && deadline > now()) {
			const timeoutMs = deadline - now();
			const where = { engine, id, container, address: place(pod).podIp, timeoutMs, hook: true, signal };
			const result = await runHandler(hook, where);
			if (signal.aborted) return;
			if (!result.ok) tell(pod, name, 'Warning', 'FailedPreStopHook', `PreStopHook failed: ${result.output}`);
			if (deadline - now() < HOOK_EXTENSION_MS) {
				memory.stopping.set(id, now() + HOOK_EXTENSION_MS);
				poke();
			}
		}
		await engine.containers.kill(id, mirror.get(id)?.stopSignal || 'SIGTERM');
	}

	async function deletePod(pod: Pod): Promise<void> {
		const { name, namespace, uid } = pod.metadata;
		memory.deleted = true;
		try {
			await context.client.delete(PodKind, { name, namespace }, { gracePeriodSeconds: 0, preconditions: { uid } });
		} catch (error) {
			// Gone already, or another pod of the name: both is what was wanted.
			if (error instanceof ApiError && (error.code === 404 || error.code === 409)) return;
			memory.deleted = false;
			throw error;
		}
	}

	return {
		async execute(step, pod) {
			switch (step.do) {
				case 'mountVolumes':
					return mountVolumes(pod);
				case 'createSandbox':
					return createSandbox(pod, step.attempt);
				case 'startSandbox':
					await context.limit(() => startSandbox(pod, step.id)).catch((error: unknown) => failedSandbox(pod, error));
					return true;
				case 'pullImage': {
					const container = find(pod, step.container);
					if (container) images.pull(pod, container);
					return true;
				}
				case 'startContainer':
					return startContainer(pod, step);
				case 'resumeContainer': {
					const container = find(pod, step.container);
					if (container) await start(pod, container, step.id);
					return true;
				}
				case 'stopContainer':
					stopContainer(pod, step);
					return true;
				case 'kill':
					// Its death is an event of the engine.
					await engine.containers.kill(step.id, 'SIGKILL');
					return false;
				case 'remove':
					await engine.containers.remove(step.id);
					memory.stopping.delete(step.id);
					mirror.forget(step.id);
					return true;
				case 'removeVolumes':
					await removePodFiles(dataDir, uidOf(pod));
					memory.volumes = 'removed';
					return true;
				case 'deletePod':
					await deletePod(pod);
					return false;
			}
		},
	};
}

/** An engine that does not answer is no fault of the pod's. */
function rethrowIfDown(error: unknown): void {
	if (error instanceof EngineError && error.fault === 'down') throw error;
}
