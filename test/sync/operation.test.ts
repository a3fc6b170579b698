/** A sync as an operation: what it waits for, when it fails and is tried again, how it ends, and what outlives it. */
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import {
	Application,
	type ApplicationStatus,
	ConfigMap,
	Deployment,
	Event,
	Pod,
	Service,
} from '../../src/kinds/index.ts';
import { grant } from '../../src/sync/source/index.ts';
import { type GitOpsWorld, startGitOps } from './gitops.ts';

const home = { name: 'default', namespace: 'default' };
const wave = (number: number) => ({ 'argocd.argoproj.io/sync-wave': String(number) });
const configMap = (name: string, annotations: object = {}, data: object = {}) =>
	JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, annotations }, data });
/** Healthy once it has an address, which nothing gives out here but the test. */
const balancer = (annotations: object = {}, labels: object = {}) =>
	JSON.stringify({
		apiVersion: 'v1',
		kind: 'Service',
		metadata: { name: 'front', annotations, labels },
		spec: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 80 }] },
	});
const web = (label: string, annotations: object = {}) =>
	JSON.stringify({
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web', annotations },
		spec: {
			replicas: 0,
			selector: { matchLabels: { app: label } },
			template: { metadata: { labels: { app: label } }, spec: { containers: [{ name: 'web', image: 'example' }] } },
		},
	});
const change = ({ client }: GitOpsWorld, body: object) => client.patch(Application, home, { type: 'merge', body });
const ask = (world: GitOpsWorld, sync: object, more: object = {}) => change(world, { operation: { sync, ...more } });
const manual = (world: GitOpsWorld) => change(world, { spec: { syncPolicy: { automated: null } } });
const names = async ({ client }: GitOpsWorld) =>
	(await client.list(ConfigMap, { namespace: 'default' })).items
		.map(({ metadata }) => metadata.name)
		.filter((name) => name !== 'kube-root-ca.crt');
const phase =
	(wanted: string, message = /./) =>
	(status: ApplicationStatus) =>
		status.operationState?.phase === wanted && message.test(status.operationState.message ?? '');
const synced = (status: ApplicationStatus) => status.sync?.status === 'Synced';
const head = async ({ git }: GitOpsWorld, at = 'HEAD') => (await git('rev-parse', at)).output.trim();
const until = async (condition: () => Promise<boolean>, what: string) => {
	for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50)))
		if (await condition()) return;
	throw new Error(`it never came to be that ${what}`);
};

test('what an earlier sync left unwell holds up no later wave', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'front.json': balancer(wave(-1)) });
	await world.status(synced);
	await world.push({ 'late.json': configMap('late', wave(1)) });
	await world.status((status) => synced(status) && status.resources?.length === 2);
	t.deepEqual(await names(world), ['late']);
});

test('what a sync has changed and does not work fails it, and the later waves are not applied', async (t) => {
	const world = await startGitOps(t);
	await manual(world);
	const pod = {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'job', annotations: wave(-1) },
		spec: { restartPolicy: 'Never', containers: [{ name: 'job', image: 'example' }] },
	};
	await world.push({ 'job.json': JSON.stringify(pod), 'late.json': configMap('late', wave(1)) });
	await world.status(({ sync }) => sync?.status === 'OutOfSync');
	await ask(world, {});
	await world.status(phase('Running', /waiting for pod\/job to be healthy/));
	await world.client.patch(
		Pod,
		{ name: 'job', namespace: 'default' },
		{ type: 'merge', body: { status: { phase: 'Failed', message: 'it crashed' } } },
		{ subresource: 'status' },
	);
	const failed = await world.status(phase('Failed'));
	t.regex(failed.operationState?.message ?? '', /what this sync has applied does not work: pod\/job is Degraded/);
	t.deepEqual(await names(world), []);
});

