/** Attaching to a container's own process, also to one that ends meanwhile or has ended. */
import type { Container, Engine } from '../engine/index.ts';
import { type Caller, serveProcess } from './process.ts';

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
	const { input, output, late } = await containers.attach(id, { stdin: wanted.stdin, tty, signal });
	try {
		await serveProcess(caller, {
			input,
			output,
			...wanted,
			instead: async () =>
				late || exclusive ? containers.logs(id, { follow: false, timestamps: false, tty, signal }) : undefined,
			resize: (columns, rows) => containers.resize(id, columns, rows),
			exitCode: async () => undefined,
		});
	} finally {
		output.destroy();
	}
}
