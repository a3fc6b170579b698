/** What people do to StatefulSets with the real kubectl, against the real API over HTTPS; only the nodes are played. */
import test from 'ava';
import { statefulSet } from '../../src/reconcile/workloads/statefulset.ts';
import { played } from './played.ts';

const manifest = {
	apiVersion: 'apps/v1',
	kind: 'StatefulSet',
	metadata: { name: 'db', annotations: { 'kubernetes.io/change-cause': 'one' } },
	spec: {
		serviceName: 'db',
		replicas: 2,
		selector: { matchLabels: { app: 'db' } },
		template: { metadata: { labels: { app: 'db' } }, spec: { containers: [{ name: 'main', image: 'example:1' }] } },
	},
};

test('kubectl: roll out, look at the history, undo, restart, scale', async (t) => {
	const { kubectl, apply } = await played(t, [statefulSet]);
	const image = () => kubectl('get pods -l app=db -o jsonpath={.items[*].spec.containers[0].image}');
	await apply(manifest);
	t.regex(
		await kubectl('rollout status sts/db --timeout=60s'),
		/statefulset rolling update complete|roll out complete/,
	);
	await kubectl('annotate sts/db kubernetes.io/change-cause=two --overwrite');
	await kubectl('set image sts/db main=example:2');
	await kubectl('rollout status sts/db --timeout=60s');
	t.is(await image(), 'example:2 example:2');
	t.regex(await kubectl('rollout history sts/db'), /^1\s+one\n2\s+two$/m);
	t.regex(await kubectl('rollout history sts/db --revision=1'), /Image:\s+example:1/);

	t.regex(await kubectl('rollout undo sts/db'), /rolled back/);
	await kubectl('rollout status sts/db --timeout=60s');
	t.is(await image(), 'example:1 example:1');
	t.regex(await kubectl('rollout history sts/db'), /^2\s+two\n3\s+one$/m);
	t.regex(await kubectl('rollout undo sts/db --to-revision=2'), /rolled back/);
	await kubectl('rollout status sts/db --timeout=60s');
	t.is(await image(), 'example:2 example:2');

	const before = await kubectl('get pods -l app=db -o jsonpath={.items[*].metadata.uid}');
	await kubectl('rollout restart sts/db');
	await kubectl('rollout status sts/db --timeout=60s');
	const after = await kubectl('get pods -l app=db -o jsonpath={.items[*].metadata.uid}');
	for (const uid of before.split(' ')) t.false(after.includes(uid));

	await kubectl('scale sts/db --replicas=3');
	await kubectl('wait sts/db --for=jsonpath={.status.availableReplicas}=3 --timeout=60s');
	t.regex(await kubectl('get sts db -o wide'), /db\s+3\/3\s+\S+\s+main\s+example:2/);
	const described = await kubectl('describe sts db');
	t.regex(described, /Replicas:\s+3 desired \| 3 total/);
	t.regex(described, /SuccessfulCreate\s.*statefulset-controller\s+create Pod db-2 in StatefulSet db successful/);
	t.regex(await kubectl('get controllerrevisions'), /db-\w+\s+statefulset.apps\/db\s+\d/);
});

test('kubectl: what may not change is refused in the words of Kubernetes, and a set alone leaves its pods', async (t) => {
	const { kubectl, apply, run } = await played(t, [statefulSet]);
	await apply(manifest);
	await kubectl('rollout status sts/db --timeout=60s');
	const { code, stderr } = await run('patch', 'sts', 'db', '-p', '{"spec":{"serviceName":"other"}}');
	t.is(code, 1);
	t.is(
		stderr,
		"The StatefulSet \"db\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden\n",
	);
	const before = await kubectl('get pods -l app=db -o jsonpath={.items[*].metadata.uid}');
	await kubectl('delete sts db --cascade=orphan');
	await apply({ ...manifest, spec: { ...manifest.spec, serviceName: 'other' } });
	await kubectl('rollout status sts/db --timeout=60s');
	t.is(await kubectl('get pods -l app=db -o jsonpath={.items[*].metadata.uid}'), before, 'the same pods, taken over');
	await kubectl('delete sts db');
	await kubectl('wait pods -l app=db --for=delete --timeout=60s');
});
