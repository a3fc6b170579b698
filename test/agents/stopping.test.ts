/** How pods end on a real engine: hooks, signals, one period of grace, and a last status that is never lost. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { Client } from '../../src/client/index.ts';
import { Pod, serviceUnavailable } from '../../src/kinds/index.ts';
import { eventually, restarts, running, startNode, type TestNode, WAIT } from './node.ts';

let node: TestNode;
/** Whether the API takes no status of a pod. */
let outage = false;
let refused = 0;
/** Exit codes in the statuses that the API has taken, by pod and container. */
const written = new Map<string, number>();

/** The agent's client: it sees the outage, and notes what is written. */
function between(client: Client): Client {
	return {
		...client,
		registry: client.registry,
		name: client.name,
		async patch(kind, name, patch, options) {
			if ((kind as unknown) !== Pod) return client.patch(kind, name, patch, options);
			if (outage) {
				refused++;
				throw serviceUnavailable('the API is away');
			}
			const pod = await client.patch(Pod, name, patch, options);
			for (const { name: container, state } of pod.status?.containerStatuses ?? []) {
				if (state?.terminated) written.set(`${name.name}/${container}`, state.terminated.exitCode);
			}
			return pod as never;
		},
	};
}

test.before(async () => {
	node = await startNode();
	await node.runAgent({ between });
});
test.after.always(async () => {
	await node?.[Symbol.asyncDispose]();
});

const shell = (script: string) => ['sh', '-c', script];
const deaf = { name: 'main', command: shell('trap "" TERM; while true; do sleep 1; done') };
const hours = { terminationGracePeriodSeconds: 7200 };
const name = (pod: string) => ({ namespace: 'default', name: pod });
const left = async (pod: string) => (await node.containers()).filter((one) => one.name.startsWith(`${pod}/`));

/** A hostPath volume of the pod in which it leaves what it did. */
function diary(pod: string) {
	const folder = join(node.engine.dataDir, 'diary', pod);
	return {
		volumes: [{ name: 'out', hostPath: { path: folder, type: 'DirectoryOrCreate' } }],
		volumeMounts: [{ name: 'out', mountPath: '/out' }],
		read: () => readFile(join(folder, 'log'), 'utf8').catch(() => ''),
	};
}

test.serial('a second delete shortens the grace of a pod that is ending', async (t) => {
	await node.pod('hasty', { ...hours, containers: [deaf] });
	await node.until('hasty', running);
	await node.client.delete(Pod, name('hasty'));
	await node.untilEvent('hasty', /^Killing/);
	t.is((await node.get('hasty')).metadata.deletionGracePeriodSeconds, 7200);
	await node.client.delete(Pod, name('hasty'), { gracePeriodSeconds: 1 });
	await node.untilGone('hasty');
	t.deepEqual(await left('hasty'), []);
});

test.serial('a pod that is deleted by force while it is ending leaves no container', async (t) => {
	await node.pod('forced', { ...hours, containers: [deaf] });
	await node.until('forced', running);
	await node.client.delete(Pod, name('forced'));
	await node.untilEvent('forced', /^Killing/);
	await node.client.delete(Pod, name('forced'), { gracePeriodSeconds: 0 });
	await eventually('its containers are gone', async () => (await left('forced')).length === 0);
	t.pass();
});

test.serial('a pod whose container was restarted still has its preStop hook and its whole grace', async (t) => {
	const { volumes, volumeMounts, read } = diary('again');
	await node.pod('again', {
		terminationGracePeriodSeconds: 60,
		volumes,
		containers: [
			{
				name: 'main',
				command: shell('touch /tmp/alive; trap "echo term >> /out/log; exit 0" TERM; sleep 3600 & wait'),
				volumeMounts,
				livenessProbe: {
					periodSeconds: 1,
					failureThreshold: 1,
					terminationGracePeriodSeconds: 1,
					exec: { command: shell('test -e /tmp/alive && ! mkdir /out/sick 2>/dev/null') },
				},
				lifecycle: { preStop: { exec: { command: shell('sleep 3; echo hook >> /out/log') } } },
			},
		],
	});
	await node.until('again', (pod) => restarts(pod) === 1 && running(pod));
	await node.hears('again');
	await node.client.delete(Pod, name('again'));
	await node.untilGone('again');
	t.regex(await read(), /hook\nterm\n$/);
});

test.serial('a preStop hook that takes all of the grace is cut, and the signal follows it', async (t) => {
	const { volumes, volumeMounts, read } = diary('endless');
	await node.pod('endless', {
		terminationGracePeriodSeconds: 2,
		volumes,
		containers: [
			{
				name: 'main',
				command: shell('trap "echo term >> /out/log; exit 0" TERM; sleep 3600 & wait'),
				volumeMounts,
				lifecycle: { preStop: { exec: { command: ['sleep', '3600'] } } },
			},
		],
	});
	await node.until('endless', running);
	await node.hears('endless');
	await node.client.delete(Pod, name('endless'));
	await node.untilGone('endless');
	t.is(await read(), 'term\n');
	t.true((await node.events('endless')).some((event) => event.startsWith('FailedPreStopHook: ')));
});

test.serial('a container starts when the postStart hook of the one before it has ended', async (t) => {
	const { volumes, volumeMounts, read } = diary('ordered');
	await node.pod('ordered', {
		volumes,
		containers: [
			{
				name: 'first',
				command: WAIT,
				volumeMounts,
				lifecycle: { postStart: { exec: { command: shell('sleep 1; echo hook >> /out/log') } } },
			},
			{ name: 'second', command: shell(`echo second >> /out/log; ${WAIT[2]}`), volumeMounts },
		],
	});
	await node.until('ordered', running);
	await eventually('the second has written', async () => (await read()).includes('second'));
	t.is(await read(), 'hook\nsecond\n');
});

test.serial('what a pod ended with is told before anything of it is removed, also when the API was away', async (t) => {
	await node.pod('told', { restartPolicy: 'Never', terminationGracePeriodSeconds: 60 });
	await node.until('told', running);
	await node.hears('told');
	outage = true;
	await node.client.delete(Pod, name('told'));
	await eventually('its container has ended', async () =>
		(await left('told')).every((one) => one.name !== 'told/main' || one.state !== 'running'),
	);
	const before = refused;
	await eventually('its end cannot be told', async () => refused > before);
	t.deepEqual((await left('told')).map((one) => one.name).sort(), ['told/POD', 'told/main']);
	outage = false;
	await node.untilGone('told');
	t.is(written.get('told/main'), 0);
});
