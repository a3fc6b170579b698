/** What an autoscaler decides, as tables. Amounts of cpu are thousandths of a processor. */
import test from 'ava';
import type { HorizontalPodAutoscalerBehavior, HPAScalingRules } from 'kubernetes-types/autoscaling/v2.js';
import { allow, changed, firstHistory, type History } from '../../src/reconcile/autoscaling/behavior.ts';
import { type Considered, desiredReplicas, needsMetrics } from '../../src/reconcile/autoscaling/desired-replicas.ts';
import type { PodValue } from '../../src/reconcile/autoscaling/pod-groups.ts';
import { propose, selectorText } from '../../src/reconcile/autoscaling/proposal.ts';
import { byAverage, byShare, byUtilization, byValue } from '../../src/reconcile/autoscaling/ratios.ts';
import { ago, NOW, pod } from './workloads.ts';

type Shape = 'ready' | 'starting' | 'never ready' | 'once ready' | 'pending' | 'failed' | 'going';

/** Pods that have run for an hour, or begin; each with what it uses, or `undefined` where that is not known. */
function pods(...shapes: readonly (readonly [shape: Shape, uses?: number])[]) {
	const made = shapes.map(([shape], index) => {
		const name = `p${index}`;
		const started = shape === 'starting' ? 20 : 3_600;
		const readySince = shape === 'never ready' ? 3_600 - 10 : shape === 'starting' ? 5 : 60;
		const of = pod(name, {
			ready: shape === 'ready' || shape === 'starting' ? readySince : undefined,
			terminating: shape === 'going',
			phase: shape === 'pending' ? 'Pending' : shape === 'failed' ? 'Failed' : 'Running',
		});
		const condition = of.status?.conditions?.[0];
		if (condition) condition.lastTransitionTime = ago(readySince);
		return { ...of, status: { ...of.status, startTime: ago(started) } };
	});
	const values = new Map<string, PodValue>();
	for (const [index, [, uses]] of shapes.entries())
		if (uses !== undefined) values.set(`p${index}`, { milli: uses, at: NOW - 1_000, window: 10_000 });
	return { pods: made, values, now: NOW, ofCpu: true };
}

const many = (count: number, shape: Shape, uses?: number) =>
	Array.from({ length: count }, () => [shape, uses] as const);

test('utilization: the documented ratio, with pods that do not count and those that are guessed', (t) => {
	const cases: readonly [
		what: string,
		shapes: readonly (readonly [Shape, number?])[],
		replicas: number,
		target: number,
		wanted: number | string,
	][] = [
		['twice the target doubles', many(3, 'ready', 1_000), 3, 50, 6],
		['half the target halves', many(4, 'ready', 250), 4, 50, 2],
		['it is rounded up', many(3, 'ready', 600), 3, 50, 4],
		['within a tenth nothing changes', many(10, 'ready', 545), 10, 50, 10],
		['nor a tenth below', many(10, 'ready', 455), 10, 50, 10],
		[
			'a pod that starts counts as using nothing when more is needed',
			[...many(2, 'ready', 1_000), ['starting', 900]],
			3,
			50,
			4,
		],
		['and not at all when less is', [...many(2, 'ready', 100), ['starting', 900]], 3, 50, 1],
		['what starts cannot turn more into less', [['ready', 600], ...many(9, 'starting', 900)], 10, 50, 10],
		['a pod that was never ready does not count', [...many(2, 'ready', 1_000), ['never ready', 900]], 3, 50, 4],
		[
			'one that was ready and is not does',
			[
				['ready', 1_000],
				['once ready', 1_000],
			],
			2,
			50,
			4,
		],
		['a pending one counts as using nothing', [...many(3, 'ready', 1_000), ['pending', undefined]], 4, 50, 6],
		[
			'a pod that is not measured counts as using nothing when more is needed',
			[...many(3, 'ready', 1_000), ['ready', undefined]],
			4,
			50,
			6,
		],
		['and as using all that it requests when less is', [...many(3, 'ready', 100), ['ready', undefined]], 4, 50, 3],
		['or more where the target is more', [...many(3, 'ready', 100), ['ready', undefined]], 4, 130, 2],
		['it cannot turn less into more', [['ready', 400], ...many(9, 'ready', undefined)], 10, 50, 10],
		[
			'what failed or goes counts for nothing',
			[...many(2, 'ready', 1_000), ['failed', 1_000], ['going', 1_000]],
			2,
			50,
			4,
		],
		[
			'nothing measured',
			many(2, 'starting', 100),
			2,
			50,
			'did not receive metrics for targeted pods (pods might be unready)',
		],
		['no pods', [], 2, 50, 'no pods returned by selector while calculating replica count'],
	];
	for (const [what, shapes, replicas, target, wanted] of cases) {
		const set = pods(...shapes);
		const requests = new Map(set.pods.map(({ metadata }) => [metadata.name, 1_000]));
		const run = () => byUtilization({ ...set, replicas }, requests, target);
		if (typeof wanted === 'string') t.throws(run, { message: wanted }, what);
		else t.is(run().replicas, wanted, what);
	}
	const seen = pods(['ready', 300], ['ready', 501], ['starting', 5_000]);
	const requests = new Map([
		['p0', 1_000],
		['p1', 1_000],
		['p2', 1_000],
	]);
	t.like(
		byUtilization({ ...seen, replicas: 3 }, requests, 40),
		{ utilization: 40, usage: 400 },
		'what is shown is of those that count',
	);
});

