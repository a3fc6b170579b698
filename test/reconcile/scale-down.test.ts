/** Which pods go first when a Deployment is made smaller, as people say it with kubectl. */
import test from 'ava';
import { Pod } from '../../src/kinds/index.ts';
import { deployment } from '../../src/reconcile/workloads/deployment.ts';
import { replicaSet } from '../../src/reconcile/workloads/replicaset.ts';
import { played } from './played.ts';

const manifest = {
	apiVersion: 'apps/v1',
	kind: 'Deployment',
	metadata: { name: 'web' },
	spec: {
		replicas: 1,
		selector: { matchLabels: { app: 'web' } },
		template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: 'example:1' }] } },
	},
};
const annotated = { ...manifest, metadata: { name: 'web', annotations: { 'driftless.io/scale-down': 'newer' } } };

for (const [title, made, stays] of [
	['older ones, by the field', { ...manifest, spec: { ...manifest.spec, update: 'older' } }, false],
	['newer ones, by the field', { ...manifest, spec: { ...manifest.spec, update: 'newer' } }, true],
	['newer ones, by the annotation', annotated, true],
] as const)
	test(`a Deployment that is made smaller loses ${title}, first`, async (t) => {
		const { kubectl, apply, client } = await played(t, [deployment, replicaSet]);
		await apply(made);
		await kubectl('rollout status deployment/web --timeout=60s');
		const [first] = (await client.list(Pod, { namespace: 'default' })).items;
		const second = () => Math.floor(Date.now() / 1000);
		// Creation times are of whole seconds.
		const born = Math.floor(Date.parse(first?.metadata.creationTimestamp ?? '') / 1000);
		while (second() <= born) await new Promise((resolve) => setTimeout(resolve, 50));
		// The cost would have it the other way round.
		await client.patch(Pod, first?.metadata ?? { name: '' }, {
			type: 'merge',
			body: { metadata: { annotations: { 'controller.kubernetes.io/pod-deletion-cost': stays ? '-5' : '5' } } },
		});
		await kubectl('scale deployment web --replicas=3 --timeout=60s');
		await kubectl('rollout status deployment/web --timeout=60s');
		await kubectl('scale deployment web --replicas=1 --timeout=60s');
		await kubectl('wait deployment/web --for=jsonpath={.status.replicas}=1 --timeout=60s');
		const left = (await kubectl('get pods -l app=web -o name')).trim().split('\n');
		t.is(left.length, 1);
		t.is(left[0] === `pod/${first?.metadata.name}`, stays);
	});

test('kubectl explains the field, and a value that is none is refused', async (t) => {
	const { kubectl, run } = await played(t, []);
	t.regex(await kubectl('explain deployment.spec.update'), /FIELD: update <string>[\s\S]*'newer' or 'older'/);
	const wrong = { ...manifest, spec: { ...manifest.spec, update: 'latest' } };
	const { stderr } = await run('apply', '-f', '-', { input: JSON.stringify(wrong) });
	t.is(
		stderr,
		'The Deployment "web" is invalid: spec.update: Unsupported value: "latest": supported values: "newer", "older"\n',
	);
});
