/** ReplicationControllers with the real kubectl, against the real API over HTTPS; only the nodes are played. */
import test from 'ava';
import { replicationController } from '../../src/reconcile/workloads/replicationcontroller.ts';
import { played } from './played.ts';

const manifest = (replicas: number) => ({
	apiVersion: 'v1',
	kind: 'ReplicationController',
	metadata: { name: 'web' },
	spec: {
		replicas,
		template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: 'example:1' }] } },
	},
});

test('kubectl: a replication controller keeps its pods, is scaled, described, and leaves its pods when it goes alone', async (t) => {
	const { kubectl, apply, run } = await played(t, [replicationController]);
	await apply(manifest(2));
	await kubectl('wait rc/web --for=jsonpath={.status.readyReplicas}=2 --timeout=60s');
	t.regex(await kubectl('get rc web -o wide'), /web\s+2\s+2\s+2\s+\S+\s+main\s+example:1\s+app=web/);
	await kubectl('scale rc web --replicas=3 --timeout=60s');
	await kubectl('wait rc/web --for=jsonpath={.status.readyReplicas}=3 --timeout=60s');
	const described = await kubectl('describe rc web');
	t.regex(described, /Replicas:\s+3 current \/ 3 desired/);
	t.regex(described, /SuccessfulCreate\s+\S+\s+replication-controller\s+Created pod: web-/);

	await kubectl('delete rc web --cascade=orphan');
	const orphans = await kubectl('get pods -l app=web -o name');
	t.is(orphans.trim().split('\n').length, 3);
	// One of the name comes back and takes them over: none is made anew, one goes.
	await apply(manifest(2));
	await kubectl('wait rc/web --for=jsonpath={.status.readyReplicas}=2 --timeout=60s');
	for (const name of (await kubectl('get pods -l app=web -o name')).trim().split('\n'))
		t.true(orphans.includes(name), name);
	const { code, stderr } = await run('scale', 'rc', 'web', '--current-replicas=7', '--replicas=1');
	t.is(code, 1);
	t.regex(stderr, /Expected replicas to be 7, was 2/);
});
