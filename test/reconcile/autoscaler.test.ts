/** The autoscaler on a real API and store: what pods use is played, all else is as it is. */
import test from 'ava';
import type { MetricSpec } from 'kubernetes-types/autoscaling/v2.js';
import type { Computing } from '../../src/api/index.ts';
import type { Client } from '../../src/client/index.ts';
import {
	ConfigMap,
	Deployment,
	type Dynamic,
	Event,
	HorizontalPodAutoscaler,
	type Kind,
	kind,
	Pod,
	PodMetrics,
	scaleIntervalOf,
} from '../../src/kinds/index.ts';
import { horizontalPodAutoscaler } from '../../src/reconcile/autoscaling/hpa.ts';
import type { OtherMetrics } from '../../src/reconcile/autoscaling/metrics.ts';
import { deployment as deploymentController } from '../../src/reconcile/workloads/deployment.ts';
import { replicaSet } from '../../src/reconcile/workloads/replicaset.ts';
import { type HandClock, handClock } from '../client/clock.ts';
import { eventually, type Running, run, type World, worldOf } from '../client/world.ts';
import { openTestApi } from '../testbed/api.ts';
import { kubelet } from './kubelet.ts';
import { deployment, template } from './workloads.ts';

const web = { name: 'web', namespace: 'default' };
const cpu = (averageUtilization: number): MetricSpec => ({
	type: 'Resource',
	resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } },
});

interface Place extends World {
	readonly clock: HandClock;
	readonly running: Running;
	/** Thousandths of a processor that each pod uses; undefined: nothing is measured. */
	load: number | undefined;
	/** Answers of the client's writes of a scale that do not come. */
	lose: number;
}

type Test = Parameters<typeof worldOf>[0];

async function start(t: Test, metrics?: OtherMetrics): Promise<Place> {
	const place: { load: number | undefined; lose: number } = { load: 100, lose: 0 };
	const pods: Computing<PodMetrics> = {
		kind: PodMetrics,
		async compute(api, { namespace, labelSelector }) {
			const caller = { name: 'test', groups: ['system:masters'], userAgent: 'test' };
			const { items } = await api.list({ kind: Pod, namespace }, { labelSelector }, caller);
			return items
				.filter(({ object }) => place.load !== undefined && object.status?.phase === 'Running')
				.map(({ object: { metadata } }) => ({
					apiVersion: 'metrics.k8s.io/v1beta1',
					kind: 'PodMetrics',
					metadata: { name: metadata.name, namespace: metadata.namespace, labels: metadata.labels },
					timestamp: new Date().toISOString(),
					window: '3s',
					containers: [{ name: 'main', usage: { cpu: `${place.load}m`, memory: '10Mi' } }],
				}));
		},
	};
	const world = worldOf(t, await openTestApi({ computed: [pods as unknown as Computing] }));
	const losing = (inner: Client): Client => ({
		...inner,
		as: (name) => losing(inner.as(name)),
		async update(kind, object, options) {
			const done = await inner.update(kind, object, options);
			if (options?.subresource !== 'scale' || place.lose === 0) return done;
			place.lose--;
			throw new Error('the connection was cut');
		},
	});
	const clock = handClock();
	const client = losing(world.client);
	const controllers = [deploymentController, replicaSet, kubelet({ anywhere: true }).controller];
	run(t, world, controllers);
	// An hour later, so that no pod counts as one that starts.
	const now = () => Date.now() + 3_600_000;
	const running = run(t, { ...world, client }, [horizontalPodAutoscaler({ metrics })], now, clock);
	return Object.assign(place, world, { client, clock, running });
}

const target = (replicas: number, requests: Record<string, string> = { cpu: '100m' }): Deployment => {
	const containers = [{ name: 'main', image: 'example', resources: { requests } }];
	return {
		...deployment(replicas),
		metadata: { ...web },
		spec: { ...deployment(replicas).spec, template: { ...template('1'), spec: { containers } } },
	};
};

const autoscaler = (
	metrics: MetricSpec[],
	spec: Partial<HorizontalPodAutoscaler['spec']> = {},
	name = 'web',
): HorizontalPodAutoscaler => ({
	apiVersion: 'autoscaling/v2',
	kind: 'HorizontalPodAutoscaler',
	metadata: { ...web, name },
	spec: {
		scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
		minReplicas: 1,
		maxReplicas: 8,
		metrics,
		...spec,
	},
});