test('a service that is renamed and keeps its node port goes in one push, which is not refused', async (t) => {
	const world = await startGitOps(t, { pushWaitMs: 30_000 });
	const service = (name: string) =>
		JSON.stringify({
			apiVersion: 'v1',
			kind: 'Service',
			metadata: { name },
			spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80, nodePort: 30_123 }] },
		});
	await world.push({ 'service.json': service('old') });
	await world.status(synced);
	const { code, output } = await world.push({ 'service.json': service('new') });
	t.is(code, 0, output);
	t.regex(output, /pruned +service\/old[\s\S]*created +service\/new/);
	t.notRegex(output, /failed/);
	const found = await world.client.list(Service, { namespace: 'default' });
	t.deepEqual(
		found.items.map(({ metadata }) => metadata.name).filter((name) => name !== 'kubernetes'),
		['new'],
	);
});

test('a changed path or destination is synced like a new commit, also without selfHeal', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { source: { path: 'a' }, syncPolicy: { automated: { selfHeal: false } } } });
	await world.push({ 'a/a.json': configMap('a'), 'b/b.json': configMap('b') });
	await world.status((status) => synced(status) && status.resources?.[0]?.name === 'a');
	await change(world, { spec: { source: { path: 'b' } } });
	await world.status((status) => synced(status) && status.resources?.[0]?.name === 'b');
	t.deepEqual(await names(world), ['b']);
	await change(world, { spec: { destination: { namespace: 'kube-public' } } });
	await world.status((status) => synced(status) && status.resources?.[0]?.namespace === 'kube-public');
	t.deepEqual(await names(world), []);
});

test('a sync that was asked for prunes only where the request says so, also where nothing is left', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.json': configMap('a') });
	await world.status(synced);
	await world.push({ 'a.json': undefined, 'README.md': 'nothing' });
	await world.status(({ conditions }) => /allowEmpty/.test(conditions?.[0]?.message ?? ''));
	await ask(world, {});
	const kept = await world.status(
		(status) => status.operationState?.syncResult?.resources?.[0]?.status === 'PruneSkipped',
	);
	t.is(kept.operationState?.phase, 'Succeeded');
	t.deepEqual(await names(world), ['a']);
	await ask(world, { prune: true });
	await world.status(synced);
	t.deepEqual(await names(world), []);
});

test('a failed attempt is a part of its operation, which runs on with a count of its retries', async (t) => {
	const world = await startGitOps(t);
	await manual(world);
	await world.push({ 'web.json': web('one'), 'a.json': configMap('a') });
	await ask(world, {});
	await world.status(synced);
	// What the check could not know: an object that comes to be between the check and the sync.
	await change(world, { spec: { syncPolicy: { syncOptions: ['FailOnSharedResource=true'] } } });
	const { spec } = await world.client.get(Application, home);
	await world.client.create(Application, {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'second', namespace: 'default' },
		spec: { ...spec, syncPolicy: { automated: {} } },
	});
	await world.status(synced, 'second');
	await ask(world, {}, { retry: { limit: 2, backoff: { duration: '1s' } } });
	const retried = await world.status(({ operationState }) => operationState?.retryCount === 1);
	t.is(retried.operationState?.phase, 'Running');
	t.regex(retried.operationState?.message ?? '', /Retrying attempt #1 at /);
	const failed = await world.status(phase('Failed'));
	t.is(failed.operationState?.retryCount, 2);
	t.is(failed.operationState?.startedAt, retried.operationState?.startedAt);
	const { items } = await world.client.list(Event, { fieldSelector: 'reason=OperationCompleted' });
	const ours = items.filter(({ involvedObject, type }) => involvedObject.name === 'default' && type === 'Warning');
	t.true(
		ours.reduce((sum, { count = 1 }) => sum + count, 0) <= 1,
		'one event for the operation, not one for each attempt',
	);
});

