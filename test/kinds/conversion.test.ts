import test from 'ava';
import {
	type Dynamic,
	Event,
	EventsEvent,
	HorizontalPodAutoscaler,
	HorizontalPodAutoscalerV1,
	type Kind,
	type KubeObject,
	validateObject,
} from '../../src/kinds/index.ts';
import fc from '../testbed/fast-check.ts';
import { registry } from './manifests.ts';

/** What a kind is stored as, and back. */
function conversionOf(kind: unknown) {
	const { storedAs } = kind as Kind;
	if (!storedAs) throw new Error('the kind is stored as it is');
	return storedAs;
}

const events = conversionOf(EventsEvent);
const v1 = conversionOf(HorizontalPodAutoscalerV1);
const word = fc.stringMatching(/^[a-z]{1,8}$/);
const time = fc.constantFrom('2026-01-01T00:00:00Z', '2026-02-03T04:05:06Z');
const metadata = (annotations: fc.Arbitrary<Record<string, string>> = fc.constant({})) =>
	fc
		.record({ name: word, namespace: word, uid: fc.uuid(), labels: fc.dictionary(word, word), annotations })
		.map(({ annotations, ...rest }) => (Object.keys(annotations).length > 0 ? { ...rest, annotations } : rest));
const defined = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const reference = fc.record({ kind: word, namespace: word, name: word, uid: fc.uuid(), fieldPath: word });
const coreEvent = fc.record(
	{
		metadata: metadata(),
		involvedObject: reference,
		reason: word,
		message: fc.string(),
		source: fc.record({ component: word, host: word }, { requiredKeys: [] }),
		firstTimestamp: time,
		lastTimestamp: time,
		count: fc.nat(),
		type: fc.constantFrom('Normal', 'Warning'),
		eventTime: time,
		series: fc.record({ count: fc.nat(), lastObservedTime: time }),
		action: word,
		related: reference,
		reportingComponent: word,
		reportingInstance: word,
	},
	{ requiredKeys: ['metadata', 'involvedObject'] },
);

test('an event of the core group is the same after it was one of events.k8s.io', (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(coreEvent, (event) => {
				const stored = { apiVersion: 'v1', kind: 'Event', ...event } as unknown as KubeObject;
				const there = events.fromStored(stored) as Dynamic;
				t.is(there.message, undefined);
				t.is(there.note, event.message);
				t.deepEqual(there.regarding, event.involvedObject);
				t.deepEqual(events.toStored(there), stored);
			}),
		),
	);
});

