/** kubectl top on a real engine. */
import test from 'ava';
import { type Platform, startPlatform } from '../testbed/platform.ts';

const PATIENCE_MS = 300_000;
let platform: Platform;

test.before(async (t) => {
	t.timeout(PATIENCE_MS);
	platform = await startPlatform();
});
test.after.always(() => platform?.[Symbol.asyncDispose]());

const busy = `apiVersion: v1
kind: Pod
metadata: { name: busy, labels: { app: top } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - { name: turning, image: driftless/example:1, imagePullPolicy: IfNotPresent, command: [sh, -c, "while :; do :; done"], resources: { limits: { cpu: 200m } } }
    - { name: resting, image: driftless/example:1, imagePullPolicy: IfNotPresent, command: [sleep, "3600"] }
---
apiVersion: v1
kind: Pod
metadata: { name: idle, labels: { app: top } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - { name: main, image: driftless/example:1, imagePullPolicy: IfNotPresent, command: [sleep, "3600"] }
`;

test('kubectl top tells what nodes, pods and containers use, sorted by it', async (t) => {
	t.timeout(PATIENCE_MS);
	const { kubectl, run, until } = platform;
	await run('kubectl', ['apply', '-f', '-'], { input: busy });
	const waited = await kubectl('wait', '--for=condition=Ready', 'pod', '-l', 'app=top', '--timeout=120s');
	t.is(waited.code, 0, waited.output);
	const millicores = (line = '') => Number(/ (\d+)m /.exec(line)?.[1]);
	const sorted = await until(
		'both pods are measured, the busy one at what it may use',
		() => kubectl('top', 'pods', '-l', 'app=top', '--sort-by=cpu', '--no-headers'),
		({ stdout }) => /^busy .*\n^idle /m.test(stdout) && millicores(stdout) >= 50,
	);
	const [first, second] = sorted.stdout.split('\n');
	t.true(millicores(first) <= 300, sorted.stdout);
	t.true(millicores(second) < 50, sorted.stdout);
	const containers = await kubectl('top', 'pod', 'busy', '--containers', '--no-headers');
	t.regex(containers.stdout, /^busy +resting +\dm +\d+Mi +\n^busy +turning +\d+m +\d+Mi/m, containers.output);
	const nodes = await kubectl('top', 'nodes');
	t.regex(nodes.stdout, /^NAME +CPU\(cores\) .*\nnode-1 +\d+m +\d+% +\d+Mi +\d+%/m, nodes.output);
	const none = await kubectl('top', 'pod', 'nobody');
	t.regex(none.stderr, /pods.metrics.k8s.io "nobody" not found|pods "nobody" not found/);
	const table = await kubectl('get', 'pods.metrics.k8s.io', 'busy');
	t.regex(table.stdout, /^NAME +CPU +MEMORY +WINDOW\nbusy +\d+u? .* [\d.]+s/m, table.output);
});
