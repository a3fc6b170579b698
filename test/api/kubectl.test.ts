import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { limits } from '../../src/api/limits.ts';
import { serveTestApi } from '../testbed/api.ts';
import { type Kubectl, kubectl } from '../testbed/kubectl.ts';
import { configMap, deployment, pod, service } from './objects.ts';

const server = await serveTestApi();
const k = kubectl(server.kubeconfig);
test.after.always(async () => {
	k[Symbol.dispose]();
	await server[Symbol.asyncDispose]();
});

const manifest = (...objects: readonly object[]) => objects.map((object) => JSON.stringify(object)).join('\n');

/** A namespace of the test's own, and kubectl in it. */
async function inNamespace(t: ExecutionContext): Promise<Pick<Kubectl, 'ok'> & { run: Kubectl }> {
	const name = t.title
		.toLowerCase()
		.replaceAll(/[^a-z]+/g, '-')
		.slice(0, 50)
		.replace(/-$/, '');
	await k.ok('create', 'namespace', name);
	const run = ((...args: Parameters<Kubectl['ok']>) => k('-n', name, ...(args as [string]))) as Kubectl;
	return { run, ok: (...args) => k.ok('-n', name, ...args) };
}

test('kubectl version, api-resources, api-versions, explain and cluster-info', async (t) => {
	t.regex(await k.ok('version'), /^Server Version: v1\.32/m);
	const resources = await k.ok('api-resources');
	t.regex(resources, /^deployments +deploy +apps\/v1 +true +Deployment$/m);
	t.regex(resources, /^applications +\S+ +argoproj.io\/v1alpha1 +true +Application$/m);
	t.regex(await k.ok('api-versions'), /^coordination\.k8s\.io\/v1$/m);
	t.regex(await k.ok('explain', 'deployment.spec.strategy'), /rollingUpdate\s+<RollingUpdateDeployment>/);
	t.regex(await k.ok('cluster-info'), /control plane.* is running at/);
});

test('kubectl auth whoami and can-i', async (t) => {
	t.regex(await k.ok('auth', 'whoami'), /Username +kubernetes-admin/);
	t.is((await k.ok('auth', 'can-i', 'delete', 'pods')).trim(), 'yes');
	const ann = await k('auth', 'can-i', 'delete', 'pods', '--as', 'ann');
	t.deepEqual([ann.code, ann.stdout.trim()], [1, 'no']);
});

test('kubectl reads an answer in YAML as what is stored, whatever characters are in it', async (t) => {
	const path = '/api/v1/namespaces/default/configmaps/characters';
	const special = [
		'\t',
		'\r',
		'\u007f',
		'\u0085',
		'\u009b',
		'\u00a0',
		'\u2028',
		'\u2029',
		'\ufeff',
		'\ufffe',
		'\uffff',
		'\u{1f600}',
	];
	const forms = (at: string) => [`a${at}b`, ` ${at} `, `${at}a\n${at}\n b${at}\n`, `"${at}'`, `\\${at}\\`];
	const short = Object.fromEntries(special.flatMap(forms).map((text, at) => [`k${at}`, text]));
	const more = Object.fromEntries(Array.from({ length: limits.yamlParts }, (_, at) => [`n${at}`, 'a: b']));
	for (const data of [short, { ...short, ...more }]) {
		await k.ok('replace', '--force', '-f', '-', { input: manifest(configMap('characters', data)) });
		const { text } = await server.ask(path, { headers: { accept: 'application/yaml' } });
		const read = await k.ok('create', '--dry-run=client', '-o', 'json', '-f', '-', { input: text });
		t.deepEqual(JSON.parse(read).data, data);
	}
});

