/** Pods that files of a node say: what is read, what runs, what the API shows, and that nothing that happens there harms them. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { isStatic, mirrored } from '../../src/agents/static/index.ts';
import { readStaticPod } from '../../src/agents/static/read.ts';
import { Node, Pod } from '../../src/kinds/index.ts';
import { kubectl } from '../testbed/kubectl.ts';
import { eventually, NODE, restarts, running, startNode, WAIT } from './node.ts';

const manifest = (spec: object = {}, name = 'web') =>
	JSON.stringify({
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, labels: { app: name } },
		spec: {
			terminationGracePeriodSeconds: 1,
			containers: [{ name: 'main', image: 'driftless/example:1', command: WAIT, env: [{ name: 'V', value: '1' }] }],
			...spec,
		},
	});
const read = (text: string, node = 'node-1') => readStaticPod(text, { file: '/etc/pods/web.yaml', node, now: 0 });

test('a file becomes a pod of its node, the same as long as it says the same', (t) => {
	const pod = read(
		'apiVersion: v1\nkind: Pod\nmetadata: { name: Web }\nspec: { containers: [{ name: main, image: i }] }\n',
	);
	t.like(pod.metadata, { name: 'web-node-1', namespace: 'default' });
	t.is(pod.metadata.uid?.length, 32);
	t.is(pod.spec.nodeName, 'node-1');
	t.true(isStatic(pod));
	t.is(pod.metadata.annotations?.['kubernetes.io/config.source'], 'file');
	t.is(read(manifest()).metadata.uid, read(manifest()).metadata.uid);
	t.not(read(manifest()).metadata.uid, read(manifest({ hostname: 'other' })).metadata.uid);
	t.not(read(manifest()).metadata.uid, read(manifest(), 'node-2').metadata.uid);
	// What the API makes cannot look like one: it gives the uid itself.
	t.false(isStatic({ ...pod, metadata: { ...pod.metadata, uid: 'another' } }));
});

const broken: readonly (readonly [title: string, text: string, why: RegExp])[] = [
	['no YAML', '{', /./],
	['nothing', '', /it is (empty|no Pod)/],
	['another kind', '{"apiVersion":"v1","kind":"Service","metadata":{"name":"x"},"spec":{}}', /it is no Pod of v1/],
	['several', `${manifest()}\n---\n${manifest()}`, /more than one document/],
	['no containers', '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{}}', /spec\.containers/],
	['a Secret', manifest({ volumes: [{ name: 's', secret: { secretName: 'x' } }] }), /it refers to a Secret/],
	[
		'a ConfigMap',
		manifest({ volumes: [{ name: 's', projected: { sources: [{ configMap: { name: 'x' } }] } }] }),
		/a ConfigMap/,
	],
	['a service account', manifest({ serviceAccountName: 'x' }), /a service account/],
	['too large', `${manifest()}${' '.repeat(2 ** 20)}`, /larger than/],
];
for (const [title, text, why] of broken)
	test(`a file is told of that has ${title}`, (t) => {
		t.throws(() => read(text), { message: why });
	});

test('a static pod runs, is shown, and what happens to what shows it does not happen to it', async (t) => {
	await using node = await startNode();
	const folder = await mkdtemp(join(tmpdir(), 'driftless-static-'));
	t.teardown(() => rm(folder, { recursive: true }));
	using run = kubectl(node.server.kubeconfig);
	const file = join(folder, 'web.yaml');
	await writeFile(file, manifest());
	await mkdir(join(folder, 'deeper'));
	const first = await node.runAgent({ manifestPath: folder });
	const name = `web-${NODE}`;
	const untilShown = (wanted: (pod: Pod) => boolean) =>
		eventually(`${name} is shown as wanted`, async () => {
			const found = await node.get(name).catch(() => undefined);
			return found && wanted(found) && found;
		});
	const shown = await untilShown(running);
	const uid = mirrored(shown) ?? '';
	t.regex(uid, /^[0-9a-f]{32}$/);
	t.not(shown.metadata.uid, uid);
	t.like(shown.metadata.ownerReferences?.[0], { kind: 'Node', name: NODE });
	t.is((await run.ok('exec', name, '--', 'sh', '-c', 'echo $V')).trim(), '1');
	const container = async () =>
		(await node.containers()).find((one) => one.name === `${name}/main` && one.state === 'running')?.id;
	const before = await container();
	t.true(before !== undefined);

	// Somebody deletes what shows it.
	await node.client.delete(Pod, { namespace: 'default', name }, { gracePeriodSeconds: 0 });
	const again = await untilShown((pod) => pod.metadata.uid !== shown.metadata.uid && running(pod));
	t.not(again.metadata.uid, shown.metadata.uid);
	await run.ok('delete', 'pod', name, '--wait=false');
	await untilShown((pod) => pod.metadata.uid !== again.metadata.uid && running(pod));
	t.is(await container(), before, 'it has run on');

	// The agent dies and comes back; the file is broken meanwhile.
	await first[Symbol.asyncDispose]();
	await using _second = await node.runAgent({ manifestPath: folder });
	await untilShown(running);
	t.is(await container(), before);
	await writeFile(file, '{ broken');
	const told = await node.untilEvent(NODE, /^InvalidStaticPod/);
	t.regex(told, /web\.yaml cannot be read/);
	await writeFile(join(folder, 'second.json'), manifest({}, 'second'));
	await eventually('the second is shown', async () => node.get(`second-${NODE}`).then(running, () => false));
	t.is(await container(), before, 'a broken file loses nothing');

	// Another text is another pod, which begins when the one before has ended.
	await writeFile(
		file,
		manifest({
			containers: [{ name: 'main', image: 'driftless/example:1', command: WAIT, env: [{ name: 'V', value: '2' }] }],
		}),
	);
	const changed = await untilShown((pod) => mirrored(pod) !== uid && running(pod));
	t.not(mirrored(changed), uid);
	t.is(restarts(changed), 0);
	t.is((await run.ok('exec', name, '--', 'sh', '-c', 'echo $V')).trim(), '2');
	t.not(await container(), before);

	// Without its file it goes, and so does what showed it.
	await rm(file);
	await node.untilGone(name);
	await eventually(
		'its containers are gone',
		async () => !(await node.containers()).some((one) => one.name.startsWith(`${name}/`)),
	);
	t.true(running(await node.get(`second-${NODE}`)));
});

test('a pod whose file went while the agent was not there goes when it is back', async (t) => {
	await using node = await startNode();
	const folder = await mkdtemp(join(tmpdir(), 'driftless-static-'));
	t.teardown(() => rm(folder, { recursive: true }));
	await writeFile(join(folder, 'web.yaml'), manifest());
	const first = await node.runAgent({ manifestPath: folder });
	await eventually('it is shown', async () => node.get(`web-${NODE}`).then(running, () => false));
	await first[Symbol.asyncDispose]();
	await rm(join(folder, 'web.yaml'));
	await using _second = await node.runAgent({ manifestPath: folder });
	await node.untilGone(`web-${NODE}`);
	await eventually('nothing of it is left', async () => (await node.containers()).length === 0);
	t.is((await node.client.get(Node, { name: NODE })).metadata.name, NODE);
});
