/** Stops a pod's containers: the preStop hook, the stop signal, and how long that has been going on. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { describe } from '../../client/index.ts';
import type { Pod } from '../../kinds/index.ts';
import { runHandler } from '../probes/handler.ts';
import type { PodContext } from './context.ts';
import { podFiles } from './files.ts';
import type { Memory } from './memory.ts';
import { podTitle, uidOf } from './names.ts';
import { containerOf } from './outlook.ts';
import type { Step } from './plan.ts';
import { placeOf, tell, type Work } from './work.ts';

type StopContainer = Extract<Step, { do: 'stopContainer' }>;

/** Begins to stop a container. It goes on in the background; the plan kills what takes too long. */
export async function stopContainer(work: Work, pod: Pod, step: StopContainer): Promise<void> {
	const { context, memory } = work;
	if (step.whole) await rememberStop(context, memory, pod);
	memory.stopping.set(step.id, { since: context.now(), deadline: step.deadline });
	tell(context, pod, step.container, 'Normal', 'Killing', step.message);
	context.background(
		askToStop(work, pod, step).catch((error: Error) => {
			// An engine that is down is asked again: what is not remembered as stopping is planned anew.
			memory.stopping.delete(step.id);
			if (context.signal.aborted) return;
			context.log.warn({ pod: podTitle(pod), cause: error.message }, 'a container could not be stopped');
		}),
	);
}

async function askToStop({ context, memory, poke }: Work, pod: Pod, step: StopContainer): Promise<void> {
	const { engine, mirror, signal, now } = context;
	const { id, deadline } = step;
	const container = containerOf(pod, step.container);
	const hook = container?.lifecycle?.preStop;
	if (hook && container) {
		const address = placeOf(context, pod).podIp;
		const where = { engine, id, container, address, timeoutMs: deadline - now(), hook: true, signal };
		const result = await runHandler(hook, where);
		if (signal.aborted) return;
		const message = `PreStopHook failed: ${result.output}`;
		if (!result.ok) tell(context, pod, step.container, 'Warning', 'FailedPreStopHook', message);
	}
	const asked = memory.stopping.get(id) ?? { since: now(), deadline };
	memory.stopping.set(id, { ...asked, signalled: now() });
	if (hook) poke();
	const known = mirror.get(id);
	await engine.parts.kill(id, (known?.kind === 'container' && known.stopSignal) || 'SIGTERM');
}

const fileOf = ({ dataDir }: PodContext, uid: string) => podFiles(dataDir, uid).stopping;

/** The pod as a whole is being stopped from now on, if it is not already. */
async function rememberStop(context: PodContext, memory: Memory, pod: Pod): Promise<void> {
	if (memory.stoppingSince !== undefined) return;
	memory.stoppingSince = context.now();
	await writeFile(fileOf(context, uidOf(pod)), String(memory.stoppingSince)).catch((error: NodeJS.ErrnoException) => {
		// Of a pod that has no files any more there is nothing to remember.
		if (error.code === 'ENOENT') return;
		const told = 'the end of a pod could not be noted; it has its whole grace again if the agent restarts';
		context.log.warn({ pod: podTitle(pod), cause: describe(error) }, told);
	});
}

/** What was remembered before the agent restarted, so that a pod that was being stopped has no second period of grace. */
export async function recallStop(context: PodContext, uid: string): Promise<number | undefined> {
	const text = await readFile(fileOf(context, uid), 'utf8').catch(() => '');
	const since = Number(text);
	return text && Number.isFinite(since) ? since : undefined;
}

/** What began after `now`, by a clock that was set back since, begins now: it takes no longer than it would have. */
export function beginNow(memory: Memory, now: number): void {
	const { stoppingSince = now } = memory;
	if (stoppingSince > now) memory.stoppingSince = now;
	for (const [id, { since, deadline, signalled }] of memory.stopping) {
		const ahead = since - now;
		if (ahead <= 0) continue;
		const shifted = { since: now, deadline: deadline - ahead };
		memory.stopping.set(id, signalled === undefined ? shifted : { ...shifted, signalled: signalled - ahead });
	}
}

/** What was stopped starts again. */
export async function forgetStop(context: PodContext, memory: Memory, pod: Pod): Promise<void> {
	if (memory.stoppingSince === undefined) return;
	await rm(fileOf(context, uidOf(pod)), { force: true });
	memory.stoppingSince = undefined;
}
