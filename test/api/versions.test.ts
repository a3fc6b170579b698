import test from 'ava';
import type { Api, WatchEvent } from '../../src/api/index.ts';
import {
	ApiError,
	type Dynamic,
	Event,
	EventsEvent,
	HorizontalPodAutoscaler,
	HorizontalPodAutoscalerV1,
	type Kind,
	type ManagedFieldsEntry,
} from '../../src/kinds/index.ts';
import { admin, openTestApi, serveTestApi } from '../testbed/api.ts';

const namespace = 'default';
const V1 = HorizontalPodAutoscalerV1 as unknown as Kind;
const V2 = HorizontalPodAutoscaler as unknown as Kind;
const NewEvents = EventsEvent as unknown as Kind;
const OldEvents = Event as unknown as Kind;

const target = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };
const v1 = (name: string, spec: object = {}) => ({
	apiVersion: 'autoscaling/v1',
	kind: 'HorizontalPodAutoscaler',
	metadata: { name },
	spec: { scaleTargetRef: target, maxReplicas: 5, ...spec },
});
const read = async (api: Api, kind: Kind, name: string) =>
	(await api.get({ kind, namespace, name }, {}, admin)).object as Dynamic;
const entries = (object: Dynamic) =>
	(object.metadata.managedFields ?? []).map(
		({ manager, apiVersion }: ManagedFieldsEntry) => `${manager} ${apiVersion}`,
	);

test('what was written in one version is read, listed and watched in the other', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const stop = new AbortController();
	const made = await api.create({ kind: V1, namespace }, v1('web', { targetCPUUtilizationPercentage: 40 }), {}, admin);
	t.is(made.object.apiVersion, 'autoscaling/v1');
	t.is((JSON.parse(Buffer.from(made.bytes).toString()) as Dynamic).apiVersion, 'autoscaling/v1');

	const whole = await read(api, V2, 'web');
	t.is(whole.apiVersion, 'autoscaling/v2');
	t.like(whole.spec as object, {
		minReplicas: 1,
		metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { averageUtilization: 40 } } }],
	});
	t.is(whole.metadata.resourceVersion, made.object.metadata.resourceVersion);
	const listed = await api.list({ kind: V1 }, {}, admin);
	t.deepEqual(
		listed.items.map(({ object }) => object.apiVersion),
		['autoscaling/v1'],
	);

	const events = api.watch(
		{ kind: V1, namespace },
		{ resourceVersion: listed.resourceVersion, signal: stop.signal },
		admin,
	);
	const seen = (async () => {
		const all: WatchEvent[] = [];
		for await (const batch of events) {
			all.push(...batch);
			if (all.some(({ type }) => type === 'DELETED')) break;
		}
		return all;
	})();
	await api.patch(
		{ kind: V2, namespace, name: 'web' },
		{ type: 'merge', body: { spec: { maxReplicas: 7 } } },
		{},
		admin,
	);
	await api.delete({ kind: V2, namespace, name: 'web' }, {}, admin);
	t.deepEqual(
		(await seen).map((event) => event.type !== 'BOOKMARK' && [event.type, event.stored.object.apiVersion]),
		[
			['MODIFIED', 'autoscaling/v1'],
			['DELETED', 'autoscaling/v1'],
		],
	);
	await t.throwsAsync(read(api, V1, 'web'), { instanceOf: ApiError, message: /not found/ });
});

test('an update in the older version keeps what only the newer can say', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const body = {
		...v1('web'),
		apiVersion: 'autoscaling/v2',
		spec: {
			scaleTargetRef: target,
			maxReplicas: 5,
			metrics: [
				{ type: 'Pods', pods: { metric: { name: 'hits' }, target: { type: 'AverageValue', averageValue: '10' } } },
			],
			behavior: { scaleDown: { stabilizationWindowSeconds: 60 } },
		},
	};
	await api.create({ kind: V2, namespace }, body, {}, admin);
	const before = await read(api, V2, 'web');
	const old = structuredClone(await read(api, V1, 'web')) as Dynamic & { spec: { maxReplicas: number } };
	old.spec.maxReplicas = 8;
	await api.update({ kind: V1, namespace, name: 'web' }, old, {}, admin);
	const after = await read(api, V2, 'web');
	t.deepEqual(after.spec, { ...(before.spec as object), maxReplicas: 8 });
	t.deepEqual(after.metadata.annotations, before.metadata.annotations);
});

test('an object of the wrong version on the path of another is refused', async (t) => {
	await using opened = await openTestApi();
	const cause = await t.throwsAsync(opened.api.create({ kind: V2, namespace }, v1('web'), {}, admin), {
		instanceOf: ApiError,
	});
	t.regex(cause.message, /does not match the expected API version \(autoscaling\/v2\)/);
});

test('an annotation that a conversion would make a field of another type is refused', async (t) => {
	await using opened = await openTestApi();
	const body = v1('web');
	const annotations = { 'autoscaling.alpha.kubernetes.io/behavior': '{"ScaleUp":"fast"}' };
	const cause = await t.throwsAsync(
		opened.api.create({ kind: V1, namespace }, { ...body, metadata: { ...body.metadata, annotations } }, {}, admin),
		{ instanceOf: ApiError },
	);
	t.is(cause.code, 400);
	t.regex(cause.message, /scaleUp/);
});

