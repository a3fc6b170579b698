/** What Docker's containers write and read: logs, commands, attached streams. */
import type { Duplex, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Exec } from 'dockerode';
import type { Engine } from '../engine.ts';
import type { Output } from '../process.ts';
import { stateOf } from './answers.ts';
import { killCommand } from './kill.ts';
import { short } from './parts.ts';
import type { Requests } from './requests.ts';
import { endedStreams, endWithContainer, outputOf, streamsOf } from './streams.ts';

/** Between two looks at whether a command has begun, in ms. */
const BEGIN_LOOK_MS = 50;

type Processes = Pick<Engine['containers'], 'logs' | 'exec' | 'attach' | 'resize'>;

export function dockerProcesses({ docker, call, find, dial }: Requests): Processes {
	const container = (id: string) => docker.getContainer(id);
	return {
		logs: (id, { follow, tail, since, timestamps, tty, signal }) =>
			call<Output>(
				`read the log of container ${short(id)}`,
				'changeMs',
				async (signal) => {
					const query = { stdout: true, stderr: true, follow, tail: tail ?? 'all', since: since ?? 0, timestamps };
					return outputOf(await dial<Readable>(`/containers/${id}/logs`, signal, { stream: true, query }), tty);
				},
				signal,
			),
		exec: (id, { command, stdin, tty, signal }) =>
			call(
				`run ${command[0]} in container ${short(id)}`,
				'changeMs',
				async (abortSignal) => {
					const exec = await container(id).exec({
						Cmd: [...command],
						AttachStdin: stdin,
						AttachStdout: true,
						AttachStderr: true,
						Tty: tty,
						abortSignal,
					});
					// Upgraded in every case: only then can the input be closed while output still comes.
					const stream = await exec.start({ hijack: true, stdin: true, Tty: tty, abortSignal });
					return {
						...streamsOf(stream, tty),
						exitCode: () =>
							call(
								'ask for an exit code',
								'answerMs',
								async (abortSignal) => (await exec.inspect({ abortSignal })).ExitCode ?? -1,
							),
						kill: () =>
							call(`end ${command[0]} in container ${short(id)}`, 'changeMs', async (abortSignal) => {
								const pid = await pidOf(exec, abortSignal);
								if (pid !== undefined) await killCommand(pid, id);
							}),
						resize: (w: number, h: number) =>
							call('resize a terminal', 'changeMs', async (abortSignal) => {
								if ((await pidOf(exec, abortSignal)) !== undefined) await exec.resize({ w, h, abortSignal });
							}),
					};
				},
				signal,
			),
		async attach(id, { stdin, tty, signal }) {
			const doing = `attach to container ${short(id)}`;
			const open = async (abortSignal: AbortSignal) => {
				const options = { stream: true, stdin, stdout: true, stderr: true, hijack: true, abortSignal };
				return (await container(id).attach(options)) as Duplex;
			};
			const live = await call(doing, 'changeMs', open, signal);
			const look = (abortSignal: AbortSignal) => container(id).inspect({ abortSignal });
			const body = await find(doing, 'answerMs', look, signal).catch((error: unknown) => {
				live.destroy();
				throw error;
			});
			if (!body || stateOf(body.State.Status) !== 'running') {
				live.destroy();
				return { ...endedStreams(), late: true };
			}
			endWithContainer(live, async (closed) => {
				// It takes as long as it takes.
				const wait = (abortSignal: AbortSignal) => container(id).wait({ condition: 'not-running', abortSignal });
				await find(`wait for the end of container ${short(id)}`, 'never', wait, closed);
			});
			return { ...streamsOf(live, tty), late: false };
		},
		async resize(id, w, h) {
			await call('resize a terminal', 'changeMs', (abortSignal) => container(id).resize({ w, h, abortSignal }));
		},
	};
}

/** The process of a command: Docker answers before it has begun it. Undefined where the command is over. */
async function pidOf(exec: Exec, abortSignal: AbortSignal): Promise<number | undefined> {
	for (;;) {
		const { Running, Pid, ExitCode } = await exec.inspect({ abortSignal });
		if (Running && Pid > 0) return Pid;
		if (!Running && ExitCode !== null) return undefined;
		await sleep(BEGIN_LOOK_MS, undefined, { signal: abortSignal });
	}
}
