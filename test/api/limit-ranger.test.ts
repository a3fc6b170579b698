/** What a LimitRange gives to the pods and claims of its namespace, and what it refuses of them. */
import test from 'ava';
import { claimBreaches } from '../../src/api/verbs/limit-ranger.ts';
import { ApiError, LimitRange, Pod } from '../../src/kinds/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';

const namespace = 'default';
const limits = (...items: object[]) => ({
	apiVersion: 'v1',
	kind: 'LimitRange',
	metadata: { name: 'limits' },
	spec: { limits: items },
});
const pod = (...containers: object[]) => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name: 'p' },
	spec: { containers: containers.map((each, at) => ({ name: `c${at}`, image: 'i', ...each })) },
});
const with_ = (requests?: object, lim?: object) => ({ resources: { requests, limits: lim } });

const filled: [string, object, object, object, string | undefined][] = [
	[
		'a container that says nothing',
		{ type: 'Container', default: { cpu: '500m', memory: '64Mi' }, defaultRequest: { cpu: '100m' } },
		{},
		{ requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '500m', memory: '64Mi' } },
		'LimitRanger plugin set: cpu, memory request for container c0; cpu, memory limit for container c0',
	],
	[
		'what a container leaves out',
		{ type: 'Container', default: { cpu: '500m' }, defaultRequest: { cpu: '100m', memory: '1Mi' } },
		with_({ cpu: '200m' }),
		{ requests: { cpu: '200m', memory: '1Mi' }, limits: { cpu: '500m' } },
		'LimitRanger plugin set: memory request for container c0; cpu limit for container c0',
	],
	[
		'nothing to a container that says it all',
		{ type: 'Container', default: { cpu: '1' } },
		with_({ cpu: '1' }, { cpu: '1' }),
		{ requests: { cpu: '1' }, limits: { cpu: '1' } },
		undefined,
	],
];
for (const [what, item, container, resources, annotation] of filled)
	test(`a LimitRange gives ${what}`, async (t) => {
		await using opened = await openTestApi();
		const { api } = opened;
		await api.create({ kind: LimitRange, namespace }, limits(item), {}, admin);
		const { object } = await api.create({ kind: Pod, namespace }, pod(container), {}, admin);
		t.deepEqual(object.spec.containers[0]?.resources, resources);
		t.is(object.metadata.annotations?.['kubernetes.io/limit-ranger'], annotation);
	});

test('init containers get the same, and are called what they are', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const item = { type: 'Container', defaultRequest: { cpu: '100m' } };
	await api.create({ kind: LimitRange, namespace }, limits(item), {}, admin);
	const body = pod(with_({ cpu: '1' }));
	const init = { ...body, spec: { ...body.spec, initContainers: [{ name: 'first', image: 'i' }] } };
	const { object } = await api.create({ kind: Pod, namespace }, init, {}, admin);
	t.deepEqual(object.spec.initContainers?.[0]?.resources?.requests, { cpu: '100m' });
	t.is(
		object.metadata.annotations?.['kubernetes.io/limit-ranger'],
		'LimitRanger plugin set: cpu request for init container first',
	);
});

const refused: [object, object[], string][] = [
	[
		{ type: 'Container', min: { cpu: '100m' }, default: { cpu: '1' }, defaultRequest: { cpu: '1' } },
		[with_({ cpu: '50m' })],
		'minimum cpu usage per Container is 100m, but request is 50m',
	],
	[
		{ type: 'Container', max: { memory: '1Gi' } },
		[with_({ memory: '1Gi' }, { memory: '2Gi' })],
		'maximum memory usage per Container is 1Gi, but limit is 2Gi',
	],
	[
		{ type: 'Container', maxLimitRequestRatio: { cpu: '2' } },
		[with_({ cpu: '1' }, { cpu: '3' })],
		'cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000',
	],
	[
		{ type: 'Container', maxLimitRequestRatio: { cpu: '2' } },
		[{}],
		'cpu max limit to request ratio per Container is 2, but no request is specified or request is 0',
	],
	[
		{ type: 'Container', maxLimitRequestRatio: { cpu: '2' } },
		[with_({ cpu: '1' })],
		'cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0',
	],
	[{ type: 'Pod', min: { cpu: '1' } }, [{}], 'minimum cpu usage per Pod is 1.  No request is specified'],
	[
		{ type: 'Pod', max: { cpu: '1' } },
		[with_({}, { cpu: '700m' }), with_({}, { cpu: '700m' })],
		'maximum cpu usage per Pod is 1, but limit is 1400m',
	],
	[
		{ type: 'Pod', max: { cpu: '1', memory: '1Gi' } },
		[{}],
		'[maximum cpu usage per Pod is 1.  No limit is specified, maximum memory usage per Pod is 1Gi.  No limit is specified]',
	],
];
for (const [item, containers, why] of refused)
	test(`a LimitRange of ${JSON.stringify(item)} refuses ${JSON.stringify(containers)}`, async (t) => {
		await using opened = await openTestApi();
		const { api } = opened;
		await api.create({ kind: LimitRange, namespace }, limits(item), {}, admin);
		const error = await t.throwsAsync(api.create({ kind: Pod, namespace }, pod(...containers), {}, admin), {
			instanceOf: ApiError,
		});
		t.is(error?.message, `pods "p" is forbidden: ${why}`);
		t.is(error?.code, 403);
	});

const claims: [object, string | undefined, string[]][] = [
	[
		{ min: { storage: '1Gi' } },
		'512Mi',
		['minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi'],
	],
	[{ max: { storage: '1Gi' } }, '2Gi', ['maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi']],
	[
		{ max: { storage: '1Gi' } },
		undefined,
		['maximum storage usage per PersistentVolumeClaim is 1Gi.  No request is specified'],
	],
	[{ min: { storage: '1Gi' }, max: { storage: '2Gi' } }, '2Gi', []],
];
for (const [item, storage, wrong] of claims)
	test(`a LimitRange of ${JSON.stringify(item)} says of a claim for ${storage}: ${wrong[0] ?? 'nothing'}`, (t) => {
		const range = limits({ type: 'PersistentVolumeClaim', ...item }) as unknown as LimitRange;
		const claim = { spec: { resources: { requests: storage ? { storage } : {} } } };
		t.deepEqual(claimBreaches(range, claim as never), wrong);
	});

test('what there was before its limits stays, and may be changed', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	await api.create({ kind: Pod, namespace }, pod(with_({ cpu: '4' })), {}, admin);
	await api.create({ kind: LimitRange, namespace }, limits({ type: 'Container', max: { cpu: '1' } }), {}, admin);
	const { object } = await api.patch(
		{ kind: Pod, namespace, name: 'p' },
		{ type: 'merge', body: { metadata: { labels: { a: 'b' } } } },
		{},
		admin,
	);
	t.deepEqual(object.spec.containers[0]?.resources, { requests: { cpu: '4' } });
});
