/** Ownership as the users of real kubectl meet it, on the real API server. */
import test from 'ava';
import { serveTestApi } from '../../testbed/api.ts';
import { kubectl } from '../../testbed/kubectl.ts';

const manifest = ({ replicas = 3, image = 'nginx:1', sidecar = true }) =>
	JSON.stringify({
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web' },
		spec: {
			replicas,
			selector: { matchLabels: { app: 'web' } },
			template: {
				metadata: { labels: { app: 'web' } },
				spec: {
					containers: [
						{ name: 'web', image, ports: [{ containerPort: 80 }] },
						...(sidecar ? [{ name: 'side', image: 'busybox' }] : []),
					],
				},
			},
		},
	});

test('server-side apply conflicts with other managers, takes over by force, and removes what it drops', async (t) => {
	await using server = await serveTestApi();
	using k = kubectl(server.kubeconfig);
	const apply = (input: string, ...flags: string[]) => k('apply', '--server-side', '-f', '-', ...flags, { input });
	const read = async (path: string) => k.ok('get', 'deploy', 'web', '-o', `jsonpath={${path}}`);

	t.is((await apply(manifest({}))).code, 0);
	const revision = await read('.metadata.resourceVersion');
	t.is((await apply(manifest({}))).code, 0);
	t.is(await read('.metadata.resourceVersion'), revision, 'the same apply again stores nothing');

	await k.ok('scale', 'deploy', 'web', '--replicas=5');
	await k.ok('set', 'image', 'deploy/web', 'side=alpine');
	const refused = await apply(manifest({}));
	t.is(refused.code, 1);
	t.regex(refused.stderr, /Apply failed with 2 conflicts: conflicts with "kubectl" with subresource "scale" using/);
	t.regex(
		refused.stderr,
		/conflicts with "kubectl-set" using apps\/v1:\n- \.spec\.template\.spec\.containers\[name="side"\]\.image/,
	);
	t.is(await read('.spec.replicas'), '5');

	t.is((await apply(manifest({}), '--force-conflicts')).code, 0);
	t.is(await read('.spec.replicas'), '3');
	t.is(await read('.metadata.managedFields[*].manager'), 'kubectl');

	t.is((await apply(manifest({ sidecar: false }))).code, 0);
	t.is(await read('.spec.template.spec.containers[*].name'), 'web');
});

test('kubectl diff shows what an apply would change, and nothing when it would change nothing', async (t) => {
	await using server = await serveTestApi();
	using k = kubectl(server.kubeconfig);
	for (const mode of ['--server-side=true', '--server-side=false']) {
		const diff = (input: string) => k('diff', mode, '-f', '-', { input });
		await k.ok('apply', mode, '-f', '-', { input: manifest({}) });
		t.like(await diff(manifest({})), { code: 0, stdout: '' });
		const changed = await diff(manifest({ image: 'nginx:2' }));
		t.is(changed.code, 1);
		t.regex(changed.stdout, /^-\s+- image: nginx:1\n\+\s+- image: nginx:2$/m);
		await k.ok('delete', 'deploy', 'web');
	}
});

test('what client-side apply had set moves to server-side apply without a conflict', async (t) => {
	await using server = await serveTestApi();
	using k = kubectl(server.kubeconfig);
	await k.ok('apply', '-f', '-', { input: manifest({}) });
	await k.ok('apply', '-f', '-', { input: manifest({ image: 'nginx:2', sidecar: false }) });
	const read = async (path: string) => k.ok('get', 'deploy', 'web', '-o', `jsonpath={${path}}`);
	t.is(await read('.spec.template.spec.containers[*].name'), 'web');
	await k.ok('apply', '--server-side', '-f', '-', { input: manifest({ image: 'nginx:3', sidecar: false }) });
	t.is(await read('.spec.template.spec.containers[*].image'), 'nginx:3');
	t.notRegex(await read('.metadata.managedFields[*].manager'), /client-side/);
	t.regex(await read('.metadata.annotations'), /nginx:3/, 'the annotation keeps up, so that one can go back');
});

test('kubectl patch speaks every kind of patch', async (t) => {
	await using server = await serveTestApi();
	using k = kubectl(server.kubeconfig);
	await k.ok('apply', '--server-side', '-f', '-', { input: manifest({}) });
	const patch = (type: string, body: unknown) =>
		k('patch', 'deploy', 'web', `--type=${type}`, '-p', JSON.stringify(body));
	const read = async (path: string) => k.ok('get', 'deploy', 'web', '-o', `jsonpath={${path}}`);

	t.is((await patch('json', [{ op: 'replace', path: '/spec/replicas', value: 7 }])).code, 0);
	t.is((await patch('merge', { metadata: { labels: { a: 'b' } } })).code, 0);
	t.is(
		(await patch('strategic', { spec: { template: { spec: { containers: [{ name: 'side', image: 'x' }] } } } })).code,
		0,
	);
	t.is(await read('.spec.replicas} {.metadata.labels.a} {.spec.template.spec.containers[*].image'), '7 b nginx:1 x');
	const failed = await patch('json', [{ op: 'test', path: '/spec/replicas', value: 1 }]);
	t.is(failed.code, 1);
	t.regex(failed.stderr, /operation 0 \(test \/spec\/replicas\): test failed/);
});