const amount = fc.constantFrom('1', '250m', '100Mi', '3k');
const selector = fc.option(fc.record({ matchLabels: fc.dictionary(word, word) }), { nil: undefined });
const percentOrValue = fc.oneof(
	fc.record({ type: fc.constant('Utilization'), averageUtilization: fc.integer({ min: 1, max: 100 }) }),
	fc.record({ type: fc.constant('AverageValue'), averageValue: amount }),
);
const average = fc.record({ type: fc.constant('AverageValue'), averageValue: amount });
const value = fc.record({ type: fc.constant('Value'), value: amount });
const identifier = fc.record({ name: word, selector });
const metric = fc.oneof(
	fc.record({
		type: fc.constant('Resource'),
		resource: fc.record({ name: fc.constantFrom('cpu', 'memory'), target: percentOrValue }),
	}),
	fc.record({
		type: fc.constant('ContainerResource'),
		containerResource: fc.record({ name: word, container: word, target: percentOrValue }),
	}),
	fc.record({ type: fc.constant('Pods'), pods: fc.record({ metric: identifier, target: average }) }),
	fc.record({
		type: fc.constant('Object'),
		object: fc.record({
			describedObject: fc.record({ apiVersion: fc.constant('v1'), kind: word, name: word }),
			metric: identifier,
			target: fc.oneof(value, average),
		}),
	}),
	fc.record({
		type: fc.constant('External'),
		external: fc.record({ metric: identifier, target: fc.oneof(value, average) }),
	}),
);
const policy = fc.record({
	type: fc.constantFrom('Pods', 'Percent'),
	value: fc.integer({ min: 1, max: 100 }),
	periodSeconds: fc.integer({ min: 1, max: 1800 }),
});
const rules = fc.record(
	{
		stabilizationWindowSeconds: fc.integer({ min: 0, max: 3600 }),
		selectPolicy: fc.constantFrom('Max', 'Min', 'Disabled'),
		policies: fc.array(policy, { minLength: 1, maxLength: 3 }),
	},
	{ requiredKeys: ['policies'] },
);
const spec = fc.record(
	{
		scaleTargetRef: fc.record({ apiVersion: fc.constant('apps/v1'), kind: fc.constant('Deployment'), name: word }),
		minReplicas: fc.integer({ min: 1, max: 5 }),
		maxReplicas: fc.integer({ min: 5, max: 20 }),
		metrics: fc.array(metric, { minLength: 1, maxLength: 5 }),
		behavior: fc.record({ scaleUp: rules, scaleDown: rules }, { requiredKeys: [] }),
	},
	{ requiredKeys: ['scaleTargetRef', 'maxReplicas', 'metrics'] },
);
const condition = fc.record({
	type: fc.constantFrom('AbleToScale', 'ScalingActive'),
	status: fc.constantFrom('True', 'False'),
	lastTransitionTime: time,
	reason: word,
	message: fc.string(),
});
const status = fc.record({
	currentReplicas: fc.nat(),
	desiredReplicas: fc.nat(),
	observedGeneration: fc.nat(),
	conditions: fc.array(condition, { minLength: 1, maxLength: 2 }),
	currentMetrics: fc.array(
		fc.record({
			type: fc.constant('Resource'),
			resource: fc.record({
				name: fc.constantFrom('cpu', 'memory'),
				current: fc.record({ averageUtilization: fc.nat(), averageValue: amount }),
			}),
		}),
		{ minLength: 1, maxLength: 3 },
	),
});
const v2Object = fc
	.record({ metadata: metadata(fc.dictionary(word, word)), spec, status })
	.map((object) => defined({ apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', ...object }));

type Metrics = { readonly spec: { metrics: readonly unknown[] } };
/** JSON whatever the order of members. */
const stable = (value: unknown): string =>
	JSON.stringify(value, (_, member: unknown) =>
		typeof member === 'object' && member !== null && !Array.isArray(member)
			? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)))
			: member,
	);
const sorted = (object: unknown) => {
	const copy = structuredClone(object) as Metrics;
	copy.spec.metrics = copy.spec.metrics.map((each) => stable(each)).toSorted();
	return copy;
};

test('an autoscaler of autoscaling/v2 is the same after it was one of v1, but for the order of its metrics', (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(v2Object, (object) => {
				const stored = object as unknown as HorizontalPodAutoscaler;
				const there = v1.fromStored(stored) as Dynamic & HorizontalPodAutoscalerV1;
				const back = { ...v1.toStored(there), apiVersion: 'autoscaling/v2' };
				t.deepEqual(sorted(defined(back)), sorted(object));
			}),
		),
	);
});

test('an autoscaler of v1 has the cpu in a field, and all else in the annotations that Kubernetes has for it', (t) => {
	const stored = {
		apiVersion: 'autoscaling/v2',
		kind: 'HorizontalPodAutoscaler',
		metadata: { name: 'web', namespace: 'shop' },
		spec: {
			scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
			maxReplicas: 9,
			metrics: [
				{ type: 'Resource', resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '100Mi' } } },
				{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 60 } } },
			],
			behavior: { scaleDown: { policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] } },
		},
	};
	t.deepEqual(defined(v1.fromStored(stored as unknown as KubeObject)) as unknown, {
		apiVersion: 'autoscaling/v2',
		kind: 'HorizontalPodAutoscaler',
		metadata: {
			name: 'web',
			namespace: 'shop',
			annotations: {
				'autoscaling.alpha.kubernetes.io/metrics':
					'[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"100Mi"}}]',
				'autoscaling.alpha.kubernetes.io/behavior':
					'{"ScaleDown":{"Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":60}]}}',
			},
		},
		spec: {
			scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
			maxReplicas: 9,
			targetCPUUtilizationPercentage: 60,
		},
	});
});