const ready = (place: World, replicas: number) =>
	eventually(place, [Deployment, Pod], async () => {
		const { status, spec } = await place.client.get(Deployment, web);
		const done = status?.readyReplicas === replicas && status.replicas === replicas && spec.replicas === replicas;
		return done || undefined;
	});
const conditions = ({ status }: HorizontalPodAutoscaler) =>
	(status?.conditions ?? []).map(({ type, status, reason }) => `${type} ${status} ${reason}`);
const until = (place: World, wanted: (seen: HorizontalPodAutoscaler) => boolean, name = 'web') =>
	eventually(place, [HorizontalPodAutoscaler], async () => {
		const seen = await place.client.get(HorizontalPodAutoscaler, { ...web, name });
		return wanted(seen) ? seen : undefined;
	});
const told = (place: World, reason: string) =>
	eventually(place, [Event], async () => {
		const { items } = await place.client.list(Event, { namespace: 'default' });
		return items.find((event) => event.reason === reason && event.involvedObject.kind === 'HorizontalPodAutoscaler');
	});

/** Lets it look once more, and waits until it has. */
async function looks({ clock, running }: Place, ms = 15_000): Promise<void> {
	const looked = () => running.metrics.get('horizontalpodautoscaler')?.works.count ?? 0;
	const before = looked();
	const deadline = Date.now() + 20_000;
	clock.advance(ms);
	while (looked() === before || (running.metrics.get('horizontalpodautoscaler')?.running.size ?? 0) > 0) {
		if (Date.now() > deadline)
			throw new Error(`it has not looked within 20 s: ${before} looks, next in ${clock.next} ms`);
		await new Promise((resolve) => setImmediate(resolve));
	}
}

test('load makes replicas, step by step, and its end removes them when the window has passed', async (t) => {
	const place = await start(t);
	await place.client.create(Deployment, target(1));
	await ready(place, 1);
	place.load = 190;
	await place.client.create(HorizontalPodAutoscaler, autoscaler([cpu(50)]));
	await ready(place, 4);
	const up = await until(place, ({ status }) => status?.desiredReplicas === 4);
	t.deepEqual(conditions(up), [
		'AbleToScale True SucceededRescale',
		'ScalingActive True ValidMetricFound',
		'ScalingLimited False DesiredWithinRange',
	]);
	t.like(up.status?.currentMetrics?.[0], {
		resource: { name: 'cpu', current: { averageUtilization: 190, averageValue: '190m' } },
	});
	t.truthy(up.status?.lastScaleTime);
	const event = await told(place, 'SuccessfulRescale');
	t.is(event.message, 'New size: 4; reason: cpu resource utilization (percentage of request) above target');
	t.is(event.source?.component, 'horizontal-pod-autoscaler');

	await looks(place);
	await ready(place, 8);
	const most = await until(place, ({ status }) => status?.desiredReplicas === 8);
	t.true(conditions(most).includes('ScalingLimited True TooManyReplicas'));

	place.load = 10;
	await looks(place);
	const held = await until(place, (seen) => conditions(seen).includes('AbleToScale True ScaleDownStabilized'));
	t.is(held.status?.desiredReplicas, 8);
	for (let minutes = 0; minutes < 6 && (await place.client.get(Deployment, web)).spec.replicas === 8; minutes++)
		for (let look = 0; look < 4; look++) await looks(place);
	await ready(place, 2);
	t.is((await until(place, ({ status }) => status?.desiredReplicas === 2)).status?.currentReplicas !== undefined, true);
});

