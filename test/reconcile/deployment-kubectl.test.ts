/** What people do to Deployments with the real kubectl, against the real API over HTTPS; only the nodes are played. */
import test, { type ExecutionContext } from 'ava';
import { createCache, inProcess } from '../../src/client/index.ts';
import { runControllers } from '../../src/reconcile/index.ts';
import { deployment } from '../../src/reconcile/workloads/deployment.ts';
import { replicaSet } from '../../src/reconcile/workloads/replicaset.ts';
import { admin, serveTestApi } from '../testbed/api.ts';
import { kubectl as connect } from '../testbed/kubectl.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { kubelet } from './kubelet.ts';

async function start(t: ExecutionContext) {
	const server = await serveTestApi();
	const stop = new AbortController();
	const { signal } = stop;
	const client = inProcess(server.api, admin);
	const cache = createCache(client, { signal, log: silentLog });
	const node = kubelet({ anywhere: true });
	const controllers = [deployment, replicaSet, node.controller];
	const running = runControllers({ client, cache, controllers, log: silentLog, now: Date.now, signal });
	const kubectl = connect(server.kubeconfig);
	t.teardown(async () => {
		kubectl[Symbol.dispose]();
		stop.abort();
		await running;
		await cache[Symbol.asyncDispose]();
		await server[Symbol.asyncDispose]();
	});
	return { kubectl: (line: string) => kubectl.ok(...line.split(' ')), run: kubectl, node };
}

test('kubectl: create, wait for the rollout, change the image, look at the history, undo', async (t) => {
	const { kubectl } = await start(t);
	await kubectl('create deployment web --image=example:1 --replicas=3');
	t.regex(await kubectl('rollout status deployment/web --timeout=30s'), /deployment "web" successfully rolled out/);
	await kubectl('set image deployment/web example=example:2');
	await kubectl('annotate deployment/web kubernetes.io/change-cause=two');
	t.regex(await kubectl('rollout status deployment/web --timeout=30s'), /successfully rolled out/);
	const history = await kubectl('rollout history deployment/web');
	t.regex(history, /^1\s+\S+\n2\s+two$/m);
	t.regex(await kubectl('rollout history deployment/web --revision=1'), /Image:\s+example:1/);

	t.regex(await kubectl('rollout undo deployment/web'), /rolled back/);
	t.regex(await kubectl('rollout status deployment/web --timeout=30s'), /successfully rolled out/);
	t.is(await kubectl('get deployment web -o jsonpath={.spec.template.spec.containers[0].image}'), 'example:1');
	t.regex(await kubectl('rollout history deployment/web'), /^2\s+\S+\n3\s+\S+$/m);
	t.regex(await kubectl('get deployment web'), /web\s+3\/3\s+3\s+3/);
	t.regex(await kubectl('describe deployment web'), /ScalingReplicaSet\s.*Scaled up replica set web-\w+ from 0 to 3/);
});

test('kubectl: scale, restart, pause and resume', async (t) => {
	const { kubectl } = await start(t);
	await kubectl('create deployment web --image=example:1');
	await kubectl('scale deployment web --replicas=4 --timeout=30s');
	await kubectl('rollout status deployment/web --timeout=30s');
	t.is(await kubectl('get deployment web -o jsonpath={.status.availableReplicas}'), '4');
	const before = await kubectl('get pods -l app=web -o name');
	await kubectl('rollout restart deployment/web');
	await kubectl('rollout status deployment/web --timeout=30s');
	await kubectl('wait --for=condition=Progressing deployment/web --timeout=30s');
	const after = (await kubectl('get pods -l app=web -o name')).split('\n');
	t.true(after.filter(Boolean).every((name) => !before.includes(name)));

	await kubectl('rollout pause deployment/web');
	await kubectl('set image deployment/web example=example:2');
	await kubectl(
		'wait --for=jsonpath={.status.conditions[?(@.type=="Progressing")].reason}=DeploymentPaused deployment/web --timeout=30s',
	);
	t.is((await kubectl('get replicasets -o name')).trim().split('\n').length, 2);
	await kubectl('rollout resume deployment/web');
	await kubectl('rollout status deployment/web --timeout=30s');
	t.is((await kubectl('get replicasets -o name')).trim().split('\n').length, 3);
});

test('kubectl: a rollout that is stuck ends rollout status with an error', async (t) => {
	const { kubectl, run, node } = await start(t);
	await kubectl('create deployment web --image=example:1');
	await kubectl('rollout status deployment/web --timeout=30s');
	node.ready = (pod) => pod.spec.containers[0]?.image === 'example:1';
	await run.ok('patch', 'deployment', 'web', '--type=merge', '-p', '{"spec":{"progressDeadlineSeconds":2}}');
	await kubectl('set image deployment/web example=example:broken');
	const { code, stderr } = await run('rollout', 'status', 'deployment/web', '--timeout=30s');
	t.is(code, 1);
	t.regex(stderr, /deployment "web" exceeded its progress deadline/);
	t.is(await kubectl('get deployment web -o jsonpath={.status.availableReplicas}'), '1');
});