test('averages: as utilization, of plain amounts; only of processors the start does not count', (t) => {
	const ofMemory = { ...pods(...many(2, 'starting', 2_000)), ofCpu: false };
	t.deepEqual(byAverage({ ...ofMemory, replicas: 2 }, 1_000), { replicas: 4, usage: 2_000 });
	const missing = pods(...many(3, 'ready', 500), ['ready', undefined]);
	t.is(
		byAverage({ ...missing, replicas: 4 }, 1_000).replicas,
		3,
		'what is missing is taken for the target when less is needed',
	);
	t.is(byAverage({ ...pods(...many(4, 'ready', 1_099)), replicas: 4 }, 1_000).replicas, 4);
});

test('one value: by its ratio to the target, or shared by the replicas', (t) => {
	const ready = pods(...many(3, 'ready'), ['once ready', undefined]).pods;
	t.is(byValue(4, 20_000, 10_000, ready), 6, 'of those that are ready');
	t.is(byValue(4, 10_900, 10_000, ready), 4);
	t.is(byValue(0, 25_000, 10_000, []), 3, 'from zero');
	t.throws(() => byValue(4, 20_000, 10_000, []), { message: /no pods returned by selector/ });
	t.deepEqual(byShare(2, 50_000, 10_000), { replicas: 5, usage: 25_000 });
	t.deepEqual(byShare(5, 52_000, 10_000), { replicas: 5, usage: 10_400 }, 'within a tenth');
	t.deepEqual(byShare(0, 50_000, 10_000), { replicas: 5, usage: 0 });
	t.deepEqual(byShare(0, 0, 10_000), { replicas: 0, usage: 0 });
});

