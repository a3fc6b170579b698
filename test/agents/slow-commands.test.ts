/** Commands on a real engine that is slow to begin them. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { collect } from '../../src/agents/engine/index.ts';
import { eventually, restarts, running, startNode, WAIT } from './node.ts';

test('a command of a probe that takes too long is ended with what it has started', async (t) => {
	await using node = await startNode();
	await using _ = await node.runAgent();
	const script = 'echo asked >> /tmp/asked; sleep 4242 & sleep 4243';
	await node.pod('slow', {
		containers: [
			{
				name: 'main',
				command: WAIT,
				livenessProbe: {
					periodSeconds: 1,
					timeoutSeconds: 1,
					failureThreshold: 1000,
					exec: { command: ['sh', '-c', script] },
				},
			},
		],
	});
	await node.until('slow', running);
	const main = (await node.containers()).find(({ name }) => name === 'slow/main');
	const container = node.engine.docker.getContainer(main?.id ?? '');
	const read = async (command: string) => {
		const exec = await container.exec({ Cmd: ['sh', '-c', command], AttachStdout: true, Tty: true });
		let text = '';
		for await (const chunk of await exec.start({ Tty: true })) text += chunk;
		return text;
	};
	await eventually(
		'it has been asked some times',
		async () => (await read('cat /tmp/asked')).split('asked').length > 5,
	);
	// One that begins only when its time is up is ended all the same, and those that follow wait for that.
	await node.engine.signalContainerd('SIGSTOP');
	let begins: unknown[] = [];
	const waiting = async () => {
		const { ExecIDs } = await container.inspect();
		const all = (ExecIDs ?? []).map((id) => node.engine.docker.getExec(id).inspect());
		begins = (await Promise.all(all)).filter(({ Pid, ExitCode }) => Pid === 0 && ExitCode === null);
		return begins.length > 0;
	};
	await eventually('a command is asked for that cannot begin', waiting)
		.then(() => sleep(5_000))
		.then(waiting)
		.finally(() => node.engine.signalContainerd('SIGCONT'));
	t.is(begins.length, 1, JSON.stringify(begins));
	const commands = async () => {
		const { Processes } = await container.top();
		return Processes.map((process: string[]) => process.at(-1) ?? '').filter((one: string) =>
			/^sleep 424[23]$/.test(one),
		);
	};
	let seen: string[] = [];
	await eventually('no more than one command of it runs', async () => {
		seen = await commands();
		return seen.length <= 2;
	}).catch((error: Error) => t.fail(`${error.message}: ${seen.join(', ')}`));
	t.is(restarts(await node.get('slow')), 0);
	await node.untilEvent('slow', /^Unhealthy: Liveness probe failed: command "sh -c .*" timed out/);
});

test('a terminal has the size that it was given before its command had begun', async (t) => {
	await using node = await startNode();
	await using agent = await node.runAgent();
	await node.pod('sized', {});
	await node.until('sized', running);
	const main = (await node.containers()).find(({ name }) => name === 'sized/main');
	await node.engine.signalContainerd('SIGSTOP');
	const command = ['sh', '-c', 'read line; stty size'];
	const execution = await agent.engine.containers.exec(main?.id ?? '', { command, stdin: true, tty: true });
	const sized = execution.resize(111, 33);
	sized.catch(() => undefined);
	await sleep(500);
	await node.engine.signalContainerd('SIGCONT');
	await sized;
	execution.input.write('\n');
	t.regex(await collect(execution.output, 1000), /^33 111\r$/m);
});