test('a sync is ended by a plain write of the object, as clients of Argo CD do it, and does not begin again', async (t) => {
	const world = await startGitOps(t, { pushWaitMs: 60_000 });
	const pushing = world.push({ 'front.json': balancer(wave(-1)), 'late.json': configMap('late', wave(1)) });
	await world.status(phase('Running', /waiting for service\/front/));
	await change(world, { status: { operationState: { phase: 'Terminating' } } });
	const status = await world.status(
		(each) => phase('Failed')(each) && (each.conditions ?? []).some(({ type }) => type === 'SyncError'),
	);
	t.is(status.operationState?.message, 'the sync was terminated');
	t.regex(status.conditions?.[0]?.message ?? '', /failed: the sync was terminated; push a new revision/);
	t.deepEqual(await names(world), []);
	const { output } = await pushing;
	t.regex(output, /sync failed after .*: the sync was terminated[\s\S]*see: driftless status/);
	t.notRegex(output, /tried again/);
	const unchanged = await change(world, { status: { health: { status: 'Degraded' } } });
	t.not(unchanged.status?.health?.status, 'Degraded', 'nothing else of the status can be written so');
});

test('a second request waits until the first has ended', async (t) => {
	const world = await startGitOps(t);
	await manual(world);
	await world.push({ 'front.json': balancer(wave(-1)), 'late.json': configMap('late', wave(1)) });
	await ask(world, {});
	await world.status(phase('Running', /waiting for service\/front/));
	await ask(world, { prune: true });
	await world.client.patch(
		Service,
		{ name: 'front', namespace: 'default' },
		{ type: 'merge', body: { status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } } } },
		{ subresource: 'status' },
	);
	const done = await world.status(
		(status) => phase('Succeeded')(status) && status.operationState?.operation.sync?.prune === true,
	);
	t.deepEqual(
		done.history?.map(({ id }) => id),
		[0, 1],
	);
});

test('a field that cannot be changed refuses a push, or fails a sync; both say what to do, and it is synced as soon as that is done', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'web.json': web('one') });
	await world.status(synced);
	const refused = await world.push({ 'web.json': web('two') });
	t.not(refused.code, 0);
	t.regex(
		refused.output,
		/spec\.selector: .*immutable; to change it the object must be made anew: delete it, or give it the annotation .*Force=true/,
	);
	// The same commit in a source that is not checked before it moves.
	await grant(world.dataDir, world.clone);
	await change(world, { spec: { source: { repoURL: world.clone, targetRevision: 'HEAD' } } });
	const commit = await head(world);
	await world.status(({ operationState }) =>
		/immutable; to change it the object must be made anew/.test(operationState?.message ?? ''),
	);
	await world.client.delete(Deployment, { name: 'web', namespace: 'default' });
	await world.status((status) => synced(status) && status.sync?.revision === commit);
	const { spec } = await world.client.get(Deployment, { name: 'web', namespace: 'default' });
	t.deepEqual(spec.selector.matchLabels, { app: 'two' });
});

test('with Force=true what cannot be changed is made anew', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'web.json': web('one') });
	await world.status(synced);
	const before = await world.client.get(Deployment, { name: 'web', namespace: 'default' });
	const force = { 'argocd.argoproj.io/sync-options': 'Force=true,Replace=true' };
	const { code, output } = await world.push({ 'web.json': web('two', force) });
	t.is(code, 0, output);
	const commit = await head(world);
	await world.status((status) => synced(status) && status.sync?.revision === commit && phase('Succeeded')(status));
	const after = await world.client.get(Deployment, { name: 'web', namespace: 'default' });
	t.deepEqual(after.spec.selector.matchLabels, { app: 'two' });
	t.not(after.metadata.uid, before.metadata.uid);
});

test('a sync to an earlier revision follows its waves, and goes back to the path of that time', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { source: { path: 'a' } } });
	await world.push({ 'a/a.json': configMap('a', wave(-1)), 'a/z.json': configMap('z', wave(1)) });
	await world.status((status) => synced(status) && status.resources?.length === 2);
	await change(world, { spec: { source: { path: 'b' } } });
	await world.push({ 'b/b.json': configMap('b') });
	const last = await world.status((status) => synced(status) && status.resources?.[0]?.name === 'b');
	t.deepEqual(await names(world), ['b']);
	const [first] = last.history ?? [];
	const refused = { revision: first?.revision, source: first?.source, prune: true };
	await ask(world, refused);
	const told = await world.status(phase('Failed'));
	t.regex(told.operationState?.message ?? '', /automated sync of default would go back .* switch it off first/);
	await manual(world);
	await ask(world, refused);
	await world.status(phase('Succeeded'));
	t.deepEqual(await names(world), ['a', 'z']);
});

