/** Attaching to a container's own process, also to one that ends meanwhile or has ended. */
import { type Duplex, PassThrough } from 'node:stream';
import type { Container, Engine } from '../engine/engine.ts';
import { type Caller, serveProcess } from './process.ts';

/** Once a container has ended, its stream may be silent for so long before it counts as one that never ends. */
const DRAIN_MS = 2_000;

interface Attachable {
	readonly engine: Engine;
	readonly container: Container;
	/** The caller comes for all that the container writes. */
	readonly exclusive: boolean;
	readonly signal: AbortSignal;
}

/**
 * Carries the container's streams until it or the caller ends. Where it had ended before, or had written all before the
 * stream was there and is `exclusive`, the caller gets its log. The status is a success whatever the exit code: that one is
 * in the pod's status, and kubectl takes a failure here for one of attaching. Source: the kubelet's ServeAttach.
 */
export async function serveAttach(
	caller: Caller,
	{ engine, container, exclusive, signal }: Attachable,
	wanted: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean },
): Promise<void> {
	const { containers } = engine;
	const { id, tty } = container;
	const live = await containers.attach(id, { stdin: wanted.stdin, tty, signal });
	const settled = new AbortController();
	const until = AbortSignal.any([settled.signal, signal]);
	try {
		// The engine ends the streams it knows when the container ends. One that it got to know later stays open for ever.
		const late = (await containers.inspect(id))?.state !== 'running';
		if (!late) {
			containers.ended(id, until).then(
				() => endSilent(live, until),
				// Without the engine's word the stream's own end decides.
				() => undefined,
			);
		}
		await serveProcess(caller, {
			stream: late ? new PassThrough().end() : live,
			tty,
			...wanted,
			instead: async () =>
				late || exclusive ? containers.logs(id, { follow: false, timestamps: false, signal }) : undefined,
			resize: (columns, rows) => containers.resize(id, columns, rows),
			exitCode: async () => undefined,
		});
	} finally {
		settled.abort();
		live.destroy();
	}
}

/** Ends a stream from which nothing more comes; what a slow reader has not taken yet is left to it. */
function endSilent(stream: Duplex, signal: AbortSignal): void {
	const end = () => {
		if (stream.readableLength > 0) timer.refresh();
		else stream.push(null);
	};
	const timer = setTimeout(end, DRAIN_MS);
	const more = () => timer.refresh();
	stream.on('readable', more);
	const stop = () => {
		clearTimeout(timer);
		stream.off('readable', more);
	};
	stream.once('end', stop);
	signal.addEventListener('abort', stop, { once: true });
	if (signal.aborted || stream.readableEnded) stop();
}
