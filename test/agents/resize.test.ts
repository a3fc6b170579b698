/** Resources that change while containers run: whether the node has room, what the kernel is told, and what the status says. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { parseHierarchies } from '../../src/agents/figures/groups.ts';
import { planPod } from '../../src/agents/pods/plan.ts';
import { allocate } from '../../src/agents/pods/resize.ts';
import { allocatedPod, Node, type Pod, requestsOf } from '../../src/kinds/index.ts';
import { kubectl } from '../testbed/kubectl.ts';
import { NODE, restarts, running, startNode, type TestNode, WAIT } from './node.ts';
import { container, instance, NOW, observed, pod, sandbox } from './observed-pods.ts';

const sized = (cpu: string, given?: string, conditions?: object[]): Pod => {
	const resources = { requests: { cpu } };
	const statuses = given
		? [{ name: 'main', allocatedResources: { cpu: given }, resources: { requests: { cpu: given } } }]
		: undefined;
	return pod(
		{ containers: [container('main', { resources })] },
		{
			status: { containerStatuses: statuses, conditions } as Pod['status'],
		},
	);
};

const rooms: readonly (readonly [
	title: string,
	wanted: Pod,
	others: Pod[],
	reason: 'Deferred' | 'Infeasible' | undefined,
	has: string,
])[] = [
	['never started: what it asks for', sized('2'), [], undefined, '2'],
	['as it is', sized('1', '1'), [sized('9', '9')], undefined, '1'],
	['there is room', sized('2', '1'), [sized('2', '2')], undefined, '2'],
	['less needs none', sized('1', '3'), [sized('9', '9')], undefined, '1'],
	['no room now', sized('3', '1'), [sized('2', '2')], 'Deferred', '1'],
	['what another only asks for takes none', sized('2', '1'), [sized('9', '1')], undefined, '2'],
	['never here', sized('5', '1'), [], 'Infeasible', '1'],
];
for (const [title, wanted, others, reason, has] of rooms)
	test(`what a resized pod has of its node: ${title}`, (t) => {
		const found = allocate(wanted, { others: () => others, allocatable: { cpu: '4' } });
		t.is(found.pending?.reason, reason);
		t.is(found.pod.spec.containers[0]?.resources?.requests?.cpu, has);
	});

test('until its node has said so, a pod counts with what it has and with what it wants', (t) => {
	t.is(requestsOf(sized('3', '1')).cpu, 3000);
	t.is(requestsOf(sized('1', '3')).cpu, 3000);
	const never = [{ type: 'PodResizePending', status: 'True', reason: 'Infeasible' }];
	t.is(requestsOf(sized('9', '1', never)).cpu, 1000);
	t.is(allocatedPod(sized('9', '1')).spec.containers[0]?.resources?.requests?.cpu, '1');
});

test('a running container gets its limits changed, or is restarted where its policy says so', (t) => {
	const plan = (resizePolicy: { resourceName: string; restartPolicy: string }[], limits: object) => {
		const resources = { limits: { cpu: '1', memory: '64Mi' }, requests: { cpu: '1', memory: '64Mi' } };
		const wanted = pod({ containers: [container('main', { resources, resizePolicy })] });
		const now = { cpuShares: 1024, cpuQuota: 100_000, memory: 64 * 2 ** 20, ...limits };
		return planPod(wanted, observed({ sandboxes: [sandbox], instances: [instance('main', { limits: now })] }), NOW);
	};
	const policy = [
		{ resourceName: 'cpu', restartPolicy: 'NotRequired' },
		{ resourceName: 'memory', restartPolicy: 'RestartContainer' },
	];
	t.deepEqual(plan(policy, {}), []);
	t.deepEqual(plan(policy, { cpuShares: 512, cpuQuota: 50_000 }), [
		{ do: 'resize', containers: [{ container: 'main', id: 'main-0' }] },
	]);
	t.like(plan(policy, { memory: 32 * 2 ** 20 })[0], {
		do: 'stopContainer',
		message: 'Container main resize requires restart',
	});
	t.deepEqual(
		plan([], { memory: 32 * 2 ** 20 }).map((step) => step.do),
		['resize'],
	);
});

let node: TestNode;
test.before(async () => {
	node = await startNode();
});
test.after.always(async () => {
	await node?.[Symbol.asyncDispose]();
});

const conditionsOf = ({ status }: Pod) => (status?.conditions ?? []).filter(({ type }) => type.startsWith('PodResize'));

test.serial(
	'a resize reaches the kernel without a restart; one without room waits for it, and is said to',
	async (t) => {
		using run = kubectl(node.server.kubeconfig);
		const agent = await node.runAgent();
		const hierarchies = parseHierarchies(await readFile('/proc/self/mountinfo', 'utf8'));
		const { version, mounts } = hierarchies ?? { version: 1 as const, mounts: {} };
		const read = async (controller: 'cpu' | 'memory', path: string, first: string, second: string) => {
			const point = mounts[version === 2 ? 'unified' : controller]?.point ?? '';
			return Number.parseInt(await readFile(join(point, path, version === 1 ? first : second), 'utf8'), 10);
		};
		const quantities = { cpu: '100m', memory: '32Mi' };
		const made = await node.pod('grows', {
			containers: [
				{
					name: 'main',
					command: WAIT,
					resources: { limits: quantities, requests: quantities },
				},
			],
		});
		const before = await node.until('grows', running);
		t.like(before.status?.containerStatuses?.[0], {
			allocatedResources: quantities,
			resources: { limits: quantities },
		});
		const resize = (cpu: string, memory: string) => {
			const list = { cpu, memory };
			const spec = { containers: [{ name: 'main', resources: { limits: list, requests: list } }] };
			return run('patch', 'pod', 'grows', '--subresource=resize', '-p', JSON.stringify({ spec }));
		};
		t.regex((await resize('200m', '64Mi')).stdout, /pod\/grows patched/);
		const grown = await node.until(
			'grows',
			({ status }) => status?.containerStatuses?.[0]?.resources?.limits?.cpu === '200m',
		);
		t.like(grown.status?.containerStatuses?.[0], {
			allocatedResources: { cpu: '200m', memory: '64Mi' },
			restartCount: 0,
		});
		t.is(grown.status?.containerStatuses?.[0]?.containerID, before.status?.containerStatuses?.[0]?.containerID);
		t.deepEqual(conditionsOf(await node.until('grows', (one) => conditionsOf(one).length === 0)), []);
		const id = (grown.status?.containerStatuses?.[0]?.containerID ?? '').replace('docker://', '');
		const group = `kubepods/pod${made.metadata.uid}`;
		for (const path of [group, `${group}/${id}`]) {
			t.is(await read('memory', path, 'memory.limit_in_bytes', 'memory.max'), 64 * 2 ** 20);
			t.is(await read('cpu', path, 'cpu.cfs_quota_us', 'cpu.max'), 20_000);
		}
		t.true((await node.events('grows')).includes('ResizeCompleted: Pod resize completed: main'));

		// Smaller again, also where the agent was not there when it was asked for.
		await agent[Symbol.asyncDispose]();
		await resize('50m', '64Mi');
		const again = await node.runAgent();
		await node.until('grows', ({ status }) => status?.containerStatuses?.[0]?.resources?.limits?.cpu === '50m');
		t.is(await read('cpu', `${group}/${id}`, 'cpu.cfs_quota_us', 'cpu.max'), 5_000);
		t.is(await read('cpu', group, 'cpu.cfs_quota_us', 'cpu.max'), 5_000);

		// Never on this node, and what it has stays.
		await resize('5000', '64Mi');
		const never = await node.until('grows', (one) => conditionsOf(one).length > 0);
		t.like(conditionsOf(never)[0], { type: 'PodResizePending', status: 'True', reason: 'Infeasible' });
		t.is(never.status?.resize, 'Infeasible');
		t.like(never.status?.containerStatuses?.[0], { allocatedResources: { cpu: '50m' } });
		t.regex(
			await node.untilEvent('grows', /^ResizeInfeasible/),
			/Node didn't have enough capacity: cpu, requested: 5000000/,
		);
		await resize('60m', '64Mi');
		const back = await node.until(
			'grows',
			(one) => one.status?.containerStatuses?.[0]?.resources?.limits?.cpu === '60m',
		);
		t.is(back.status?.resize, undefined);
		t.is(restarts(back), 0);

		// As long as another has what it needs.
		const { status } = await node.client.get(Node, { name: NODE });
		const all =
			requestsOf({
				...made,
				spec: { containers: [{ name: 'x', resources: { requests: { cpu: status?.allocatable?.cpu ?? '0' } } }] },
			}).cpu ?? 0;
		await node.pod('large', {
			containers: [{ name: 'main', command: WAIT, resources: { requests: { cpu: `${all - 100}m` } } }],
		});
		await node.until('large', running);
		await resize('500m', '64Mi');
		const waits = await node.until('grows', (one) => conditionsOf(one).length > 0);
		t.like(conditionsOf(waits)[0], { type: 'PodResizePending', reason: 'Deferred' });
		await run.ok('delete', 'pod', 'large');
		const done = await node.until(
			'grows',
			(one) => one.status?.containerStatuses?.[0]?.resources?.limits?.cpu === '500m',
		);
		t.is(restarts(done), 0);
		await again[Symbol.asyncDispose]();
	},
);

test.serial('a container whose policy says so is restarted with its new limits', async (t) => {
	using run = kubectl(node.server.kubeconfig);
	await using _agent = await node.runAgent();
	const limits = { memory: '64Mi' };
	await node.pod('restarts', {
		containers: [
			{
				name: 'main',
				command: WAIT,
				resources: { limits, requests: limits },
				resizePolicy: [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }],
			},
		],
	});
	await node.until('restarts', running);
	await node.hears('restarts');
	const spec = {
		containers: [{ name: 'main', resources: { limits: { memory: '32Mi' }, requests: { memory: '32Mi' } } }],
	};
	await run.ok('patch', 'pod', 'restarts', '--subresource=resize', '-p', JSON.stringify({ spec }));
	const after = await node.until('restarts', (one) => restarts(one) === 1 && running(one));
	t.is(after.status?.containerStatuses?.[0]?.resources?.limits?.memory, '32Mi');
	t.is(after.status?.resize, undefined);
	t.true((await node.events('restarts')).some((event) => event.includes('Container main resize requires restart')));
	const refused = await run(
		'patch',
		'pod',
		'restarts',
		'--subresource=resize',
		'-p',
		'{"spec":{"containers":[{"name":"main","resources":{"limits":null}}]}}',
	);
	t.regex(refused.stderr, /resource limits cannot be removed/);
});
