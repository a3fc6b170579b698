/** One pod's loop: look, plan, report, act, and look again, until there is nothing to do before something changes. */
import { isDeepStrictEqual } from 'node:util';
import type * as core from 'kubernetes-types/core/v1.js';
import { describe } from '../../client/index.ts';
import { type Pod, timestamp } from '../../kinds/index.ts';
import { EngineError } from '../engine/index.ts';
import type { Eviction } from '../pressure/evictor.ts';
import { judge, judgeSysctls, type Refusal } from './admission.ts';
import type { PodContext } from './context.ts';
import { recallEviction, rememberEviction } from './eviction-record.ts';
import { execute } from './execute.ts';
import { newMemory } from './memory.ts';
import { podTitle, uidOf } from './names.ts';
import { arrange, type Failure, type Health, type ImageState, type Observed } from './observed.ts';
import { EVICTED, fieldPath, members } from './outlook.ts';
import { planPod } from './plan.ts';
import { createReporter } from './report.ts';
import { type Allocation, allocate, type Pending } from './resize.ts';
import { podStatus } from './status.ts';
import { beginNow, recallStop } from './stop.ts';
import type { Work } from './work.ts';

/** Pause after something unforeseen went wrong; it doubles up to the longest. */
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** Pause before it is looked again whether a pod may have more of the node. */
const ROOM_MS = 5_000;

export interface PodWorker {
	readonly pod: Pod;
	/** Whether the pod takes of what the node has. */
	readonly counts: boolean;
	/** Whether the pod may use devices that it was given. */
	readonly holds: boolean;
	/** The API's newest version of the pod. */
	update(pod: Pod): void;
	/** The pod has to go, and is Failed for ever. */
	evict(eviction: Eviction): Promise<void>;
	/** Whether the pod has ended, and what it took is free. */
	readonly over: boolean;
	/** The API does not have the pod any more. */
	gone(): void;
	/** Something that the plan depends on may have changed. */
	poke(): void;
	/** What its volumes are made of has changed. */
	refreshVolumes(): void;
	/** Volumes that could not be set up are tried at once. */
	retryVolumes(): void;
	/** Settles when it does nothing any more. */
	idle(): Promise<void>;
}

/**
 * @param others - the pods that the node has taken already.
 * @param finished - called when the pod has gone and nothing of it is left.
 */
