/** How a process beside a container's own is carried to its caller. */
import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { type Caller, type Process, serveProcess } from '../../src/agents/server/process.ts';

test('sizes of a terminal that come close together reach it in their order', async (t) => {
	const ended = Promise.withResolvers<void>();
	const sizes: number[] = [];
	let resized: ((columns: number, rows: number) => void) | undefined;
	const caller: Caller = {
		listen: (to) => {
			resized = to.resized;
		},
		send: async () => undefined,
		close: async () => undefined,
		connected: true,
	};
	const output = {
		async *[Symbol.asyncIterator]() {
			await ended.promise;
			yield { channel: 'stdout' as const, payload: new Uint8Array() };
		},
		destroy: () => undefined,
	};
	const resize = async (columns: number) => {
		// The first takes longest.
		for (let turns = 200 - columns; turns > 0; turns--) await turn();
		sizes.push(columns);
		if (columns === 101) throw new Error('there is no terminal yet');
		if (columns === 103) ended.resolve();
	};
	const rest = { stdin: true, stdout: true, stderr: false, exitCode: async () => 0 };
	const process: Process = { input: new PassThrough(), output, resize, ...rest };
	const served = serveProcess(caller, process);
	for (const columns of [100, 101, 102, 103]) resized?.(columns, 24);
	await served;
	t.deepEqual(sizes, [100, 101, 102, 103]);
});