test('it looks at the interval that its annotation says, and at once when it is changed', async (t) => {
	const place = await start(t);
	await place.client.create(Deployment, target(1));
	await ready(place, 1);
	const annotated = autoscaler([cpu(100)]);
	annotated.metadata.annotations = { 'driftless.io/scale-interval': '1m30s' };
	await place.client.create(HorizontalPodAutoscaler, annotated);
	await until(place, (seen) => conditions(seen).length === 3);
	place.load = 300;
	place.clock.advance(89_000);
	for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
	t.is((await place.client.get(Deployment, web)).spec.replicas, 1);
	await looks(place, 2_000);
	await ready(place, 3);
	place.clock.advance(2_000);
	await place.client.patch(HorizontalPodAutoscaler, web, { type: 'merge', body: { spec: { metrics: [cpu(60)] } } });
	await ready(place, 6);
	const named = await place.client.patch(HorizontalPodAutoscaler, web, {
		type: 'merge',
		body: { spec: { scaleInterval: '40s' } },
	});
	t.is(scaleIntervalOf(named), 40_000, 'the field says the same, and counts before it');
	const field = place.client.patch(HorizontalPodAutoscaler, web, {
		type: 'merge',
		body: { spec: { scaleInterval: '1s' } },
	});
	await t.throwsAsync(field, {
		message: /spec.scaleInterval: Invalid value: "1s": must be a duration of at least 15s/,
	});
	for (const wrong of ['14s', '5', '2h', 'often', '']) {
		const body = { metadata: { annotations: { 'driftless.io/scale-interval': wrong } } };
		const error = await t.throwsAsync(place.client.patch(HorizontalPodAutoscaler, web, { type: 'merge', body }));
		t.regex(
			error?.message ?? '',
			/scale-interval\]: Invalid value: .*must be a duration of at least 15s and at most 60m/,
		);
	}
});

test('what cannot be scaled is said in the words of Kubernetes, and nothing is changed', async (t) => {
	const place = await start(t);
	const { client } = place;
	const refused = async (
		spec: Partial<HorizontalPodAutoscaler['spec']>,
		reason: string,
		message: RegExp,
		events: readonly string[],
	) => {
		const made = await client.create(HorizontalPodAutoscaler, autoscaler([cpu(50)], spec));
		const seen = await until(
			place,
			({ status }) => status?.conditions?.some((each) => each.reason === reason) ?? false,
		);
		t.regex(seen.status?.conditions?.find((each) => each.reason === reason)?.message ?? '', message);
		t.is(HorizontalPodAutoscaler.health(seen)?.status, 'Degraded');
		for (const each of events) await told(place, each);
		await client.delete(HorizontalPodAutoscaler, made.metadata);
	};
	await refused(
		{},
		'FailedGetScale',
		/^the HPA controller was unable to get the target's current scale: deployments.apps "web" not found$/,
		['FailedGetScale'],
	);
	const to = (apiVersion: string, kind: string) => ({ scaleTargetRef: { apiVersion, kind, name: 'web' } });
	await refused(
		to('example.com/v1', 'Nothing'),
		'FailedGetScale',
		/no matches for kind "Nothing" in group "example.com"$/,
		[],
	);
	await client.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...web } });
	await refused(to('v1', 'ConfigMap'), 'FailedGetScale', /the server could not find the requested resource$/, []);

	await client.create(Deployment, target(2, { memory: '10Mi' }));
	await ready(place, 2);
	const lacking =
		/^the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container main of Pod web-/;
	await refused({}, 'FailedGetResourceMetric', lacking, ['FailedGetResourceMetric', 'FailedComputeMetricsReplicas']);
	place.load = undefined;
	await refused(
		{},
		'FailedGetResourceMetric',
		/unable to get metrics for resource cpu: no metrics returned from resource metrics API$/,
		[],
	);
	const metric = { name: 'hits' };
	const external: MetricSpec[] = [{ type: 'External', external: { metric, target: { type: 'Value', value: '1' } } }];
	await refused(
		{ metrics: external },
		'FailedGetExternalMetric',
		/unable to get external metric default\/hits\/nil: unable to fetch metrics from external metrics API: the server is not connected to a Prometheus$/,
		[],
	);
	t.is((await client.get(Deployment, web)).spec.replicas, 2);
});

test('two autoscalers of one target do nothing and say so, and one goes on when the other is gone', async (t) => {
	const place = await start(t);
	await place.client.create(Deployment, target(2));
	await ready(place, 2);
	await place.client.create(HorizontalPodAutoscaler, autoscaler([cpu(100)], {}, 'one'));
	await until(place, (seen) => conditions(seen).length === 3, 'one');
	await place.client.create(HorizontalPodAutoscaler, autoscaler([cpu(10)], {}, 'two'));
	const ambiguous = (seen: HorizontalPodAutoscaler) =>
		conditions(seen).includes('ScalingActive False AmbiguousSelector');
	const two = await until(place, ambiguous, 'two');
	await looks(place);
	const one = await until(place, ambiguous, 'one');
	t.is(
		two.status?.conditions?.find(({ reason }) => reason === 'AmbiguousSelector')?.message,
		'pods by selector app=web are controlled by multiple HPAs: [{one default} {two default}]',
	);
	t.is(HorizontalPodAutoscaler.health(one)?.status, 'Degraded');
	t.is((await place.client.get(Deployment, web)).spec.replicas, 2);
	await place.client.delete(HorizontalPodAutoscaler, { ...web, name: 'one' });
	await eventually(
		place,
		[HorizontalPodAutoscaler],
		() => !place.cache.informer(HorizontalPodAutoscaler).get('default/one') || undefined,
	);
	await looks(place);
	await ready(place, 4);
});

