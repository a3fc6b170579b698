/** What the agent writes of a pod's status, and what it leaves to others. */
import test from 'ava';
import type * as core from 'kubernetes-types/core/v1.js';
import { createReporter } from '../../src/agents/pods/report.ts';
import { createWheel } from '../../src/agents/wheel.ts';
import { type Client, faults, inProcess } from '../../src/client/index.ts';
import { type ApiError, badRequest, Pod, serviceUnavailable, timestamp } from '../../src/kinds/index.ts';
import { admin, serveTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { eventually } from './node.ts';

const lastTransitionTime = timestamp(Date.UTC(2024, 4, 1));
const condition = (type: string, status: string, rest: Partial<core.PodCondition> = {}): core.PodCondition => ({
	type,
	status,
	lastTransitionTime,
	...rest,
});

test('conditions that others write meanwhile stay, and addresses are replaced', async (t) => {
	await using server = await serveTestApi({ log: silentLog });
	const client = inProcess(server.api, { ...admin, userAgent: 'test' });
	const name = { namespace: 'default', name: 'web' };
	await client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: name,
		spec: { containers: [{ name: 'main', image: 'i' }] },
	});
	const wheel = createWheel();
	const { signal } = new AbortController();
	const context = { client, wheel, reports: faults(silentLog), signal };
	const reporter = createReporter(context, () => undefined);
	const write = async (pod: Pod, status: core.PodStatus) => {
		reporter.report(pod, status);
		t.true(await reporter.flush());
	};

	const first = await client.get(Pod, name);
	await write(first, {
		phase: 'Pending',
		podIP: '10.0.0.1',
		podIPs: [{ ip: '10.0.0.1' }],
		conditions: [condition('Ready', 'False', { reason: 'ContainersNotReady', message: 'why' })],
	});
	const known = await client.get(Pod, name);
	const gate = { status: { conditions: [condition('example.com/gate', 'True')] } };
	await client.patch(Pod, name, { type: 'strategic', body: gate }, { subresource: 'status' });
	// The agent has not heard of the gate yet.
	await write(known, {
		phase: 'Running',
		podIP: '10.0.0.2',
		podIPs: [{ ip: '10.0.0.2' }],
		conditions: [condition('Ready', 'True')],
	});
	const { status } = await client.get(Pod, name);
	t.deepEqual(
		[...(status?.conditions ?? [])]
			.filter(({ type }) => type !== 'PodScheduled')
			.sort((a, b) => (a.type < b.type ? -1 : 1)),
		[condition('Ready', 'True'), condition('example.com/gate', 'True')],
	);
	t.deepEqual(status?.podIPs, [{ ip: '10.0.0.2' }]);
	t.is(status?.phase, 'Running');
	wheel[Symbol.dispose]();
});

test('a status is written after a failure, whatever has become of the one that failed', async (t) => {
	await using server = await serveTestApi({ log: silentLog });
	const client = inProcess(server.api, { ...admin, userAgent: 'test' });
	const name = { namespace: 'default', name: 'web' };
	const pod = await client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: name,
		spec: { containers: [{ name: 'main', image: 'i' }] },
	});
	let answer: ApiError | undefined;
	const failing: Client = {
		...client,
		async patch(...args) {
			if (answer) throw answer;
			return client.patch(...args);
		},
	};
	using wheel = createWheel();
	const { signal } = new AbortController();
	let told = false;
	const context = { client: failing, wheel, reports: faults(silentLog), signal };
	const reporter = createReporter(context, () => {
		told = true;
	});

	answer = serviceUnavailable('the API is away');
	reporter.report(pod, { phase: 'Running' });
	t.false(await reporter.flush());
	// It was for a moment only.
	reporter.report(pod, pod.status ?? {});
	answer = undefined;
	await eventually('the pod is told that it may go on', async () => told);
	t.true(await reporter.flush());
	t.is((await client.get(Pod, name)).status?.phase, 'Pending');

	answer = badRequest('no such status');
	reporter.report(pod, { phase: 'Running' });
	t.true(await reporter.flush(), 'what is refused is not tried again');
	answer = undefined;
	reporter.report(pod, { phase: 'Succeeded' });
	t.true(await reporter.flush());
	t.is((await client.get(Pod, name)).status?.phase, 'Succeeded');
});
