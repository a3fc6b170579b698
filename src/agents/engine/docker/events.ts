/** What the engine tells of as it happens, over as many connections as it takes. Source: Docker Engine API, "Monitor events". */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../../log.ts';
import type { EngineEvent } from '../engine.ts';
import { asEngineError } from './errors.ts';
import { lines } from './lines.ts';
import { podOf } from './names.ts';
import type { Requests } from './requests.ts';

/** Pauses between attempts to reach an engine that does not answer. */
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MAX_MS = 5_000;
const TYPES = ['container', 'image'];
/** What is heard of containers. That one ran out of memory may be heard after its end. */
const CONTAINER_CHANGES: Readonly<Record<string, 'started' | 'ended' | 'removed'>> = {
	start: 'started',
	die: 'ended',
	oom: 'ended',
	destroy: 'removed',
};
/** What is heard of images: only what makes a reference mean another image than before, or none. */
const IMAGE_CHANGES: Readonly<Record<string, 'added' | 'removed'>> = {
	pull: 'added',
	tag: 'added',
	import: 'added',
	load: 'added',
	untag: 'removed',
	delete: 'removed',
};

export interface EventOptions {
	readonly requests: Requests;
	readonly address: string;
	readonly log: Log;
	/** Called before each attempt to connect. */
	readonly revive?: () => Promise<void>;
}

/** Every event from now on; reconnects with backoff until the signal aborts. */
export async function* followEvents(
	{ requests, address, log, revive }: EventOptions,
	signal: AbortSignal,
): AsyncGenerator<EngineEvent> {
	let pause = RECONNECT_FIRST_MS;
	let down = false;
	while (!signal.aborted) {
		let cause: string;
		try {
			await revive?.();
			const query = { filters: JSON.stringify({ type: TYPES }) };
			const stream = await requests.call(
				'follow events',
				'changeMs',
				(signal) => requests.dial<Readable>('/events', signal, { stream: true, query }),
				signal,
			);
			if (down) log.info({ engine: address }, 'the container engine answers again');
			down = false;
			pause = RECONNECT_FIRST_MS;
			yield { type: 'connected' };
			for await (const line of lines(stream)) yield* toEvent(line);
			cause = 'it closed the connection';
		} catch (error) {
			if (signal.aborted) return;
			cause = asEngineError('follow events', address, error).detail;
		}
		if (signal.aborted) return;
		if (!down) log.warn({ engine: address, cause }, 'the container engine does not answer; trying on until it does');
		down = true;
		yield { type: 'disconnected', cause };
		await sleep(pause, undefined, { signal }).catch(() => undefined);
		pause = Math.min(pause * 2, RECONNECT_MAX_MS);
	}
}

function* toEvent(line: string): Generator<EngineEvent> {
	const { Type, Action, Actor } = JSON.parse(line) as {
		Type: string;
		Action: string;
		Actor: { ID: string; Attributes?: Record<string, string> };
	};
	if (Type === 'container') {
		const change = CONTAINER_CHANGES[Action];
		const pod = change && podOf(Actor.Attributes ?? {});
		if (pod) yield { type: 'part', change, id: Actor.ID, pod };
	} else {
		const change = IMAGE_CHANGES[Action];
		if (change) yield { type: 'image', change, id: Actor.ID, name: Actor.Attributes?.name };
	}
}