export function createPodWorker(
	first: Pod,
	context: PodContext,
	others: () => Iterable<Pod>,
	finished: () => void,
): PodWorker {
	const { mirror, images, prober, now, signal, wheel, log } = context;
	const uid = uidOf(first);
	const memory = newMemory();
	let pod = first;
	let gone: number | undefined;
	let dirty = false;
	let running: Promise<void> | undefined;
	let alarm: { readonly at: number; readonly handle: Disposable } | undefined;
	let failures = 0;
	let recalled = false;
	let admitted = false;
	let refusal: Refusal | undefined;
	/** What the pod has of the node was found for this generation, and stays. */
	let allocated: number | undefined;
	/** It is being decided whether the node takes the pod. */
	let admitting = false;
	/** Aborts when the pod is to end, and with the agent: nobody waits for what it needs any more. */
	const leaving = new AbortController();
	const wanted = AbortSignal.any([signal, leaving.signal]);

	const poke = () => {
		dirty = true;
		if (running || signal.aborted || !mirror.connected) return;
		running = run().finally(() => {
			running = undefined;
			if (dirty && failures === 0) poke();
		});
	};
	const reporter = createReporter(context, poke, context.apiUid);
	const work: Work = { context, memory, wanted, poke };

	const wakeAt = (time: number) => {
		if (alarm && alarm.at <= time && alarm.at > now()) return;
		alarm?.handle[Symbol.dispose]();
		const handle = wheel.after(Math.max(0, time - now()), () => {
			alarm = undefined;
			poke();
		});
		alarm = { at: time, handle };
	};

	const run = async () => {
		while (dirty && !signal.aborted && mirror.connected) {
			dirty = false;
			try {
				if (await look()) dirty = true;
				failures = 0;
			} catch (error) {
				if (signal.aborted) return;
				// When the engine is back, all its containers are listed and every pod is looked at.
				if (error instanceof EngineError && error.fault === 'down') return wakeAt(now() + RETRY_FIRST_MS);
				if (failures === 0)
					log.warn({ pod: podTitle(pod), cause: describe(error) }, 'a pod could not be brought on; trying on');
				wakeAt(now() + Math.min(RETRY_FIRST_MS * 2 ** failures++, RETRY_MAX_MS));
				return;
			}
		}
	};

	/** One round. @returns whether to go on with another at once. */
	const look = async (): Promise<boolean> => {
		if (memory.deleted && gone === undefined) return false;
		const hidden = mirror.hidden(uid);
		if (hidden) throw new Error(`a container of the pod cannot be looked at: ${hidden}`);
		if (gone === undefined && pod.metadata.deletionTimestamp === undefined && !(await admit())) return false;
		if (gone === undefined) await images.prepare(pod);
		if (!recalled) memory.stoppingSince = await recallStop(context, uid);
		// An agent that ended while it wrote them may have left other limits.
		if (!recalled && gone === undefined && hasSandbox()) await context.groups.ensure(reporter.current(pod));
		if (!recalled) memory.eviction ??= await recallEviction(context.dataDir, uid);
		recalled = true;
		beginNow(memory, now());
		const { pod: seen, pending } = allocation(reporter.current(pod));
		const observed = observe(seen, pending);
		const time = now();
		if (pending?.reason === 'Deferred') wakeAt(time + ROOM_MS);
		// A pod that is over, and of which nothing is left here, is as it was told.
		if (gone === undefined && !(isOver(seen) && observed.instances.length === 0)) {
			const status = podStatus(seen, observed, time);
			reporter.report(seen, status);
			tellDeadline(status);
		}
		let changed = false;
		for (const step of planPod(seen, observed, time)) {
			if (signal.aborted) return false;
			if (step.do === 'wait') {
				wakeAt(step.until);
				if (step.backoff) tellBackoff(step.backoff.container, step.backoff.after);
			} else if (step.do === 'report') {
				// What the containers have left is known to them alone until the API has it. The reporter pokes when it has.
				if (!(await reporter.flush())) return changed;
			} else if (await execute(work, step, seen)) changed = true;
		}
		if (gone !== undefined && !changed && [...mirror.of(uid)].length === 0) {
			alarm?.handle[Symbol.dispose]();
			prober.forget(uid);
			images.forget(uid);
			finished();
			return false;
		}
		return changed;
	};

	/** The pod with the resources that it has of the node, which may not be those that it asks for now. */
	const allocation = (seen: Pod): Allocation => {
		const { generation } = seen.metadata;
		if (gone !== undefined || allocated === generation) return { pod: seen };
		const found = allocate(seen, { others, allocatable: context.allocatable });
		if (!found.pending) allocated = generation;
		const { reason = '', message = '' } = found.pending ?? {};
		if (reason && memory.told.get('resize') !== `${generation} ${reason}`) {
			memory.told.set('resize', `${generation} ${reason}`);
			context.events.event(pod, 'Warning', `Resize${reason}`, message);
		}
		return found;
	};

	const hasSandbox = () => [...mirror.of(uid)].some(({ kind, state }) => kind === 'sandbox' && state === 'running');

	/** What runs has been taken before, by an agent of another run. */
	const hasBegun = () =>
		!mirror.of(uid)[Symbol.iterator]().next().done || (pod.status?.phase ?? 'Pending') !== 'Pending';

	/** Whether the node takes the pod. One that it does not is Failed for ever, and never begins. */
	const admit = async (): Promise<boolean> => {
		if (admitted) return true;
		if (!refusal && !hasBegun()) {
			const { devices, advertised, allocatable, unsafeSysctls } = context;
			const forbidden = judgeSysctls(pod, unsafeSysctls);
			let without: string | undefined;
			try {
				admitting = true;
				// Before what is counted in amounts, as the kubelet does.
				if (!forbidden) without = await devices.admit(pod, wanted);
			} catch (error) {
				// It is to end before it was decided: there is nothing to decide any more.
				if (!wanted.aborted) throw error;
				dirty = true;
				return false;
			} finally {
				admitting = false;
			}
			// In one turn with the judgement of others: what two want is not given to both.
			refusal =
				forbidden ??
				(without === undefined ? undefined : { reason: 'UnexpectedAdmissionError', message: without }) ??
				judge(reporter.current(pod), {
					others: others(),
					allocatable: { ...advertised(), ...allocatable },
					unsafeSysctls,
					pressure: context.pressure(),
				});
			admitted = refusal === undefined;
			if (refusal) context.events.event(pod, 'Warning', refusal.reason, refusal.message);
		}
		admitted = refusal === undefined;
		if (!refusal) return true;
		const seen = reporter.current(pod);
		const { reason, message } = refusal;
		const startTime = seen.status?.startTime ?? timestamp(now());
		reporter.report(seen, {
			...seen.status,
			phase: 'Failed',
			reason,
			message: `Pod was rejected: ${message}`,
			startTime,
		});
		return false;
	};

	const tellDeadline = ({ reason = '', message = '' }: core.PodStatus) => {
		if (reason !== 'DeadlineExceeded' || pod.status?.reason === reason || memory.told.has(reason)) return;
		memory.told.set(reason, reason);
		context.events.event(pod, 'Normal', reason, message);
	};

	const tellBackoff = (container: string, after: string) => {
		if (memory.told.get(container) === after) return;
		memory.told.set(container, after);
		const message = `Back-off restarting failed container ${container} in pod ${podTitle(pod)}`;
		context.events.event(pod, 'Warning', 'BackOff', message, fieldPath(pod, container));
	};

	/** An image that cannot or may not be fetched fails without an attempt that could tell of it. */
	const tellMissing = (container: string, { reason, message }: Failure) => {
		const told = unfetched[reason];
		if (!told || memory.told.get(container) === reason) return;
		memory.told.set(container, reason);
		context.events.event(pod, 'Warning', told, message, fieldPath(pod, container));
		context.events.event(pod, 'Warning', 'Failed', `Error: ${reason}`, fieldPath(pod, container));
	};

	const observe = (seen: Pod, pending?: Pending): Observed => {
		const { sandboxes, instances } = arrange(mirror.of(uid), mirror.message);
		const address = seen.spec.hostNetwork ? context.address : sandboxes[0]?.address;
		const up = instances.filter(({ id, state }) => state === 'running' && !memory.hooking.has(id));
		prober.sync(seen, up, address ?? '');
		const health = new Map<string, Health>();
		for (const { id } of up) {
			// Init containers have no health; a sidecar's or another's is known from here on.
			const known = prober.health(id);
			if (known) health.set(id, memory.hookFailed.has(id) ? { ...known, hookFailed: true } : known);
		}
		const imageStates = new Map<string, ImageState>();
		for (const { container } of members(seen)) {
			const state = images.state(seen, container);
			imageStates.set(container.name, state);
			if (state.state === 'failed') tellMissing(container.name, state.failure);
		}
		return {
			gone,
			sandboxes,
			instances,
			volumes: memory.volumes,
			images: imageStates,
			failures: memory.failures,
			sandboxFailure: memory.sandboxFailure,
			health,
			stopping: memory.stopping,
			stoppingSince: memory.stoppingSince,
			hooking: memory.hooking,
			imageUri: images.uri,
			hostAddresses: [context.address],
			machineMemory: context.machineMemory,
			eviction: memory.eviction,
			resize: { pending, failure: memory.resizeFailure },
		};
	};

	return {
		get pod() {
			return reporter.current(pod);
		},
		get holds() {
			const running = [...mirror.of(uid)].some(({ kind, state }) => kind === 'container' && state === 'running');
			return running || admitting || this.counts;
		},
		get over() {
			if (gone !== undefined) return true;
			const live = [...mirror.of(uid)].some(({ state }) => state === 'running');
			return isOver(reporter.current(pod)) && !live && (!memory.eviction || memory.volumes === 'removed');
		},
		get counts() {
			return gone === undefined && (admitted || hasBegun()) && !isOver(reporter.current(pod));
		},
		update(newer) {
			const { labels, annotations } = pod.metadata;
			const metadataChanged = !isDeepStrictEqual(
				[labels, annotations],
				[newer.metadata.labels, newer.metadata.annotations],
			);
			pod = newer;
			if (newer.metadata.deletionTimestamp !== undefined) leaving.abort();
			if (metadataChanged) {
				// Variables may be made of them.
				memory.failures.clear();
				if (usesDownward(newer)) {
					memory.contents++;
					if (memory.volumes === 'mounted') memory.volumes = 'stale';
				}
			}
			poke();
		},
		async evict(eviction) {
			if (memory.eviction || gone !== undefined) return;
			await rememberEviction(context.dataDir, uid, eviction);
			memory.eviction = eviction;
			context.events.event(pod, 'Warning', EVICTED, eviction.message);
			poke();
		},
		gone() {
			gone ??= now();
			leaving.abort();
			poke();
		},
		poke,
		refreshVolumes() {
			memory.contents++;
			if (memory.volumes === 'mounted') memory.volumes = 'stale';
			else if (typeof memory.volumes === 'object') memory.volumes = memory.volumes.standing ? 'stale' : 'unmounted';
			// What a container's variables refer to may be there now.
			memory.failures.clear();
			poke();
		},
		retryVolumes() {
			if (typeof memory.volumes !== 'object' || memory.volumes.standing) return;
			memory.volumes = 'unmounted';
			poke();
		},
		async idle() {
			while (running) await running;
			await reporter.flush();
		},
	};
}

/** Why no image is fetched, and the reason of the event that says so. */
const unfetched: Readonly<Record<string, string>> = {
	ErrImageNeverPull: 'ErrImageNeverPull',
	InvalidImageName: 'InspectFailed',
};

const isOver = ({ status }: Pod) => status?.phase === 'Succeeded' || status?.phase === 'Failed';

const usesDownward = (pod: Pod) =>
	(pod.spec.volumes ?? []).some(
		(volume) => volume.downwardAPI || volume.projected?.sources?.some((one) => one.downwardAPI),
	);
