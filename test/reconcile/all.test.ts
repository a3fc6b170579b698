import test from 'ava';
import { Deployment, Namespace, Node, Pod, ReplicaSet } from '../../src/kinds/index.ts';
import { clusterControllers } from '../../src/reconcile/index.ts';
import { eventually, found, run, type World, world } from '../client/world.ts';

const makeNode = async (w: World, name: string) => {
	await w.client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {} });
	const capacity = { cpu: '4', memory: '8Gi', pods: '110' };
	const status = { capacity, allocatable: capacity, conditions: [{ type: 'Ready', status: 'True' }] };
	await w.client.patch(Node, { name }, { type: 'strategic', body: { status } }, { subresource: 'status' });
};

const deploymentOf = (namespace: string, replicas: number): Deployment => {
	const labels = { app: 'web' };
	return {
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web', namespace },
		spec: {
			replicas,
			selector: { matchLabels: labels },
			template: {
				metadata: { labels },
				spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'main', image: 'example' }] },
			},
		},
	};
};

const podsThat = (w: World, namespace: string, are: (pods: readonly Pod[]) => boolean) =>
	eventually(w, [Pod], async () => {
		const { items } = await w.client.list(Pod, { namespace });
		return are(items) ? items : undefined;
	});

test('all controllers together bring a Deployment to its nodes, clear it away, and are then at rest', async (t) => {
	const w = await world(t);
	const { metrics } = run(t, w, clusterControllers({ ca: 'CA' }));
	await makeNode(w, 'one');
	await makeNode(w, 'two');
	await w.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' }, spec: {} });
	await w.client.create(Deployment, deploymentOf('default', 6));
	await w.client.create(Deployment, deploymentOf('shop', 2));
	const pods = await podsThat(w, 'default', (all) => all.length === 6 && all.every(({ spec }) => spec.nodeName));
	t.deepEqual([...new Set(pods.map(({ spec }) => spec.nodeName))].sort(), ['one', 'two']);
	await podsThat(w, 'shop', (all) => all.length === 2 && all.every(({ spec }) => spec.nodeName));

	await w.client.delete(Deployment, { name: 'web', namespace: 'default' }, { propagationPolicy: 'Foreground' });
	await podsThat(w, 'default', (all) => all.length === 0);
	await eventually(w, [Deployment], async () =>
		(await found(w.client.get(Deployment, { name: 'web', namespace: 'default' }))) ? undefined : true,
	);
	await w.client.delete(Namespace, { name: 'shop' });
	await eventually(w, [Namespace], async () =>
		(await found(w.client.get(Namespace, { name: 'shop' }))) ? undefined : true,
	);
	t.deepEqual((await w.client.list(ReplicaSet)).items, []);

	// At rest: nothing waits, nothing is under way, and nobody writes.
	const busy = () => [...metrics.values()].some(({ depth, running }) => depth + running.size > 0);
	let before = '';
	let after = (await w.client.list(Node)).resourceVersion;
	for (let calm = 0; calm < 20; calm = busy() || before !== after ? 0 : calm + 1) {
		await new Promise((resolve) => setTimeout(resolve, 10));
		before = after;
		after = (await w.client.list(Node)).resourceVersion;
	}
	const errors = [...metrics]
		.filter(([, counted]) => counted.outcomes.error > 0)
		.map(([name, counted]) => `${name}: ${counted.outcomes.error}`);
	t.log(`reconciles that threw: ${errors.join(', ') || 'none'}`);
	t.pass();
});