test('each source of a metric has its proposal, its name in events and its place in the status', (t) => {
	const { pods: all, values } = pods(['ready', 800], ['ready', 1_200]);
	const container = (name: string, cpu?: string) => ({ name, ...(cpu && { resources: { requests: { cpu } } }) });
	const sidecar = { ...container('side', '100m'), restartPolicy: 'Always' };
	const withRequests = all.map((each) => ({
		...each,
		spec: { containers: [container('main', '400m')], initContainers: [sidecar, container('setup')] },
	}));
	const scaled = { spec: 2, status: 2, pods: withRequests, now: NOW };
	const resource = propose(
		{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 100 } } },
		{ pods: values },
		scaled,
	);
	t.deepEqual(
		resource,
		{
			replicas: 4,
			name: 'cpu resource utilization (percentage of request)',
			status: { type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 200, averageValue: '1' } } },
		},
		'sidecars request too, and what runs before the start does not',
	);
	const ofContainer = propose(
		{
			type: 'ContainerResource',
			containerResource: { name: 'cpu', container: 'main', target: { type: 'Utilization', averageUtilization: 100 } },
		},
		{ pods: values },
		scaled,
	);
	t.like(ofContainer, {
		replicas: 5,
		status: { containerResource: { container: 'main', current: { averageUtilization: 250 } } },
	});
	const metric = { name: 'hits', selector: { matchLabels: { verb: 'GET' } } };
	t.deepEqual(
		propose(
			{ type: 'Pods', pods: { metric, target: { type: 'AverageValue', averageValue: '500m' } } },
			{ pods: values },
			scaled,
		),
		{
			replicas: 4,
			name: 'pods metric hits',
			status: { type: 'Pods', pods: { metric, current: { averageValue: '1' } } },
		},
	);
	const describedObject = { kind: 'Service', name: 'web', apiVersion: 'v1' };
	t.like(
		propose(
			{ type: 'Object', object: { metric, describedObject, target: { type: 'Value', value: '10' } } },
			{ value: 30_000 },
			scaled,
		),
		{
			replicas: 6,
			name: 'Service metric hits',
			status: { object: { current: { value: '30' } } },
		},
	);
	t.like(
		propose(
			{ type: 'External', external: { metric, target: { type: 'AverageValue', averageValue: '10' } } },
			{ value: 45_000 },
			scaled,
		),
		{
			replicas: 5,
			name: 'external metric hits(&LabelSelector{MatchLabels:map[string]string{verb: GET,},MatchExpressions:[]LabelSelectorRequirement{},})',
			status: { external: { current: { averageValue: '22500m' } } },
		},
	);
	t.is(selectorText(undefined), 'nil');
	const lacking = { ...scaled, pods: all.map((each) => ({ ...each, spec: { containers: [container('main')] } })) };
	t.throws(
		() =>
			propose(
				{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } },
				{ pods: values },
				lacking,
			),
		{
			message: 'missing request for cpu in container main of Pod p0',
		},
	);
});

const wants = (replicas: number, name = 'cpu resource'): Considered => ({
	proposal: { replicas, name, status: { type: 'Resource', resource: { name: 'cpu', current: {} } } },
});
const fails: Considered = {
	reason: 'FailedGetPodsMetric',
	message: 'it is down',
	detail: 'failed to get pods metric value: it is down',
};

