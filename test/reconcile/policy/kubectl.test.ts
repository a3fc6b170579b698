/** What people do to quotas, limits, priorities and budgets with the real kubectl; only the nodes are played. */
import test, { type ExecutionContext } from 'ava';
import { createCache, inProcess } from '../../../src/client/index.ts';
import { Node, PodDisruptionBudget } from '../../../src/kinds/index.ts';
import { clusterControllers, runControllers } from '../../../src/reconcile/index.ts';
import { eventually } from '../../client/world.ts';
import { admin, serveTestApi } from '../../testbed/api.ts';
import { kubectl as connect } from '../../testbed/kubectl.ts';
import { silentLog } from '../../testbed/silent-log.ts';
import { kubelet } from '../kubelet.ts';
import { node as nodeShape } from '../workloads.ts';

async function start(t: ExecutionContext) {
	const server = await serveTestApi();
	const stop = new AbortController();
	const { signal } = stop;
	const client = inProcess(server.api, admin);
	const cache = createCache(client, { signal, log: silentLog });
	const node = kubelet();
	const controllers = [...clusterControllers(), node.controller];
	const running = runControllers({ client, cache, controllers, log: silentLog, now: Date.now, signal });
	const run = connect(server.kubeconfig);
	t.teardown(async () => {
		run[Symbol.dispose]();
		stop.abort();
		await running;
		await cache[Symbol.asyncDispose]();
		await server[Symbol.asyncDispose]();
	});
	const kubectl = (line: string) => run.ok(...line.split(' '));
	const addNode = async (name: string, cpu = '8') => {
		const labels = { 'kubernetes.io/hostname': name };
		const made = await client.create(Node, { ...nodeShape(name), metadata: { name, labels } });
		const resources = { cpu, memory: '8Gi', pods: '110' };
		const conditions = [{ type: 'Ready', status: 'True', reason: 'Test', message: '' }];
		const status = { capacity: resources, allocatable: resources, conditions };
		await client.update(Node, { ...made, status }, { subresource: 'status' });
	};
	const world = { api: server.api, client, cache, signal };
	return { kubectl, run, addNode, world, client };
}

test('kubectl: a quota is made, shown with what is used, described, and refuses what is too much', async (t) => {
	const { kubectl, run } = await start(t);
	await kubectl('create quota small --hard=pods=1,limits.cpu=1,count/configmaps=9');
	await kubectl('wait --for=jsonpath={.status.hard.pods}=1 quota/small --timeout=30s');
	await run.ok('apply', '-f', '-', { input: pod('first', '500m') });
	const table = await kubectl('get quota small');
	t.regex(table, /^NAME\s+REQUEST\s+LIMIT\s+AGE$/m);
	t.regex(table, /^small\s+count\/configmaps: \d+\/9, pods: 1\/1\s+limits.cpu: 500m\/1\s+\d+s$/m);
	t.regex(await kubectl('describe quota small'), /limits\.cpu\s+500m\s+1\n\s*pods\s+1\s+1/);
	const { stderr, code } = await run('apply', '-f', '-', { input: pod('second', '500m') });
	t.is(code, 1);
	t.regex(
		stderr,
		/pods "second" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1/,
	);
	await kubectl('create deployment web --image=example:1');
	await kubectl('wait --for=condition=ReplicaFailure deployment/web --timeout=30s');
	t.regex(
		await kubectl('describe replicaset -l app=web'),
		/FailedCreate.*failed quota: small: must specify limits.cpu for: example/,
	);
});

const pod = (name: string, cpu: string) =>
	JSON.stringify({
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name },
		spec: { containers: [{ name: 'c', image: 'example:1', resources: { limits: { cpu } } }] },
	});

test('kubectl: limits are described, and given to pods that say nothing', async (t) => {
	const { kubectl, run } = await start(t);
	const limits = {
		apiVersion: 'v1',
		kind: 'LimitRange',
		metadata: { name: 'limits' },
		spec: { limits: [{ type: 'Container', default: { cpu: '500m' }, max: { cpu: '1' } }] },
	};
	await run.ok('apply', '-f', '-', { input: JSON.stringify(limits) });
	t.regex(await kubectl('get limits'), /^NAME\s+CREATED AT\nlimits\s+\d{4}-\d\d-\d\dT/);
	t.regex(await kubectl('describe limits limits'), /Container\s+cpu\s+-\s+1\s+500m\s+500m\s+-/);
	await kubectl('run quiet --image=example:1');
	t.is(
		await kubectl('get pod quiet -o jsonpath={.spec.containers[0].resources}'),
		'{"limits":{"cpu":"500m"},"requests":{"cpu":"500m"}}',
	);
	const { stderr } = await run('apply', '-f', '-', { input: pod('loud', '2') });
	t.regex(stderr, /pods "loud" is forbidden: maximum cpu usage per Container is 1, but limit is 2/);
});

