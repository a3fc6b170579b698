/** Creates and starts a pod's containers, and runs their postStart hooks. */
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { DeviceError, type Given } from '../devices/index.ts';
import { EngineError, type Image, type Part } from '../engine/index.ts';
import { runHandler } from '../probes/handler.ts';
import { containerMounts, VolumeError } from '../volumes/index.ts';
import { containerSpec } from './container.ts';
import { ConfigError, environment, expand } from './environment.ts';
import { podFiles, prepareTerminationMessage, writeNames } from './files.ts';
import { failure } from './memory.ts';
import { uidOf } from './names.ts';
import { containerOf } from './outlook.ts';
import type { Step } from './plan.ts';
import { runtimeOf } from './runtime.ts';
import { confinementOf, securityOf } from './security.ts';
import { CREATE_BACKOFF, placeOf, rethrowIfDown, tell, volumeView, type Work } from './work.ts';

/** A postStart hook has no limit of its own; one that hangs must not live for ever. */
const POST_START_MS = 600_000;

type StartContainer = Extract<Step, { do: 'startContainer' }>;

/**
 * Creates the container and starts it. What goes wrong is remembered and told.
 *
 * @returns whether anything was attempted. Throws when the engine is down.
 */
export async function startContainer(work: Work, pod: Pod, step: StartContainer): Promise<boolean> {
	const { context, memory } = work;
	const { images } = context;
	const container = containerOf(pod, step.container);
	const image = images.get(container?.image ?? '');
	if (!container || !image) return false;
	if (container.imagePullPolicy !== 'Always' && images.state(pod, container).state === 'present') {
		const message = `Container image "${container.image}" already present on machine`;
		tell(context, pod, container.name, 'Normal', 'Pulled', message);
	}
	let id: string;
	try {
		// Whoever waits for a plugin keeps no other pod from the engine.
		const given = await context.devices.prepare(pod, container, work.wanted);
		id = await context.limit(() => create(work, pod, container, step, image, given));
	} catch (error) {
		if (work.wanted.aborted && error === work.wanted.reason) return false;
		const config = [ConfigError, VolumeError, DeviceError].some((kind) => error instanceof kind);
		failed(work, pod, container.name, config ? 'CreateContainerConfigError' : 'CreateContainerError', error);
		return true;
	}
	memory.failures.delete(container.name);
	images.used(pod, container);
	await start(work, pod, container, id);
	return true;
}

/** Starts what was created but not started. What goes wrong is remembered and told. Throws when the engine is down. */
export async function resumeContainer(work: Work, pod: Pod, name: string, id: string): Promise<void> {
	const container = containerOf(pod, name);
	if (container) await start(work, pod, container, id);
}

async function create(
	work: Work,
	pod: Pod,
	container: core.Container,
	step: StartContainer,
	image: Image,
	given: Given | undefined,
): Promise<string> {
	const { context } = work;
	const { dataDir, engine, objects, node, machineMemory, maxPids } = context;
	const place = placeOf(context, pod);
	const files = podFiles(dataDir, uidOf(pod));
	const spec = containerSpec(pod, container, {
		node,
		attempt: step.attempt,
		backoff: step.backoff,
		sandbox: step.sandbox,
		image,
		files,
		confinement: await confinementOf(dataDir, securityOf(pod, container)),
		objects,
		place,
		machineMemory,
		maxPids,
		runtime: await runtimeOf(pod, context.client),
		target: targetOf(work, pod, container),
		given,
	});
	// Each time: an agent that died after the sandbox's start may have left them out, or those of the sandbox before.
	await writeNames(dataDir, pod, place.podIp, context.dns);
	await prepareTerminationMessage(files.terminationMessage(container.name, step.attempt));
	const variables = environment(pod, container, objects, place);
	// Last, when nothing else keeps the container from being made.
	const volumes = await containerMounts(volumeView(context, pod), container, ({ subPath, subPathExpr }) =>
		subPathExpr ? expandPath(subPathExpr, variables) : subPath,
	);
	const taken = new Set(volumes.map(({ target }) => target));
	const mounts = [...volumes, ...spec.mounts.filter(({ target }) => !taken.has(target) && taken.add(target))];
	const created = await engine.containers.create({ ...spec, mounts });
	// Two of one name cannot be: this one was made before an interruption.
	if (created.existed) await context.mirror.refresh(created.id);
	else tell(context, pod, container.name, 'Normal', 'Created', `Created container: ${container.name}`);
	return created.id;
}

