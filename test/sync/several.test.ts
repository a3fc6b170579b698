import test from 'ava';
import { Application } from '../../src/kinds/index.ts';
import { merged, named } from '../../src/sync/status/answer.ts';
import { createProgressFeed } from '../../src/sync/status/progress.ts';
import { startGitOps } from './gitops.ts';

const configMap = (name: string) =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, namespace: default}\ndata: {a: b}\n`;

test('a push that several applications follow is answered for each as it happens, by name', async (t) => {
	// One of them never converges: the answer takes as long as this.
	const world = await startGitOps(t, { pushWaitMs: 15_000 });
	const { spec } = await world.client.get(Application, { name: 'default', namespace: 'default' });
	const repoURL = spec.source?.repoURL ?? '';
	const application = (name: string, more: Partial<Application['spec']>): Application => ({
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name, namespace: 'default' },
		spec: { ...spec, source: { repoURL, targetRevision: 'main', path: name }, ...more },
	});
	await world.client.patch(
		Application,
		{ name: 'default', namespace: 'default' },
		{ type: 'merge', body: { spec: { source: { ...spec.source, path: 'stuck' } } } },
	);
	await world.client.create(Application, application('quick', {}));
	await world.client.create(Application, application('manual', { syncPolicy: null as never }));
	await world.client.create(
		Application,
		application('odd', { ignoreDifferences: [{ kind: 'Service', jsonPointers: ['/x'] }] as never }),
	);
	const pod = `apiVersion: v1\nkind: Pod\nmetadata: {name: stuck, namespace: default}\nspec: {containers: [{name: a, image: b}]}\n`;
	const { code, output } = await world.push({
		'stuck/a.yaml': pod,
		'quick/b.yaml': configMap('b'),
		'manual/c.yaml': configMap('c'),
		'odd/Chart.yaml': 'name: x\n',
	});
	t.is(code, 0, output);
	t.regex(output, /^remote: quick: created {4}configmap\/b in default/m);
	t.regex(output, /^remote: quick: converged in .* s: quick is in sync and healthy/m);
	t.regex(output, /^remote: manual: automated sync is off; apply this revision with: driftless sync manual/m);
	t.regex(output, /^remote: odd: nothing is applied: spec\.ignoreDifferences is not supported/m);
	t.regex(output, /^remote: default: not converged after (?!0\.0)/m);
	t.true(output.indexOf('quick: converged') < output.indexOf('default: not converged'));
});

test('lines come in the order in which they are told, whoever tells them', async (t) => {
	const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
	async function* slow() {
		await gates[0].promise;
		yield 'slow';
	}
	async function* quick() {
		yield 'quick';
		await gates[1].promise;
		yield 'last';
	}
	const heard: string[] = [];
	for await (const line of merged([named('default/a' as never, slow()), named('team/b' as never, quick())])) {
		heard.push(line);
		gates[heard.length - 1]?.resolve();
	}
	t.deepEqual(heard, ['team/b: quick', 'a: slow', 'team/b: last']);
});

test('what was told before the time was over is still heard', async (t) => {
	const stop = new AbortController();
	const feed = createProgressFeed();
	const events = feed.listen(stop.signal);
	const told = { type: 'refused', revision: { sources: [], destination: {} }, lines: ['x'] } as const;
	feed.tell(told);
	stop.abort();
	const heard = [];
	for await (const event of events) heard.push(event);
	t.deepEqual(heard, [told]);
});
