/** Probes of running containers: what they find is kept by container, and changes poke the container's pod. */
import type * as core from 'kubernetes-types/core/v1.js';
import type { EventRecorder } from '../../client/index.ts';
import type { Pod } from '../../kinds/index.ts';
import type { Engine } from '../engine/index.ts';
import { uidOf } from '../pods/names.ts';
import type { Health, Instance } from '../pods/observed.ts';
import { fieldPath, members, statusOf } from '../pods/outlook.ts';
import type { Wheel } from '../wheel.ts';
import type { ProbeCounts } from './counts.ts';
import { runHandler } from './handler.ts';
import { count, type Tally, untold } from './verdict.ts';

type Kind = 'Startup' | 'Liveness' | 'Readiness';

export interface Prober {
	/** Probes the running instances of the pod from now on, and no others of it. `address` is the pod's. */
	sync(pod: Pod, running: readonly Instance[], address: string): void;
	/** What is known of a container; undefined where it is not probed. */
	health(id: string): Health | undefined;
	forget(uid: string): void;
}

export interface ProberOptions {
	readonly engine: Engine;
	readonly wheel: Wheel;
	readonly events: EventRecorder;
	readonly counts: ProbeCounts;
	readonly now: () => number;
	readonly signal: AbortSignal;
	/** Something of this pod's health has changed. */
	changed(uid: string): void;
}

interface Entry {
	pod: Pod;
	address: string;
	readonly instance: Instance;
	readonly container: core.Container;
	health: Health;
	readonly waiting: Map<Kind, Disposable>;
	readonly tallies: Map<Kind, Tally>;
	stopped: boolean;
}

/** A pod that goes is not restarted: only its readiness matters still. */
const kills = (kind: Kind) => kind !== 'Readiness';
const isGoing = ({ pod }: Entry) => pod.metadata.deletionTimestamp !== undefined;

export function createProber(options: ProberOptions): Prober {
	const { engine, wheel, events, counts, now, signal, changed } = options;
	const entries = new Map<string, Entry>();
	const byPod = new Map<string, Set<string>>();

	const set = (entry: Entry, health: Partial<Health>) => {
		entry.health = { ...entry.health, ...health };
		changed(uidOf(entry.pod));
	};
	const stop = (entry: Entry) => {
		entry.stopped = true;
		for (const waiting of entry.waiting.values()) waiting[Symbol.dispose]();
		entries.delete(entry.instance.id);
	};
	const probeOf = (entry: Entry, kind: Kind): core.Probe | undefined => {
		const { startupProbe, livenessProbe, readinessProbe } = entry.container;
		return kind === 'Startup' ? startupProbe : kind === 'Liveness' ? livenessProbe : readinessProbe;
	};

	const begin = (entry: Entry, kind: Kind) => {
		const probe = probeOf(entry, kind);
		if (!probe) return;
		const initial = (probe.initialDelaySeconds ?? 0) * 1000;
		const since = now() - (entry.instance.startedAt ?? now());
		// Where the clock was set back since, the start lies in the future.
		schedule(entry, kind, Math.min(initial, Math.max(0, initial - since)));
	};
	const schedule = (entry: Entry, kind: Kind, delayMs: number) => {
		if (entry.stopped || signal.aborted) return;
		entry.waiting.set(
			kind,
			wheel.after(delayMs, () => void run(entry, kind)),
		);
	};
	const run = async (entry: Entry, kind: Kind) => {
		const probe = probeOf(entry, kind);
		if (!probe || (kills(kind) && isGoing(entry))) return;
		const began = wheel.now();
		const { container, address, instance } = entry;
		const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
		const result = await runHandler(probe, { engine, id: instance.id, container, address, timeoutMs, signal });
		if (entry.stopped || signal.aborted || (kills(kind) && isGoing(entry))) return;
		counts.count(entry.pod, container.name, kind, result.ok, (wheel.now() - began) / 1000);
		const tally = count(entry.tallies.get(kind) ?? untold, result.ok, probe);
		entry.tallies.set(kind, tally);
		const tell = (reason: string, message: string) =>
			events.event(entry.pod, 'Warning', reason, message.trim(), fieldPath(entry.pod, container.name));
		if (!result.ok) tell('Unhealthy', `${kind} probe failed: ${result.output}`);
		else if (result.warning) tell('ProbeWarning', `${kind} probe warning: ${result.output}`);
		if (!judge(entry, kind, probe, tally)) return;
		// Else an engine that is slow would get more commands than it ends.
		await result.over;
		schedule(entry, kind, began + (probe.periodSeconds ?? 10) * 1000 - wheel.now());
	};
	/** Acts on a verdict; says whether to go on probing. */
	const judge = (entry: Entry, kind: Kind, probe: core.Probe, { verdict }: Tally): boolean => {
		if (kind === 'Readiness') {
			if (verdict !== undefined && verdict !== entry.health.ready) set(entry, { ready: verdict });
			return true;
		}
		if (verdict === false) {
			set(entry, { unhealthy: { probe: kind, graceSeconds: probe.terminationGracePeriodSeconds } });
			return false;
		}
		if (kind === 'Liveness' || verdict === undefined) return true;
		set(entry, { started: true, ready: entry.container.readinessProbe === undefined });
		begin(entry, 'Liveness');
		begin(entry, 'Readiness');
		return false;
	};

	const track = (pod: Pod, container: core.Container, instance: Instance, address: string) => {
		const known = statusOf(pod, container.name);
		const before = known?.containerID === instance.uri ? known : undefined;
		// After a restart of the agent a container is what it was, until its probes say otherwise.
		const started = container.startupProbe === undefined || before?.started === true;
		const ready = started && (container.readinessProbe === undefined || before?.ready === true);
		const entry: Entry = {
			pod,
			address,
			instance,
			container,
			health: { started, ready },
			waiting: new Map(),
			tallies: new Map(),
			stopped: false,
		};
		entries.set(instance.id, entry);
		if (!started) begin(entry, 'Startup');
		else {
			begin(entry, 'Liveness');
			begin(entry, 'Readiness');
		}
	};

	return {
		sync(pod, running, address) {
			const uid = uidOf(pod);
			const present = new Set(running.map(({ id }) => id));
			const known = byPod.get(uid) ?? new Set();
			for (const id of known) {
				const entry = entries.get(id);
				if (present.has(id) || !entry) continue;
				stop(entry);
				known.delete(id);
			}
			for (const instance of running) {
				const entry = entries.get(instance.id);
				if (entry) {
					entry.pod = pod;
					entry.address = address;
					continue;
				}
				const member = members(pod).find(({ container }) => container.name === instance.name);
				if (!member) continue;
				known.add(instance.id);
				// Init containers have no probes; sidecars have.
				if (!member.role.serving) continue;
				track(pod, member.container, instance, address);
			}
			byPod.set(uid, known);
		},
		health: (id) => entries.get(id)?.health,
		forget(uid) {
			for (const id of byPod.get(uid) ?? []) {
				const entry = entries.get(id);
				if (entry) stop(entry);
			}
			byPod.delete(uid);
			counts.forget(uid);
		},
	};
}