test('kubectl asks a review from a file, and says clearly what is not there', async (t) => {
	const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview' };
	const spec = { resourceAttributes: { verb: 'get', resource: 'pods' } };
	const input = JSON.stringify({ ...review, spec });
	t.is(await k.ok('create', '-f', '-', '-o', 'jsonpath={.status.allowed}', { input }), 'true');
	const { ok, run } = await inNamespace(t);
	await ok('create', '-f', '-', { input: manifest(pod('p')) });
	await ok('debug', 'p', '--image=example/app:1', '-c', 'look');
	t.is(await ok('get', 'pod', 'p', '-o', 'jsonpath={.spec.ephemeralContainers[*].name}'), 'look');
	t.regex((await run('get', 'widgets')).stderr, /the server doesn't have a resource type "widgets"/);
	const counter = { apiVersion: 'example.com/v1', kind: 'Counter', metadata: { name: 'j' } };
	t.regex(
		(await run('apply', '-f', '-', { input: manifest(counter) })).stderr,
		/no matches for kind "Counter" in version "example.com\/v1"/,
	);
});

test('kubectl drain evicts what runs on a node, and cordon and taint keep pods away', async (t) => {
	const { ok } = await inNamespace(t);
	await k.ok('create', '-f', '-', {
		input: JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n9' } }),
	});
	await ok('create', '-f', '-', { input: manifest(pod('p', { nodeName: 'n9', terminationGracePeriodSeconds: 0 })) });
	t.is(await k.ok('taint', 'node', 'n9', 'a=b:NoSchedule'), 'node/n9 tainted\n');
	t.regex(await k.ok('drain', 'n9', '--force', '--dry-run=server'), /evicting pod .*\/p \(server dry run\)/);
	t.is(await ok('get', 'pods', '-o', 'name'), 'pod/p\n', 'a dry run evicts nothing');
	t.regex(await k.ok('drain', 'n9', '--force', '--grace-period=0'), /pod\/p evicted\nnode\/n9 drained/);
	t.is(await ok('get', 'pods', '-o', 'name'), '');
	t.regex(await k.ok('get', 'node', 'n9'), /SchedulingDisabled/);
	t.is(await k.ok('uncordon', 'n9'), 'node/n9 uncordoned\n');
});

test('kubectl makes errors of warnings where it is told to', async (t) => {
	const { run } = await inNamespace(t);
	const env = [{ name: 'A' }, { name: 'A' }];
	const input = manifest(pod('p', { containers: [{ name: 'main', image: 'example/app:1', env }] }));
	const { code, stderr } = await run('create', '-f', '-', '--warnings-as-errors', { input });
	t.is(code, 1);
	t.regex(stderr, /Warning: spec\.containers\[0\]\.env\[1\]: hides previous definition of "A"/);
});

test('kubectl create of every generator, and get in every output', async (t) => {
	const { ok } = await inNamespace(t);
	t.is(
		await ok('create', 'deployment', 'web', '--image=example/web:1', '--replicas=0', '--port=80'),
		'deployment.apps/web created\n',
	);
	await ok('create', 'configmap', 'settings', '--from-literal=a=1');
	await ok('create', 'secret', 'generic', 'keys', '--from-literal=k=v');
	await ok('create', 'serviceaccount', 'robot');
	await ok('create', 'service', 'nodeport', 'np', '--tcp=80:8080');
	await ok('expose', 'deployment', 'web', '--port=80');
	await ok('run', 'one', '--image=example/one:1', '--labels=app=one', '--env=A=1');
	const web = JSON.parse(await ok('get', 'deployment', 'web', '-o', 'json'));
	t.is(web.spec.replicas, 0, 'a zero sent as protobuf is a zero');
	t.is(web.spec.template.spec.containers[0].ports[0].containerPort, 80);
	t.is(web.spec.template.spec.containers[0].ports[0].hostPort, undefined, 'what was not sent is not there');
	t.deepEqual(JSON.parse(await ok('get', 'secret', 'keys', '-o', 'json')).data, { k: 'dg==' });
	t.regex(
		await ok('get', 'deploy', '-o', 'wide'),
		/^NAME +READY +UP-TO-DATE +AVAILABLE +AGE +CONTAINERS +IMAGES +SELECTOR\nweb +0\/0/,
	);
	t.regex(await ok('get', 'pods', '--show-labels'), /one .*app=one/);
	t.regex(await ok('get', 'all'), /deployment\.apps\/web/);
	t.regex(await ok('get', 'cm/settings', '-o', 'yaml'), /^ {2}a: "1"$/m);
	t.is(await ok('get', 'pods', '-l', 'app=one', '-o', 'name'), 'pod/one\n');
	t.is(await ok('get', 'pods', '-l', 'app!=one', '-o', 'name'), '');
	t.is(await ok('get', 'pods', '--field-selector', 'status.phase=Pending', '-o', 'name'), 'pod/one\n');
	t.regex(await k.ok('get', 'pods', '-A'), /one +0\/1 +Pending/);
	t.is(await ok('get', 'svc', '--sort-by=.metadata.name', '-o', 'name'), 'service/np\nservice/web\n');
	t.regex(await ok('describe', 'deployment', 'web'), /^Replicas: +0 desired/m);
	t.regex(await ok('describe', 'pod', 'one'), /^Status: +Pending/m);
	t.regex(await ok('describe', 'service', 'np'), /^NodePort: .* 3\d{4}\/TCP/m);
});

test('kubectl apply of the client side: created, unchanged, configured, and pruned fields', async (t) => {
	const { ok } = await inNamespace(t);
	const apply = (...objects: object[]) => ok('apply', '-f', '-', { input: manifest(...objects) });
	t.is(await apply(deployment('web', 1), service('web')), 'deployment.apps/web created\nservice/web created\n');
	t.is(await apply(deployment('web', 1), service('web')), 'deployment.apps/web unchanged\nservice/web unchanged\n');
	t.is(await apply(deployment('web', 3)), 'deployment.apps/web configured\n');
	await apply(configMap('cm', { a: '1', b: '2' }));
	await apply(configMap('cm', { a: '1' }));
	t.is(await ok('get', 'cm', 'cm', '-o', 'jsonpath={.data}'), '{"a":"1"}');
});

test('kubectl apply of the server side: conflicts name the owner, and are forced', async (t) => {
	const { ok, run } = await inNamespace(t);
	const input = (replicas: number) => ({ input: manifest(deployment('web', replicas)) });
	t.is(await ok('apply', '--server-side', '-f', '-', input(1)), 'deployment.apps/web serverside-applied\n');
	const other = ['apply', '--server-side', '--field-manager=other', '-f', '-'] as const;
	const refused = await run(...other, input(2));
	t.is(refused.code, 1);
	t.regex(refused.stderr, /Apply failed with 1 conflict: conflict with "kubectl": \.spec\.replicas/);
	await ok(...other, '--force-conflicts', input(2));
	t.regex(
		await ok('get', 'deploy', 'web', '-o', 'yaml', '--show-managed-fields'),
		/manager: other\n {4}operation: Apply/,
	);
	t.is(await ok('get', 'deploy', 'web', '-o', 'jsonpath={.spec.replicas}'), '2');
});

test('kubectl diff, and a dry run of the server, change nothing', async (t) => {
	const { ok, run } = await inNamespace(t);
	await ok('apply', '-f', '-', { input: manifest(deployment('web', 1)) });
	const { code, stdout } = await run('diff', '-f', '-', { input: manifest(deployment('web', 2)) });
	t.is(code, 1);
	t.regex(stdout, /^- {2}replicas: 1\n\+ {2}replicas: 2$/m);
	t.is((await run('diff', '-f', '-', { input: manifest(deployment('web', 1)) })).code, 0);
	t.regex(
		await ok('apply', '--dry-run=server', '-f', '-', { input: manifest(deployment('web', 2)) }),
		/configured \(server dry run\)/,
	);
	t.is(await ok('get', 'deploy', 'web', '-o', 'jsonpath={.spec.replicas}'), '1');
});

test('kubectl patch of every type, label, annotate, set, scale, replace and edit', async (t) => {
	const { ok, run } = await inNamespace(t);
	await ok('create', '-f', '-', { input: manifest(deployment('web', 1)) });
	const of = (path: string) => ok('get', 'deploy', 'web', '-o', `jsonpath={${path}}`);
	const strategic = { spec: { template: { spec: { containers: [{ name: 'side', image: 'example/side:1' }] } } } };
	await ok('patch', 'deploy', 'web', '-p', JSON.stringify(strategic));
	const merged = await of('.spec.template.spec.containers[*].name');
	t.deepEqual(merged.split(' ').sort(), ['main', 'side'], 'strategic: merged by name');
	await ok('patch', 'deploy', 'web', '--type=merge', '-p', '{"spec":{"replicas":4}}');
	t.is(await of('.spec.replicas'), '4');
	await ok('patch', 'deploy', 'web', '--type=json', '-p', '[{"op":"replace","path":"/spec/replicas","value":5}]');
	t.is(await of('.spec.replicas'), '5');
	await ok('patch', 'deploy', 'web', '--subresource=status', '--type=merge', '-p', '{"status":{"replicas":5}}');
	t.is(await of('.status.replicas'), '5');
	await ok('scale', 'deploy', 'web', '--replicas=2', '--current-replicas=5');
	t.is(await of('.spec.replicas'), '2');
	t.is((await run('scale', 'deploy', 'web', '--replicas=2', '--current-replicas=5')).code, 1);
	t.regex(await ok('get', 'deploy', 'web', '--subresource=scale'), /^NAME +DESIRED +AVAILABLE +AGE\nweb +2 +5 /);
	await ok('label', 'deploy', 'web', 'tier=front');
	await ok('annotate', 'deploy', 'web', 'note=a');
	t.is((await run('label', 'deploy', 'web', 'tier=back')).code, 1);
	await ok('label', 'deploy', 'web', 'tier-');
	t.is(await of('.metadata.labels.tier'), '');
	await ok('set', 'image', 'deploy/web', 'main=example/app:2');
	t.is(await of('.spec.template.spec.containers[?(@.name=="main")].image'), 'example/app:2');
	await ok('rollout', 'restart', 'deploy/web');
	t.regex(await of('.spec.template.metadata.annotations'), /restartedAt/);
	await ok('rollout', 'pause', 'deploy/web');
	t.is(await of('.spec.paused'), 'true');
	await ok('replace', '-f', '-', { input: manifest(deployment('web', 7)) });
	t.is(await of('.spec.replicas'), '7');

	const folder = await mkdtemp(join(tmpdir(), 'driftless-editor-'));
	try {
		const editor = join(folder, 'editor');
		await writeFile(editor, '#!/bin/sh\nsed -i "s/replicas: 7/replicas: 8/" "$1"\n');
		await chmod(editor, 0o755);
		t.is(await ok('edit', 'deploy', 'web', { env: { EDITOR: editor } }), 'deployment.apps/web edited\n');
	} finally {
		await rm(folder, { recursive: true });
	}
	t.is(await of('.spec.replicas'), '8');
});

test('kubectl validates on the server: unknown and mistyped fields are named', async (t) => {
	const { run } = await inNamespace(t);
	const unknown = { ...deployment('web'), spec: { ...deployment('web').spec, replica: 1 } };
	const first = await run('apply', '-f', '-', { input: manifest(unknown) });
	t.regex(first.stderr, /strict decoding error: unknown field "spec.replica"/);
	const mistyped = { ...deployment('web'), spec: { ...deployment('web').spec, replicas: 'two' } };
	const second = await run('apply', '-f', '-', { input: manifest(mistyped) });
	t.regex(second.stderr, /cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32/);
	const invalid = await run('apply', '-f', '-', { input: manifest({ ...pod('p'), spec: { containers: [] } }) });
	t.regex(invalid.stderr, /spec.containers: Required value/);
	const list = (item: object) => ({ input: manifest({ apiVersion: 'v1', kind: 'List', items: [item] }) });
	const inList = await run('create', '-f', '-', list({ ...configMap('listed'), dta: {} }));
	t.regex(inList.stderr, /unknown field "dta" in io.k8s.api.core.v1.ConfigMap/, 'of lists by kubectl itself');
	t.is((await run('create', '-f', '-', list(configMap('listed')))).stdout, 'configmap/listed created\n');
});

test('kubectl get -w sees what happens, and wait waits for it', async (t) => {
	const { ok, run } = await inNamespace(t);
	await ok('create', '-f', '-', { input: manifest(pod('p')) });
	const waiting = run('wait', '--for=condition=Ready', 'pod/p', '--timeout=30s');
	const stop = new AbortController();
	const watching = run('get', 'pods', '-w', '--output-watch-events', { signal: stop.signal });
	const ready = { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } };
	await ok('patch', 'pod', 'p', '--subresource=status', '--type=merge', '-p', JSON.stringify(ready));
	t.is((await waiting).stdout, 'pod/p condition met\n');
	const gone = run('wait', '--for=delete', 'pod/p', '--timeout=30s');
	await ok('delete', 'pod', 'p', '--now');
	t.is((await gone).code, 0);
	stop.abort();
	// On a busy machine the watch may begin only after the pod has become ready.
	t.regex((await watching).stdout, /^ADDED +p +0\/1 +(Pending|Running)/m);
});

