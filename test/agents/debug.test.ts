/** Looking into pods with kubectl debug: containers that are added to them, copies, and pods on a node. */
import test from 'ava';
import type { Pod } from '../../src/kinds/index.ts';
import { kubectl } from '../testbed/kubectl.ts';
import { NODE, restarts, running, startNode, type TestNode, WAIT } from './node.ts';

let node: TestNode;
const IMAGE = '--image=driftless/example:1';

test.before(async () => {
	node = await startNode();
	await node.runAgent();
});
test.after.always(async () => {
	await node?.[Symbol.asyncDispose]();
});

const statusOf = (pod: Pod, name: string) => pod.status?.ephemeralContainerStatuses?.find((one) => one.name === name);

test('an ephemeral container sees the processes of its target, and neither it nor its end changes the pod', async (t) => {
	using run = kubectl(node.server.kubeconfig);
	const marked = ['sh', '-c', 'trap "exit 0" TERM; touch /tmp/mark; sleep 3599 & wait'];
	await node.pod('target', {
		containers: [
			{ name: 'main', command: marked },
			{ name: 'other', command: WAIT },
		],
	});
	const before = await node.until('target', running);
	const script = 'cat /proc/*/cmdline | tr "\\0" " "; ls /proc/1/root/tmp; echo end; exit 3';
	await run.ok('debug', 'target', IMAGE, '--target=main', '-c', 'look', '--profile=general', '--', 'sh', '-c', script);
	const pod = await node.until('target', (one) => statusOf(one, 'look')?.state?.terminated !== undefined);
	t.like(statusOf(pod, 'look'), { restartCount: 0, ready: false });
	t.is(statusOf(pod, 'look')?.state?.terminated?.exitCode, 3);
	const said = await run.ok('logs', 'target', '-c', 'look');
	t.regex(said, /sleep 3599/);
	t.regex(said, /mark\nend/, 'it sees the files of its target');
	t.notRegex(said, /sleep 3600/, 'and not the processes of the others');
	t.true(running(pod));
	t.is(restarts(pod), 0);
	t.deepEqual(
		pod.status?.conditions?.map(({ type, status }) => [type, status]),
		before.status?.conditions?.map(({ type, status }) => [type, status]),
	);
	t.is(pod.metadata.generation, (before.metadata.generation ?? 0) + 1);
	t.true((await node.events('target')).some((event) => event === 'Started: Started container look'));

	// Another one, without a target, which runs on until the pod goes.
	await run.ok(
		'debug',
		'target',
		IMAGE,
		'-c',
		'stay',
		'--',
		'sh',
		'-c',
		'trap "exit 0" TERM; ls /proc | grep -c "^[0-9]"; sleep 3600 & wait',
	);
	const both = await node.until('target', (one) => statusOf(one, 'stay')?.state?.running !== undefined);
	t.is(both.spec.ephemeralContainers?.length, 2);
	t.regex(
		await run.ok('describe', 'pod', 'target'),
		/Ephemeral Containers:\n {2}look:[\s\S]*Exit Code: +3[\s\S]*stay:/,
	);
	t.is((await run.ok('exec', 'target', '-c', 'stay', '--', 'echo', 'within')).trim(), 'within');
	await run.ok('delete', 'pod', 'target');
	await node.untilGone('target');
	t.deepEqual(
		(await node.containers()).filter(({ name }) => name.startsWith('target/')),
		[],
	);
});

test('one whose target does not run says so, and starts when it does', async (t) => {
	using run = kubectl(node.server.kubeconfig);
	await node.pod('slow', {
		initContainers: [{ name: 'first', command: ['sh', '-c', 'while ! test -e /tmp/go; do sleep 0.1; done'] }],
		containers: [{ name: 'main', command: WAIT }],
	});
	await node.until('slow', (pod) => pod.status?.initContainerStatuses?.[0]?.state?.running !== undefined);
	await run.ok('debug', 'slow', IMAGE, '--target=main', '-c', 'look', '--', 'true');
	const waits = await node.until('slow', (pod) => statusOf(pod, 'look')?.state?.waiting?.message !== undefined);
	t.like(statusOf(waits, 'look')?.state?.waiting, {
		reason: 'CreateContainerConfigError',
		message: 'unable to find target container main: it does not run',
	});
	await run.ok('exec', 'slow', '-c', 'first', '--', 'touch', '/tmp/go');
	const done = await node.until('slow', (pod) => statusOf(pod, 'look')?.state?.terminated !== undefined);
	t.is(statusOf(done, 'look')?.state?.terminated?.exitCode, 0);
});

test('what may not be added is refused in Kubernetes’ words, and what is there stays', async (t) => {
	using run = kubectl(node.server.kubeconfig);
	await node.pod('strict', {});
	await node.until('strict', running);
	await run.ok('debug', 'strict', IMAGE, '-c', 'one', '--', 'true');
	const gone = await run(
		'patch',
		'pod',
		'strict',
		'--subresource=ephemeralcontainers',
		'--type=json',
		'-p',
		'[{"op":"remove","path":"/spec/ephemeralContainers"}]',
	);
	t.regex(gone.stderr, /existing ephemeral containers "one" may not be removed/);
	const wrong = await run('debug', 'strict', IMAGE, '-c', 'two', '--target=nobody', '--', 'true');
	t.regex(wrong.stderr, /spec\.ephemeralContainers\[1\]\.targetContainerName: Not found: "nobody"/);
	const whole = await run.ok('get', '--raw', '/api/v1/namespaces/default/pods/strict/ephemeralcontainers');
	t.like(JSON.parse(whole), { kind: 'Pod', metadata: { name: 'strict' } });
});

test('a copy of a pod is looked into, and so is the node', async (t) => {
	using run = kubectl(node.server.kubeconfig);
	await node.pod('original', {
		containers: [{ name: 'main', command: WAIT, livenessProbe: { exec: { command: ['true'] } } }],
	});
	await node.until('original', running);
	await run.ok(
		'debug',
		'original',
		'--copy-to=copied',
		'--same-node',
		'--share-processes',
		'--profile=general',
		IMAGE,
		'-c',
		'look',
		'--',
		...WAIT,
	);
	const copy = await node.until('copied', running);
	t.deepEqual(
		copy.spec.containers.map(({ name }) => name),
		['main', 'look'],
	);
	t.true(copy.spec.shareProcessNamespace);
	t.is(copy.spec.containers[0]?.livenessProbe, undefined, 'a copy has no probes');
	const { stdout } = await run(
		'debug',
		`node/${NODE}`,
		IMAGE,
		'--profile=general',
		'--',
		'sh',
		'-c',
		'test -d /host/etc && echo host',
	);
	const name = /Creating debugging pod (\S+)/.exec(stdout)?.[1] ?? '';
	await node.until(name, (pod) => pod.status?.containerStatuses?.[0]?.state?.terminated !== undefined);
	t.is((await run.ok('logs', name)).trim(), 'host', JSON.stringify((await node.get(name)).status?.containerStatuses));
	t.is((await node.get(name)).spec.hostPID, true);
});
