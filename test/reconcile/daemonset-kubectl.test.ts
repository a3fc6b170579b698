/** What people do to DaemonSets with the real kubectl, against the real API over HTTPS; only the nodes are played. */
import test from 'ava';
import { scheduler } from '../../src/reconcile/scheduling/scheduler.ts';
import { daemonSet } from '../../src/reconcile/workloads/daemonset.ts';
import { played } from './played.ts';
import { node as nodeShape } from './workloads.ts';

const manifest = {
	apiVersion: 'apps/v1',
	kind: 'DaemonSet',
	metadata: { name: 'logs', annotations: { 'kubernetes.io/change-cause': 'one' } },
	spec: {
		selector: { matchLabels: { app: 'logs' } },
		template: { metadata: { labels: { app: 'logs' } }, spec: { containers: [{ name: 'main', image: 'example:1' }] } },
	},
};

test('kubectl: roll out, look at the history, undo, restart, drain past it, delete', async (t) => {
	const { kubectl, apply, run } = await played(t, [daemonSet, scheduler()], { anywhere: false });
	for (const name of ['n1', 'n2']) {
		const { status, ...node } = nodeShape(name);
		await apply(node);
		await run.ok('patch', 'node', name, '--subresource=status', '-p', JSON.stringify({ status }));
	}
	const image = () => kubectl('get pods -l app=logs -o jsonpath={.items[*].spec.containers[0].image}');
	await apply(manifest);
	t.regex(await kubectl('rollout status ds/logs --timeout=60s'), /daemon set "logs" successfully rolled out/);
	t.regex(
		await kubectl('get ds logs -o wide'),
		/logs\s+2\s+2\s+2\s+2\s+2\s+<none>\s+\S+\s+main\s+example:1\s+app=logs/,
	);
	await kubectl('annotate ds/logs kubernetes.io/change-cause=two --overwrite');
	await kubectl('set image ds/logs main=example:2');
	await kubectl('rollout status ds/logs --timeout=60s');
	t.is(await image(), 'example:2 example:2');
	t.regex(await kubectl('rollout history ds/logs'), /^1\s+one\n2\s+two$/m);
	t.regex(await kubectl('rollout history ds/logs --revision=1'), /Image:\s+example:1/);
	t.regex(await kubectl('rollout undo ds/logs'), /rolled back/);
	await kubectl('rollout status ds/logs --timeout=60s');
	t.is(await image(), 'example:1 example:1');
	const before = await kubectl('get pods -l app=logs -o jsonpath={.items[*].metadata.uid}');
	await kubectl('rollout restart ds/logs');
	await kubectl('rollout status ds/logs --timeout=60s');
	const after = await kubectl('get pods -l app=logs -o jsonpath={.items[*].metadata.uid}');
	for (const uid of before.split(' ')) t.false(after.includes(uid));
	const described = await kubectl('describe ds logs');
	t.regex(described, /Desired Number of Nodes Scheduled: 2/);
	t.regex(described, /Number of Nodes Scheduled with Available Pods: 2/);
	t.regex(described, /SuccessfulCreate\s.*daemonset-controller\s+Created pod: logs-/);

	const refused = await run('drain', 'n1');
	t.regex(refused.stderr, /cannot delete DaemonSet-managed Pods \(use --ignore-daemonsets to ignore\)/);
	t.regex(await kubectl('drain n1 --ignore-daemonsets'), /node\/n1 drained/);
	await kubectl('wait ds/logs --for=jsonpath={.status.numberAvailable}=2 --timeout=60s');
	await kubectl('delete ds logs');
	await kubectl('wait pods -l app=logs --for=delete --timeout=60s');
});