test('annotations of an autoscaler that are no data, or nested without end, say nothing', (t) => {
	const with_ = (metrics: string) =>
		v1.toStored({
			apiVersion: 'autoscaling/v1',
			kind: 'HorizontalPodAutoscaler',
			metadata: { name: 'web', annotations: { 'autoscaling.alpha.kubernetes.io/metrics': metrics } },
			spec: { maxReplicas: 1 },
		} as unknown as KubeObject) as Dynamic;
	for (const text of ['', '{', 'null', '7', '{}', '[[]]', `${'['.repeat(100_000)}${']'.repeat(100_000)}`])
		t.deepEqual(with_(text).spec, { maxReplicas: 1 }, text.slice(0, 20));
});

test('an autoscaler is checked in the words of Kubernetes', (t) => {
	const wrong = (spec: object) => {
		const object = {
			apiVersion: 'autoscaling/v2',
			kind: 'HorizontalPodAutoscaler',
			metadata: { name: 'a', namespace: 'b' },
			spec,
		};
		return validateObject(
			HorizontalPodAutoscaler,
			object as unknown as HorizontalPodAutoscaler,
			undefined,
			registry.schemas,
		).map(({ field, detail }) => `${field}: ${detail}`);
	};
	const scaleTargetRef = { kind: 'Deployment', name: 'web' };
	t.deepEqual(wrong({ scaleTargetRef, maxReplicas: 0 }), [
		'spec.maxReplicas: Invalid value: 0: must be greater than 0',
	]);
	t.deepEqual(wrong({ scaleTargetRef, minReplicas: 5, maxReplicas: 3 }), [
		'spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`',
	]);
	t.deepEqual(wrong({ scaleTargetRef: { kind: 'Deployment', name: 'a/b' }, maxReplicas: 3 }), [
		'spec.scaleTargetRef.name: Invalid value: "a/b": may not contain \'/\'',
	]);
	t.deepEqual(
		wrong({
			scaleTargetRef,
			maxReplicas: 3,
			metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'AverageValue', averageValue: '0' } } }],
		}),
		['spec.metrics[0].resource.target.averageValue: Invalid value: "0": must be positive'],
	);
	t.deepEqual(wrong({ scaleTargetRef, maxReplicas: 3, behavior: { scaleUp: { policies: [] } } }), [
		'spec.behavior.scaleUp.policies: Required value: must specify at least one Policy',
	]);
});

test('an event of events.k8s.io must say who reports what, and stays as it is but for its series', (t) => {
	const event = {
		apiVersion: 'events.k8s.io/v1',
		kind: 'Event',
		metadata: { name: 'a', namespace: 'b' },
		eventTime: '2026-01-01T00:00:00.000000Z',
		type: 'Normal',
		reason: 'Started',
		action: 'Start',
		reportingController: 'example.com/agent',
		reportingInstance: 'agent-1',
		regarding: { kind: 'Pod', namespace: 'b', name: 'p' },
	} as unknown as EventsEvent;
	const fields = (object: EventsEvent, old?: EventsEvent) =>
		validateObject(EventsEvent, object, old, registry.schemas).map(({ field }) => field);
	t.deepEqual(fields(event), []);
	t.deepEqual(fields({ ...event, action: '', reportingController: undefined, type: 'Odd' }), [
		'type',
		'reportingController',
		'action',
	]);
	t.deepEqual(fields({ ...event, note: 'another' }, event), ['note']);
	t.deepEqual(fields({ ...event, series: { count: 2, lastObservedTime: event.eventTime } }, event), []);
	t.deepEqual(
		Event.columns.map(({ name }) => name),
		EventsEvent.columns.map(({ name }) => name),
	);
});