const MANY = 700;

test('more objects than a status can list are synced in waves to an earlier revision, and counted', async (t) => {
	const world = await startGitOps(t);
	await manual(world);
	const many = (value: string) =>
		JSON.stringify({
			apiVersion: 'v1',
			kind: 'List',
			items: Array.from({ length: MANY }, (_, index) => ({
				apiVersion: 'v1',
				kind: 'ConfigMap',
				metadata: { name: `${'long-'.repeat(46)}${index}`, annotations: wave(index % 2) },
				data: { value },
			})),
		});
	await world.push({ 'many.json': many('1') });
	const first = await head(world);
	await world.push({ 'many.json': many('2') });
	const second = await head(world);
	await until(async () => {
		const { status } = await world.client.get(Application, home);
		return status?.sync?.revision === second;
	}, 'the second revision is compared');
	await ask(world, { revision: first });
	const done = await world.status(phase('Succeeded'));
	const { resources = [], resourcesLeftOut = 0 } = done.operationState?.syncResult ?? {};
	t.is(resources.length + resourcesLeftOut, MANY);
	t.true(resourcesLeftOut > 0);
	t.is((done.resources?.length ?? 0) + (done.resourcesLeftOut ?? 0), MANY);
	const { items } = await world.client.list(ConfigMap, { namespace: 'default' });
	t.is(items.filter(({ data }) => data?.value === '1').length, MANY);
});

test('the status says when what has drifted is mended', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.json': configMap('a', {}, { value: '1' }) });
	await world.status(synced);
	await world.client.delete(ConfigMap, { name: 'a', namespace: 'default' });
	const status = await world.status(({ selfHealAt }) => selfHealAt !== undefined);
	t.is(status.sync?.status, 'OutOfSync');
	await world.status((each) => synced(each) && each.selfHealAt === undefined);
	t.deepEqual(await names(world), ['a']);
});

test('what others change back at once keeps no later wave from being applied', async (t) => {
	const world = await startGitOps(t);
	const stop = new AbortController();
	const contrary = (async () => {
		const fellow = world.client.as('somebody');
		const watched = { namespace: 'default', fieldSelector: 'metadata.name=a', signal: stop.signal };
		for await (const events of fellow.watch(ConfigMap, watched)) {
			for (const event of events) {
				if (event.type === 'BOOKMARK' || event.type === 'DELETED' || event.object.data?.value !== 'ours') continue;
				const body = { data: { value: 'theirs' } };
				await fellow.patch(ConfigMap, { name: 'a', namespace: 'default' }, { type: 'merge', body });
			}
		}
	})();
	await world.push({ 'a.json': configMap('a', wave(-1), { value: 'ours' }), 'late.json': configMap('late', wave(1)) });
	await world.status((status) => status.operationState?.phase === 'Succeeded');
	t.deepEqual(await names(world), ['a', 'late']);
	stop.abort();
	await contrary;
});