test('kubectl: classes of priority are made, one of them the default, and the system has its own', async (t) => {
	const { kubectl, run } = await start(t);
	await kubectl('create priorityclass high --value=1000 --description=urgent');
	await kubectl('create priorityclass usual --value=5 --global-default=true --preemption-policy=Never');
	const table = await kubectl('get priorityclasses');
	t.regex(table, /^NAME\s+VALUE\s+GLOBAL-DEFAULT\s+AGE\s+PREEMPTIONPOLICY$/m);
	t.regex(table, /^usual\s+5\s+true\s+\d+s\s+Never$/m);
	t.regex(table, /^system-node-critical\s+2000001000\s+false\s+\d+s\s+PreemptLowerPriority$/m);
	t.regex(await kubectl('describe priorityclass high'), /Value:\s+1000/);
	await kubectl('run plain --image=example:1');
	t.is(
		await kubectl('get pod plain -o jsonpath={.spec.priorityClassName},{.spec.priority},{.spec.preemptionPolicy}'),
		'usual,5,Never',
	);
	t.regex(
		(await run('create', 'priorityclass', 'other', '--value=1', '--global-default=true')).stderr,
		/PriorityClass usual is already marked as default. Only one default can exist/,
	);
	t.regex(
		(await run('delete', 'priorityclass', 'system-node-critical')).stderr,
		/this is a system priority class and cannot be deleted/,
	);
	t.regex(
		(await run('patch', 'priorityclass', 'high', '-p', '{"value":7}')).stderr,
		/value: Forbidden: may not be changed in an update/,
	);
});

test('kubectl: a drain takes no more pods than their budget allows, and ends when others have come', async (t) => {
	const { kubectl, addNode, world, client } = await start(t);
	await addNode('n1');
	await kubectl('create deployment web --image=example:1 --replicas=3');
	await kubectl('rollout status deployment/web --timeout=60s');
	await kubectl('create pdb web --selector=app=web --min-available=2');
	const allowed = (count: number) =>
		eventually(world, [PodDisruptionBudget], async () => {
			const { status } = await client.get(PodDisruptionBudget, { namespace: 'default', name: 'web' });
			return status?.disruptionsAllowed === count && status.currentHealthy === 3 ? true : undefined;
		});
	await allowed(1);
	t.regex(
		await kubectl('get pdb'),
		/^NAME\s+MIN AVAILABLE\s+MAX UNAVAILABLE\s+ALLOWED DISRUPTIONS\s+AGE\nweb\s+2\s+N\/A\s+1\s+\d+s$/m,
	);
	t.regex(
		await kubectl('describe pdb web'),
		/Allowed disruptions:\s+1\n\s*Current:\s+3\n\s*Desired:\s+2\n\s*Total:\s+3/,
	);
	// Never fewer than two are ready, though all have to go.
	let least = 3;
	using _follow = world.cache.informer(PodDisruptionBudget).on(({ object }) => {
		if (object?.status) least = Math.min(least, object.status.currentHealthy);
	});
	await addNode('n2');
	const said = await kubectl('drain n1 --ignore-daemonsets --timeout=120s');
	t.regex(said, /node\/n1 drained/);
	await kubectl('rollout status deployment/web --timeout=60s');
	t.is(await kubectl('get pods -l app=web -o jsonpath={.items[*].spec.nodeName}'), 'n2 n2 n2');
	t.true(least >= 2, `there were ${least} ready pods`);
	await allowed(1);
});

test('kubectl: a runtime class is made, shown, and gives its pods what they need', async (t) => {
	const { kubectl, run } = await start(t);
	const runtime = {
		apiVersion: 'node.k8s.io/v1',
		kind: 'RuntimeClass',
		metadata: { name: 'guarded' },
		handler: 'runsc',
		overhead: { podFixed: { memory: '20Mi' } },
		scheduling: { nodeSelector: { runtime: 'runsc' }, tolerations: [{ key: 'runtime', operator: 'Exists' }] },
	};
	await run.ok('apply', '-f', '-', { input: JSON.stringify(runtime) });
	t.regex(await kubectl('get runtimeclass'), /^NAME\s+HANDLER\s+AGE\nguarded\s+runsc\s+\d+s$/m);
	await run.ok('run', 'p', '--image=example:1', '--overrides={"spec":{"runtimeClassName":"guarded"}}');
	t.is(await kubectl('get pod p -o jsonpath={.spec.overhead.memory},{.spec.nodeSelector.runtime}'), '20Mi,runsc');
	t.regex(await kubectl('get pod p -o jsonpath={.spec.tolerations}'), /"key":"runtime","operator":"Exists"/);
	const wrong = '--overrides={"spec":{"runtimeClassName":"guarded","nodeSelector":{"runtime":"runc"}}}';
	t.regex(
		(await run('run', 'q', '--image=example:1', wrong)).stderr,
		/pod rejected: conflict: runtimeClass.scheduling.nodeSelector\[runtime\] = runsc; pod.spec.nodeSelector\[runtime\] = runc/,
	);
	const unknown = '--overrides={"spec":{"runtimeClassName":"other"}}';
	t.regex((await run('run', 'q', '--image=example:1', unknown)).stderr, /pod rejected: RuntimeClass "other" not found/);
	const heavy = '--overrides={"spec":{"overhead":{"memory":"1Gi"}}}';
	t.regex(
		(await run('run', 'q', '--image=example:1', heavy)).stderr,
		/pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead/,
	);
});