test('a change of which no answer came is counted once: the limits of its policies hold', async (t) => {
	const place = await start(t);
	await place.client.create(Deployment, target(2));
	await ready(place, 2);
	place.load = 1_000;
	place.lose = 1;
	const scaleUp = { stabilizationWindowSeconds: 0, policies: [{ type: 'Pods', value: 1, periodSeconds: 600 }] };
	await place.client.create(HorizontalPodAutoscaler, autoscaler([cpu(50)], { behavior: { scaleUp } }));
	const limited = (seen: HorizontalPodAutoscaler) => conditions(seen).includes('ScalingLimited True ScaleUpLimit');
	await eventually(place, [Deployment], () => place.lose === 0 || undefined);
	await looks(place);
	await looks(place);
	const seen = await until(place, (each) => limited(each) && each.status?.lastScaleTime !== undefined);
	for (let look = 0; look < 5; look++) await looks(place);
	t.is((await place.client.get(Deployment, web)).spec.replicas, 3);
	t.is(place.lose, 0);
	t.is(seen.status?.desiredReplicas, 3);
	const event = await told(place, 'SuccessfulRescale');
	t.is(event.count, 1);
});

test('any target with a scale subresource is scaled, by what others measure too', async (t) => {
	const asked: unknown[] = [];
	const others: OtherMetrics = {
		async ofPods() {
			throw new Error('it is down');
		},
		async ofObject(namespace, about, metric) {
			asked.push([namespace, about.name, metric.name]);
			return 30_000;
		},
		async external() {
			return [4_000, 2_000];
		},
	};
	const Fleet = kind<Dynamic>({
		group: 'example.com',
		version: 'v1',
		kind: 'Fleet',
		plural: 'fleets',
		schema: 'com.example.v1.Fleet',
		schemas: { 'com.example.v1.Fleet': { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
		subresources: { status: true, scale: { spec: '.spec.size', status: '.status.size', selector: '.status.selector' } },
	});
	const place = await start(t, others);
	const { client } = place;
	(client.registry as typeof client.registry & { add(kind: Kind): void }).add(Fleet as unknown as Kind);
	const fleet = await client.create(Fleet, {
		apiVersion: 'example.com/v1',
		kind: 'Fleet',
		metadata: { ...web },
		spec: { size: 2 },
	});
	await client.update(Fleet, { ...fleet, status: { size: 2, selector: 'app=fleet' } }, { subresource: 'status' });
	const metric = { name: 'queue' };
	const metrics: MetricSpec[] = [
		{
			type: 'Object',
			object: {
				metric,
				describedObject: { apiVersion: 'v1', kind: 'Service', name: 'queue' },
				target: { type: 'AverageValue', averageValue: '10' },
			},
		},
		{ type: 'External', external: { metric, target: { type: 'AverageValue', averageValue: '1' } } },
		{ type: 'Pods', pods: { metric, target: { type: 'AverageValue', averageValue: '1' } } },
	];
	const scaleTargetRef = { apiVersion: 'example.com/v1', kind: 'Fleet', name: 'web' };
	await client.create(HorizontalPodAutoscaler, autoscaler(metrics, { scaleTargetRef, maxReplicas: 5 }));
	const seen = await until(place, ({ status }) => status?.desiredReplicas === 4);
	t.deepEqual(asked, [['default', 'queue', 'queue']]);
	t.deepEqual((await client.get(Fleet, web)).spec, { size: 4 });
	t.deepEqual(
		seen.status?.currentMetrics?.map(({ type }) => type),
		['Object', 'External', ''],
	);
	t.regex(
		(await told(place, 'FailedGetPodsMetric')).message ?? '',
		/^unable to get metric queue: unable to fetch metrics from custom metrics API: it is down$/,
	);
});