test('a request of which a process died before it took it away is carried out once', async (t) => {
	const world = await startGitOps(t);
	await manual(world);
	await world.push({ 'a.json': configMap('a') });
	await world.status(({ sync }) => sync?.status === 'OutOfSync');
	const operation = { sync: { prune: true } };
	const operationState = { phase: 'Running', startedAt: '2026-01-01T00:00:00Z', operation };
	// Both in one write each, the status first, as a process writes them that dies in between.
	await world.client.patch(
		Application,
		home,
		{ type: 'merge', body: { status: { operationState: { ...operationState, finishedAt: '2126-01-01T00:00:00Z' } } } },
		{ subresource: 'status' },
	);
	await change(world, { operation });
	await world.client.patch(
		Application,
		home,
		{ type: 'merge', body: { status: { operationState: { finishedAt: null } } } },
		{ subresource: 'status' },
	);
	const done = await world.status(phase('Succeeded'));
	t.is(done.operationState?.startedAt, operationState.startedAt);
	await until(async () => !(await world.client.get(Application, home)).operation, 'the request is taken away');
	t.is((await world.client.get(Application, home)).status?.history?.length, 1);
});

test('nothing is pruned while it is not known what another application wants', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.json': configMap('a'), 'b.json': configMap('b') });
	await world.status(synced);
	// It takes connections and never answers.
	const silent = createServer(() => {});
	t.teardown(() => silent.close());
	await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
	const { port } = silent.address() as AddressInfo;
	const { spec } = await world.client.get(Application, home);
	await world.client.create(Application, {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'silent', namespace: 'default' },
		spec: { ...spec, source: { repoURL: `http://127.0.0.1:${port}/x.git` } },
	});
	await world.push({ 'b.json': undefined, 'c.json': configMap('c') });
	await world.status(phase('Running', /waiting to know what the other applications want/));
	t.deepEqual(await names(world), ['a', 'b', 'c']);
	await world.client.delete(Application, { name: 'silent', namespace: 'default' });
	await world.status((status) => phase('Succeeded')(status) && synced(status));
	t.deepEqual(await names(world), ['a', 'c']);
});

test('a process that starts with a refused revision keeps up the one before', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.json': configMap('a', {}, { value: '1' }) });
	await world.status(synced);
	const good = await head(world);
	await writeFile(join(world.clone, 'a.json'), '{');
	await world.git('commit', '-q', '-a', '-m', 'broken');
	const named = { name: 'second', namespace: 'default' };
	const { spec } = await world.client.get(Application, home);
	await grant(world.dataDir, world.clone);
	// Nothing is known of it but what a process before has left in its status.
	await world.client.create(Application, {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: named,
		spec: { ...spec, source: { repoURL: world.clone, chart: 'none' }, destination: { namespace: 'kube-public' } },
	});
	await world.status(({ conditions }) => conditions?.[0]?.type === 'InvalidSpecError', 'second');
	const known = { status: { sync: { status: 'Synced', revision: good } } };
	await world.client.patch(Application, named, { type: 'merge', body: known }, { subresource: 'status' });
	await world.client.patch(Application, named, { type: 'merge', body: { spec: { source: { chart: null } } } });
	const status = await world.status(({ resources }) => resources?.[0]?.name === 'a', 'second');
	t.is(status.conditions?.[0]?.type, 'ComparisonError');
	await until(async () => {
		const { items } = await world.client.list(ConfigMap, { namespace: 'kube-public' });
		return items.some(({ metadata, data }) => metadata.name === 'a' && data?.value === '1');
	}, 'the last good revision is kept up');
	t.pass();
});

test('a request is taken away only when the status has it, so that no death of a process loses it', async (t) => {
	const world = await startGitOps(t);
	await manual(world);
	await world.push({ 'a.json': configMap('a') });
	await world.status(({ sync }) => sync?.status === 'OutOfSync');
	const { metadata } = await ask(world, { prune: true });
	const watched = {
		namespace: 'default',
		resourceVersion: metadata.resourceVersion,
		signal: AbortSignal.timeout(60_000),
	};
	for await (const events of world.client.watch(Application, watched)) {
		const objects = events.flatMap((event) => (event.type === 'BOOKMARK' ? [] : [event.object]));
		for (const { operation, status } of objects)
			if (!operation) t.true(status?.operationState?.operation.sync?.prune, 'it is in one of the two at any time');
		if (objects.some(({ operation, status }) => !operation && status?.operationState?.phase === 'Succeeded')) return;
	}
	t.fail('the request was never answered');
});