test('kubectl delete: by name, label, file, and with a grace period', async (t) => {
	const { ok } = await inNamespace(t);
	await ok('create', '-f', '-', {
		input: manifest(configMap('a'), configMap('b', {}, { labels: { x: 'y' } }), pod('p', { nodeName: 'n1' })),
	});
	t.is(await ok('delete', 'cm', 'a'), 'configmap "a" deleted\n');
	t.is(await ok('delete', 'cm', '-l', 'x=y'), 'configmap "b" deleted\n');
	await ok('delete', 'pod', 'p', '--wait=false');
	t.regex(await ok('get', 'pods'), /p +0\/1 +Terminating/);
	await ok('delete', 'pod', 'p', '--grace-period=0', '--force');
	t.is(await ok('get', 'pods', '-o', 'name'), '');
	t.is(await ok('delete', '-f', '-', '--ignore-not-found', { input: manifest(pod('p')) }), '');
});

test('kubectl reads long lists in chunks', async (t) => {
	const { ok } = await inNamespace(t);
	await ok('create', '-f', '-', {
		input: manifest(...Array.from({ length: 30 }, (_, index) => configMap(`m${index}`))),
	});
	t.is((await ok('get', 'cm', '-o', 'name', '--chunk-size=7')).trim().split('\n').length, 30);
});

test('kubectl with no credentials, and with wrong ones, is refused', async (t) => {
	const wrong = await k('get', 'pods', '--token=wrong');
	t.is(wrong.code, 1);
	t.regex(wrong.stderr, /You must be logged in to the server|Unauthorized/);
});