test('several metrics: the highest counts, and one that is not known keeps from having less', (t) => {
	const decide = (current: number, metrics: readonly Considered[], spec = {}) =>
		desiredReplicas({
			spec: { minReplicas: 1, maxReplicas: 10, ...spec },
			current,
			metrics,
			history: firstHistory(1, 0),
			now: 1_000_000,
		});
	const reasons = (decision: ReturnType<typeof decide>) =>
		decision.conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`);

	const two = decide(2, [wants(3), wants(4, 'pods metric hits')]);
	t.like(two, { replicas: 4, reason: 'pods metric hits above target', undecided: false, fault: undefined });
	t.deepEqual(reasons(two), [
		'ScalingActive True ValidMetricFound',
		'AbleToScale True ReadyForNewScale',
		'ScalingLimited False DesiredWithinRange',
	]);
	t.regex(two.conditions[0]?.message ?? '', /calculate a replica count from pods metric hits$/);

	const more = decide(2, [fails, wants(3)]);
	t.like(more, { replicas: 3, undecided: false });
	t.is(more.fault, 'invalid metrics (1 invalid out of 2), first error is: failed to get pods metric value: it is down');
	t.deepEqual(more.seen[0], { type: '' }, 'each metric has its place');
	const less = decide(4, [wants(3), fails]);
	t.like(less, { replicas: 4, undecided: true });
	t.deepEqual(reasons(less), ['ScalingActive False FailedGetPodsMetric']);
	t.like(decide(4, [fails, fails]), { replicas: 4, undecided: true });
	t.like(decide(4, [wants(2)]), { replicas: 2, reason: 'All metrics below target' });

	t.deepEqual(reasons(decide(0, [])), ['ScalingActive False ScalingDisabled']);
	t.like(decide(12, []), { replicas: 10, reason: 'Current number of replicas above Spec.MaxReplicas' });
	t.like(decide(1, [], { minReplicas: 3 }), {
		replicas: 3,
		reason: 'Current number of replicas below Spec.MinReplicas',
	});
	t.deepEqual(
		[0, 1, 10, 11].map((current) => needsMetrics({ maxReplicas: 10 }, current)),
		[false, true, true, false],
	);
});

const MINUTE = 60_000;
const at = 10 * MINUTE;
const nothing: History = { recommendations: [], ups: [], downs: [] };
const recommended = (...all: readonly (readonly [secondsAgo: number, replicas: number])[]): History => ({
	...nothing,
	recommendations: all.map(([seconds, replicas]) => ({ at: at - seconds * 1_000, replicas })),
});

interface Case {
	readonly what: string;
	readonly current: number;
	readonly wanted: number;
	readonly up?: HPAScalingRules;
	readonly down?: HPAScalingRules;
	readonly history?: History;
	readonly min?: number;
	readonly max?: number;
	readonly replicas: number;
	readonly because: string;
}

const rules = (policies: HPAScalingRules['policies'], more: HPAScalingRules = {}): HPAScalingRules => ({
	stabilizationWindowSeconds: 0,
	policies,
	...more,
});
const podsPer = (value: number, periodSeconds: number) => ({ type: 'Pods', value, periodSeconds });
const percentPer = (value: number, periodSeconds: number) => ({ type: 'Percent', value, periodSeconds });

test('how fast it goes: stabilization, policies and limits', (t) => {
	const cases: readonly Case[] = [
		{ what: 'without a behavior at most double', current: 5, wanted: 30, replicas: 10, because: 'ScaleUpLimit' },
		{ what: 'or four', current: 1, wanted: 30, replicas: 4, because: 'ScaleUpLimit' },
		{ what: 'and not more than the most', current: 5, wanted: 30, max: 8, replicas: 8, because: 'TooManyReplicas' },
		{ what: 'not fewer than the least', current: 5, wanted: 1, min: 3, replicas: 3, because: 'TooFewReplicas' },
		{
			what: 'five minutes without a wish for more, then less',
			current: 5,
			wanted: 2,
			history: recommended([301, 9]),
			replicas: 2,
			because: 'DesiredWithinRange',
		},
		{
			what: 'the highest wish of them counts',
			current: 5,
			wanted: 2,
			history: recommended([299, 4], [100, 3]),
			replicas: 4,
			because: 'ScaleDownStabilized',
		},
		{
			what: 'a window of its own',
			current: 5,
			wanted: 2,
			up: {},
			down: rules([percentPer(100, 15)], { stabilizationWindowSeconds: 60 }),
			history: recommended([61, 5], [59, 3]),
			replicas: 3,
			because: 'ScaleDownStabilized',
		},
		{
			what: 'upwards the lowest wish counts',
			current: 5,
			wanted: 9,
			up: rules([percentPer(100, 15)], { stabilizationWindowSeconds: 60 }),
			history: recommended([61, 5], [30, 7]),
			replicas: 7,
			because: 'ScaleUpStabilized',
		},
		{
			what: 'so many pods a period',
			current: 5,
			wanted: 20,
			up: rules([podsPer(3, 60)]),
			replicas: 8,
			because: 'ScaleUpLimit',
		},
		{
			what: 'less those that the period has had',
			current: 7,
			wanted: 20,
			up: rules([podsPer(3, 60)]),
			history: { ...nothing, ups: [{ at: at - 30_000, by: 2 }] },
			replicas: 8,
			because: 'ScaleUpLimit',
		},
		{
			what: 'what is longer ago does not count',
			current: 7,
			wanted: 20,
			up: rules([podsPer(3, 60)]),
			history: { ...nothing, ups: [{ at: at - 61_000, by: 2 }] },
			replicas: 10,
			because: 'ScaleUpLimit',
		},
		{
			what: 'and what went meanwhile may come back',
			current: 7,
			wanted: 20,
			up: rules([podsPer(3, 60)]),
			history: { ...nothing, downs: [{ at: at - 5_000, by: 2 }] },
			replicas: 12,
			because: 'ScaleUpLimit',
		},
		{
			what: 'a share, rounded up',
			current: 5,
			wanted: 20,
			up: rules([percentPer(10, 60)]),
			replicas: 6,
			because: 'ScaleUpLimit',
		},
		{
			what: 'of ten a tenth is one',
			current: 10,
			wanted: 20,
			up: rules([percentPer(10, 60)]),
			replicas: 11,
			because: 'ScaleUpLimit',
		},
		{
			what: 'the policy that lets it go furthest',
			current: 5,
			wanted: 20,
			up: rules([podsPer(3, 60), percentPer(100, 60)]),
			replicas: 10,
			because: 'ScaleUpLimit',
		},
		{
			what: 'or least',
			current: 5,
			wanted: 20,
			up: rules([podsPer(3, 60), percentPer(100, 60)], { selectPolicy: 'Min' }),
			replicas: 8,
			because: 'ScaleUpLimit',
		},
		{
			what: 'or not at all',
			current: 5,
			wanted: 20,
			up: rules([podsPer(3, 60)], { selectPolicy: 'Disabled' }),
			replicas: 5,
			because: 'ScaleUpLimit',
		},
		{
			what: 'what has gone too far already stays',
			current: 9,
			wanted: 20,
			up: rules([podsPer(3, 60)]),
			history: { ...nothing, ups: [{ at: at - 5_000, by: 5 }] },
			replicas: 9,
			because: 'ScaleUpLimit',
		},
		{
			what: 'downwards so many pods',
			current: 9,
			wanted: 2,
			down: rules([podsPer(3, 60)]),
			replicas: 6,
			because: 'ScaleDownLimit',
		},
		{
			what: 'downwards a share, rounded down',
			current: 9,
			wanted: 2,
			down: rules([percentPer(50, 60)]),
			replicas: 4,
			because: 'ScaleDownLimit',
		},
		{
			what: 'downwards the furthest',
			current: 9,
			wanted: 1,
			down: rules([podsPer(3, 60), percentPer(50, 60)]),
			replicas: 4,
			because: 'ScaleDownLimit',
		},
		{
			what: 'downwards the least',
			current: 9,
			wanted: 1,
			down: rules([podsPer(3, 60), percentPer(50, 60)], { selectPolicy: 'Min' }),
			replicas: 6,
			because: 'ScaleDownLimit',
		},
		{
			what: 'downwards not at all',
			current: 9,
			wanted: 1,
			down: rules([podsPer(3, 60)], { selectPolicy: 'Disabled' }),
			replicas: 9,
			because: 'ScaleDownLimit',
		},
		{
			what: 'and not below the least',
			current: 3,
			wanted: 1,
			min: 2,
			down: rules([podsPer(3, 60)]),
			replicas: 2,
			because: 'TooFewReplicas',
		},
	];
	for (const { what, current, wanted, up, down, history = nothing, min = 1, max = 100, replicas, because } of cases) {
		const behavior: HorizontalPodAutoscalerBehavior | undefined =
			up || down
				? {
						scaleUp: { ...rules([podsPer(4, 15), percentPer(100, 15)]), ...up },
						scaleDown: {
							policies: [percentPer(100, 15)],
							...(up && !down ? { stabilizationWindowSeconds: 0 } : {}),
							...down,
						},
					}
				: undefined;
		const allowed = allow({ current, wanted, min, max, behavior, history, now: at });
		t.is(allowed.replicas, replicas, what);
		t.is(
			allowed.limit.limited ? allowed.limit.reason : (allowed.stabilized?.reason ?? allowed.limit.reason),
			because,
			what,
		);
	}
});

test('what is remembered is as much as somebody looks back to', (t) => {
	const behavior = { scaleUp: rules([podsPer(1, 60)]), scaleDown: rules([podsPer(1, 30)]) };
	let history: History = nothing;
	for (let minute = 0; minute < 10; minute += 0.25) {
		const now = minute * MINUTE;
		history = allow({ current: 5, wanted: 5, min: 1, max: 9, behavior, history, now }).history;
		history = changed(history, behavior, { from: 5, to: minute % 1 === 0 ? 6 : 4 }, now);
	}
	t.true(history.recommendations.length <= 2 && history.ups.length <= 2 && history.downs.length <= 4);
	t.deepEqual(changed(nothing, behavior, { from: 2, to: 5 }, 7).ups, [{ at: 7, by: 3 }]);
	t.deepEqual(changed(nothing, behavior, { from: 5, to: 2 }, 7).downs, [{ at: 7, by: 3 }]);
	t.is(changed(nothing, undefined, { from: 5, to: 2 }, 7), nothing, 'without policies nobody looks back');
});