/** The container whose processes an ephemeral one is to see. Throws ConfigError where it does not run. */
function targetOf({ context }: Work, pod: Pod, container: core.EphemeralContainer): string | undefined {
	const { targetContainerName: name } = container;
	if (!name) return undefined;
	for (const part of context.mirror.of(uidOf(pod)))
		if (part.kind === 'container' && part.name === name && part.state === 'running') return part.id;
	throw new ConfigError(`unable to find target container ${name}: it does not run`);
}

/** What a path expression stands for. Throws VolumeError where a variable in it has no value: another place would be mounted. */
function expandPath(expression: string, variables: ReadonlyMap<string, string>): string {
	return expand(expression, (name) => {
		const value = variables.get(name);
		if (!value) throw new VolumeError(`missing value for "${name}"`);
		return value;
	});
}

async function start(work: Work, pod: Pod, container: core.Container, id: string): Promise<void> {
	const { context, memory } = work;
	try {
		await context.limit(() => context.engine.parts.start(id));
	} catch (error) {
		const found = await context.mirror.refresh(id);
		// The answer may have been lost, and not the wish.
		if (found?.state !== 'running') return notStarted(work, pod, container.name, found, error);
	}
	memory.failures.delete(container.name);
	tell(context, pod, container.name, 'Normal', 'Started', `Started container ${container.name}`);
	const hook = container.lifecycle?.postStart;
	if (hook) {
		memory.hooking.add(id);
		context.background(postStart(work, pod, container, id, hook));
	}
	await context.mirror.refresh(id);
}

function notStarted(work: Work, pod: Pod, container: string, found: Part | undefined, error: unknown): void {
	// One that the engine knows to have failed has ended, with a backoff of its own; any other is started again.
	if (found?.kind === 'container' && found.state === 'created' && !found.error) {
		failed(work, pod, container, 'RunContainerError', error);
		return;
	}
	rethrowIfDown(error);
	tell(work.context, pod, container, 'Warning', 'Failed', `Error: ${wordsOf(error)}`);
}

async function postStart(
	{ context, memory, poke }: Work,
	pod: Pod,
	container: core.Container,
	id: string,
	hook: core.LifecycleHandler,
): Promise<void> {
	const { engine, signal } = context;
	const address = placeOf(context, pod).podIp;
	const result = await runHandler(hook, {
		engine,
		id,
		container,
		address,
		timeoutMs: POST_START_MS,
		hook: true,
		signal,
	});
	memory.hooking.delete(id);
	if (!result.ok && !signal.aborted) {
		tell(context, pod, container.name, 'Warning', 'FailedPostStartHook', `PostStartHook failed: ${result.output}`);
		memory.hookFailed.add(id);
	}
	poke();
}

/** Remembers a failure as the container's waiting state, and tells it. Throws when the engine is down. */
function failed({ context, memory }: Work, pod: Pod, container: string, reason: string, error: unknown): void {
	rethrowIfDown(error);
	const message = wordsOf(error);
	tell(context, pod, container, 'Warning', 'Failed', `Error: ${message}`);
	const before = memory.failures.get(container);
	memory.failures.set(container, failure(reason, message, before, context.now(), CREATE_BACKOFF));
}

const wordsOf = (error: unknown) => (error instanceof EngineError ? error.detail : (error as Error).message);
