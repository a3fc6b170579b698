/** Pods that ask for another of the engine's runtimes, on a real engine. */
import test from 'ava';
import { RuntimeClass } from '../../src/kinds/index.ts';
import { OTHER_RUNTIME } from '../testbed/engine.ts';
import { running, startNode, type TestNode } from './node.ts';

let node: TestNode;
test.before(async () => {
	node = await startNode();
	await node.runAgent();
});
test.after.always(async () => {
	await node?.[Symbol.asyncDispose]();
});

const runtimeClass = (name: string, handler: string) =>
	node.client.create(RuntimeClass, { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name }, handler });
const sleeping = { containers: [{ name: 'main', command: ['sleep', '600'] }], terminationGracePeriodSeconds: 0 };

test('a pod of a runtime class runs, sandbox and container, under its handler', async (t) => {
	await runtimeClass('guarded', OTHER_RUNTIME);
	await node.pod('guarded', { ...sleeping, runtimeClassName: 'guarded' } as never);
	await node.pod('plain', sleeping as never);
	for (const [name, runtime] of [
		['guarded', OTHER_RUNTIME],
		['plain', 'runc'],
	] as const) {
		const pod = await node.until(name, running);
		const label = [`io.kubernetes.pod.uid=${pod.metadata.uid}`];
		const parts = await node.engine.docker.listContainers({ all: true, filters: { label } });
		t.is(parts.length, 2);
		for (const { Id } of parts) {
			const { HostConfig } = await node.engine.docker.getContainer(Id).inspect();
			t.is(HostConfig.Runtime, runtime);
		}
	}
});

test('a handler that the engine does not know keeps the pod waiting, and is told', async (t) => {
	await runtimeClass('unknown', 'not-there');
	await node.pod('unknown', { ...sleeping, runtimeClassName: 'unknown' } as never);
	const event = await node.untilEvent('unknown', /^FailedCreatePodSandBox: .*not-there/);
	t.truthy(event);
});