test('each manager owns its fields in the version it wrote, and a change in another version takes them away', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const apply = (kind: Kind, body: object, fieldManager: string, force = false) =>
		api.patch({ kind, namespace, name: 'web' }, { type: 'apply', body, force }, { fieldManager }, admin);
	await apply(V1, v1('web', { targetCPUUtilizationPercentage: 40 }), 'old');
	t.deepEqual(entries(await read(api, V2, 'web')), ['old autoscaling/v1']);

	const newer = (utilization: number) => ({
		apiVersion: 'autoscaling/v2',
		kind: 'HorizontalPodAutoscaler',
		metadata: { name: 'web' },
		spec: {
			scaleTargetRef: target,
			maxReplicas: 5,
			metrics: [
				{
					type: 'Resource',
					resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: utilization } },
				},
			],
		},
	});
	const refused = await t.throwsAsync(apply(V2, newer(70), 'new'), { instanceOf: ApiError });
	t.is(refused.code, 409);
	t.regex(refused.message, /conflict with "old": \.spec\.targetCPUUtilizationPercentage/);

	await apply(V2, newer(70), 'new', true);
	const taken = await read(api, V1, 'web');
	t.is((taken.spec as { targetCPUUtilizationPercentage: number }).targetCPUUtilizationPercentage, 70);
	const fields = Object.fromEntries(
		(taken.metadata.managedFields ?? []).map((each: ManagedFieldsEntry) => [each.manager, each.fieldsV1]),
	);
	t.false(JSON.stringify(fields.old).includes('targetCPU'), 'it lost the field to the other');
	t.true(JSON.stringify(fields.old).includes('maxReplicas'), 'what both say alike both own');
	t.true(JSON.stringify(fields.new).includes('f:metrics'));
});

test('what an applier no longer says goes, also when it has moved to another version', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const apply = (kind: Kind, body: object) =>
		api.patch({ kind, namespace, name: 'web' }, { type: 'apply', body }, { fieldManager: 'mover' }, admin);
	await apply(V1, { ...v1('web', { minReplicas: 3 }), metadata: { name: 'web', labels: { tier: 'front' } } });
	await apply(V2, { ...v1('web'), apiVersion: 'autoscaling/v2', metadata: { name: 'web' } });
	const now = await read(api, V2, 'web');
	t.is(now.metadata.labels, undefined);
	t.is((now.spec as { minReplicas: number }).minReplicas, 1, 'the default is there again');
	t.deepEqual(entries(now), ['mover autoscaling/v2']);
});

test('a recorder of events.k8s.io and one of core see the same events, and select them by their own names', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const event = (name: string, about: string) => ({
		apiVersion: 'events.k8s.io/v1',
		kind: 'Event',
		metadata: { name },
		eventTime: '2026-01-01T00:00:00.000000Z',
		type: 'Warning',
		reason: 'Broken',
		action: 'Running',
		note: 'it is broken',
		reportingController: 'example.com/agent',
		reportingInstance: 'agent-1',
		regarding: { kind: 'Pod', namespace, name: about },
	});
	await api.create({ kind: NewEvents, namespace }, event('one', 'web'), {}, admin);
	await api.create({ kind: NewEvents, namespace }, event('two', 'db'), {}, admin);
	t.like(await read(api, OldEvents, 'one'), {
		apiVersion: 'v1',
		message: 'it is broken',
		involvedObject: { name: 'web' },
		reportingComponent: 'example.com/agent',
	});
	const names = async (kind: Kind, fieldSelector: string) =>
		(await api.list({ kind, namespace }, { fieldSelector }, admin)).items.map(({ object }) => object.metadata.name);
	t.deepEqual(await names(NewEvents, 'regarding.name=web,reason=Broken'), ['one']);
	t.deepEqual(await names(OldEvents, 'involvedObject.name!=web'), ['two']);
	await t.throwsAsync(names(NewEvents, 'involvedObject.name=web'), {
		message: 'field label not supported: involvedObject.name',
	});
	await t.throwsAsync(api.create({ kind: NewEvents, namespace }, { ...event('x', 'y'), action: '' }, {}, admin), {
		message: /action: Required value/,
	});
	const removed = await api.deleteCollection(
		{ kind: NewEvents, namespace },
		{ fieldSelector: 'regarding.name=web' },
		{},
		admin,
	);
	t.deepEqual(
		removed.map(({ object }) => [object.metadata.name, object.apiVersion]),
		[['one', 'events.k8s.io/v1']],
	);
	t.deepEqual(await names(OldEvents, ''), ['two']);
});

test('discovery names both versions, the newer first, and one storage', async (t) => {
	await using server = await serveTestApi();
	const { body } = await server.ask('/apis/autoscaling');
	t.deepEqual(
		(body as { versions: { version: string }[] }).versions.map(({ version }) => version),
		['v2', 'v1'],
	);
	const hashes = await Promise.all(
		['v1', 'v2'].map(async (version) => {
			const { body } = await server.ask(`/apis/autoscaling/${version}`);
			const { resources } = body as { resources: { name: string; storageVersionHash?: string }[] };
			return resources.find(({ name }) => name === 'horizontalpodautoscalers')?.storageVersionHash;
		}),
	);
	t.truthy(hashes[0]);
	t.is(hashes[0], hashes[1]);
	const table = await server.ask(`/apis/events.k8s.io/v1/events`, {
		headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
	});
	t.is((table.body as { kind: string }).kind, 'Table');
});
