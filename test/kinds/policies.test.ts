/** Quotas, limits, priorities, disruption budgets and runtime classes: what is filled in, refused, printed and healthy. */
import test from 'ava';
import type { Dynamic, HealthStatus } from '../../src/kinds/index.ts';
import { admit, at, cells, changed, kindOf, manifests } from './manifests.ts';

const of = (kind: string): Dynamic => {
	const found = manifests().find((each) => each.kind === kind);
	if (!found) throw new Error(`no ${kind}`);
	return found;
};
const quota = (spec: object) => ({ ...of('ResourceQuota'), spec }) as Dynamic;
const limits = (...items: object[]) => ({ ...of('LimitRange'), spec: { limits: items } }) as Dynamic;
const priority = (more: object) => changed(of('PriorityClass'), more);
const budget = (spec: object) => ({ ...of('PodDisruptionBudget'), spec }) as Dynamic;
const runtime = (more: object) => changed(of('RuntimeClass'), more);

const selector = { matchLabels: { app: 'guestbook' } };
const scope = (scopeName: string, operator: string, values?: string[]) => ({
	scopeSelector: { matchExpressions: [{ scopeName, operator, ...(values && { values }) }] },
});

/** What is refused, and every line of the answer. */
const refused: [string, Dynamic, string[], Dynamic?][] = [
	[
		'a quota of what nobody knows',
		quota({ hard: { widgets: '1' } }),
		[
			'spec.hard[widgets]: Invalid value: "widgets": must be a standard resource type or fully qualified',
			'spec.hard[widgets]: Invalid value: "widgets": must be a standard resource for quota',
		],
	],
	[
		'a quota of storage as such',
		quota({ hard: { storage: '1Gi' } }),
		['spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota'],
	],
	[
		'less than nothing',
		quota({ hard: { cpu: '-1' } }),
		['spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0'],
	],
	[
		'half a pod, and half a device',
		quota({ hard: { pods: '500m', 'example.com/gpu': '1500m' } }),
		[
			'spec.hard[pods]: Invalid value: "500m": must be an integer',
			'spec.hard[example.com/gpu]: Invalid value: "1500m": must be an integer',
		],
	],
	[
		'a scope that is none',
		quota({ hard: { pods: '1' }, scopes: ['Sometimes'] }),
		['spec.scopes: Invalid value: ["Sometimes"]: unsupported scope'],
	],
	[
		'the cpu of pods that ask for nothing',
		quota({ hard: { cpu: '1' }, scopes: ['BestEffort'] }),
		['spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource'],
	],
	[
		'objects that have no scope',
		quota({ hard: { configmaps: '1' }, scopes: ['Terminating'] }),
		['spec.scopes: Invalid value: ["Terminating"]: unsupported scope applied to resource'],
	],
	[
		'scopes that exclude each other',
		quota({ hard: { pods: '1' }, scopes: ['Terminating', 'NotTerminating'] }),
		['spec.scopes: Invalid value: ["Terminating","NotTerminating"]: conflicting scopes'],
	],
	[
		'a selector without values',
		quota({ hard: { pods: '1' }, ...scope('PriorityClass', 'In') }),
		[
			"spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
		],
	],
	[
		'a selector with values too many',
		quota({ hard: { pods: '1' }, ...scope('PriorityClass', 'Exists', ['a']) }),
		[
			"spec.scopeSelector.matchExpressions.values: Invalid value: [\"a\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
		],
	],
	[
		'other scopes than at first',
		quota({ hard: { pods: '1' }, scopes: ['BestEffort'] }),
		['spec.scopes: Invalid value: ["BestEffort"]: field is immutable'],
		quota({ hard: { pods: '1' } }),
	],
	[
		'limits of an unknown type',
		limits({ type: 'Volume' }),
		['spec.limits[0].type: Invalid value: "Volume": must be a standard limit type or fully qualified'],
	],
	['a type twice', limits({ type: 'Pod' }, { type: 'Pod' }), ['spec.limits[1].type: Duplicate value: "Pod"']],
	[
		'defaults of pods',
		limits({ type: 'Pod', default: { cpu: '1' } }),
		["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
	],
	[
		'claims without storage',
		limits({ type: 'PersistentVolumeClaim' }),
		[
			'spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided',
		],
	],
	[
		'storage of a container',
		limits({ type: 'Container', max: { storage: '1Gi' } }),
		['max', 'default', 'defaultRequest'].map(
			(list) => `spec.limits[0].${list}[storage]: Invalid value: "storage": must be a standard resource for containers`,
		),
	],
	[
		'a least that is more than the most',
		limits({ type: 'Pod', min: { cpu: '2' }, max: { cpu: '1' } }),
		['spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'],
	],
	[
		'a default above the most, and a request above the default',
		limits({ type: 'Container', max: { cpu: '1' }, default: { cpu: '2' }, defaultRequest: { cpu: '3' } }),
		[
			'spec.limits[0].defaultRequest[cpu]: Invalid value: "3": default request value 3 is greater than max value 1',
			'spec.limits[0].defaultRequest[cpu]: Invalid value: "3": default request value 3 is greater than default limit value 2',
			'spec.limits[0].default[cpu]: Invalid value: "1": default value 2 is greater than max value 1',
		],
	],
	[
		'a ratio below one, and one that cannot be reached',
		limits(
			{ type: 'Pod', maxLimitRequestRatio: { cpu: '500m' } },
			{ type: 'Container', min: { cpu: '1' }, max: { cpu: '2' }, maxLimitRequestRatio: { cpu: '3' } },
		),
		[
			'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1',
			'spec.limits[1].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000',
		],
	],
	[
		'a class more urgent than a user may have',
		priority({ value: 1_000_000_001 }),
		['value: Forbidden: maximum allowed value of a user defined priority is 1000000000'],
	],
	[
		"a class with the system's prefix",
		priority({ metadata: { name: 'system-mine' } }),
		[
			"metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
		],
	],
	[
		'a class of the system with another value',
		priority({ metadata: { name: 'system-node-critical' }, value: 7 }),
		[
			"metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: value of system-node-critical PriorityClass must be 2000001000",
		],
	],
	[
		'another value and policy than at first',
		priority({ value: 7, preemptionPolicy: 'Never' }),
		[
			'value: Forbidden: may not be changed in an update.',
			'preemptionPolicy: Invalid value: "Never": field is immutable',
		],
		admit(of('PriorityClass')).object,
	],
	[
		'a policy that is none',
		priority({ preemptionPolicy: 'Always' }),
		['preemptionPolicy: Unsupported value: "Always": supported values: "Never", "PreemptLowerPriority"'],
	],
	[
		'a budget with both sides',
		budget({ minAvailable: 1, maxUnavailable: 1, selector }),
		[
			`spec: Invalid value: ${JSON.stringify({ minAvailable: 1, maxUnavailable: 1, selector })}: minAvailable and maxUnavailable cannot be both set`,
		],
	],
	[
		'a budget of more than all',
		budget({ minAvailable: '101%', selector }),
		['spec.minAvailable: Invalid value: "101%": must not be greater than 100%'],
	],
	[
		'a budget of less than none',
		budget({ maxUnavailable: -1, selector }),
		['spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0'],
	],
	[
		'a budget with a policy that is none',
		budget({ maxUnavailable: 1, selector, unhealthyPodEvictionPolicy: 'Never' }),
		['spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"'],
	],
	[
		'a configuration that would not count',
		changed(of('SchedulerConfig'), { metadata: { name: 'mine' } }),
		['metadata.name: Unsupported value: "mine": supported values: "default"'],
	],
	[
		'a strategy that is none, and a name twice',
		{
			...of('SchedulerConfig'),
			spec: { profiles: [{ schedulerName: 'a', strategy: 'random' }, { schedulerName: 'a' }] },
		} as Dynamic,
		[
			'spec.profiles[0].strategy: Unsupported value: "random": supported values: "least-allocated", "most-allocated", "round-robin"',
			'spec.profiles[1].schedulerName: Duplicate value: "a"',
		],
	],
	[
		'a runtime class with another handler than at first',
		runtime({ handler: 'kata' }),
		['handler: Invalid value: "kata": field is immutable'],
		of('RuntimeClass'),
	],
	[
		'a runtime that needs less than nothing',
		runtime({ overhead: { podFixed: { cpu: '-1', memory: '1Mi' } } }),
		['overhead.podFixed.cpu: Invalid value: "-1": must be greater than or equal to 0'],
	],
];
for (const [what, object, lines, old] of refused)
	test(`${object.kind}, refused: ${what}`, (t) => {
		t.deepEqual(admit(object, old && admit(old).object).errors, lines);
	});

test('a limit is what is given where nothing else is said, and what is given is asked for', (t) => {
	t.deepEqual(at(admit(of('LimitRange')).object, 'spec.limits.0'), {
		type: 'Container',
		max: { cpu: '2', memory: '1Gi' },
		min: { cpu: '10m' },
		default: { cpu: '500m', memory: '1Gi' },
		defaultRequest: { cpu: '500m', memory: '64Mi' },
		maxLimitRequestRatio: { cpu: '50' },
	});
	t.is(at(admit(limits({ type: 'Pod', max: { cpu: '1' } })).object, 'spec.limits.0.default'), undefined);
});

test('a class of priority preempts where it does not say', (t) => {
	t.is(admit(of('PriorityClass')).object.preemptionPolicy, 'PreemptLowerPriority');
});

test('a toleration of a runtime class is of a value where it does not say', (t) => {
	t.is(at(admit(of('RuntimeClass')).object, 'scheduling.tolerations.0.operator'), 'Equal');
});

test('a quota shows what is used of what, the limits apart', (t) => {
	const status = {
		hard: { pods: '4', 'requests.cpu': '2', 'limits.cpu': '3' },
		used: { pods: '1', 'requests.cpu': '500m', 'limits.cpu': '1' },
	};
	t.like(cells({ ...of('ResourceQuota'), status } as Dynamic), {
		Request: 'pods: 1/4, requests.cpu: 500m/2',
		Limit: 'limits.cpu: 1/3',
	});
	t.like(cells(of('ResourceQuota')), { Request: '', Limit: '' });
});

test('a budget shows its two sides, and what it allows', (t) => {
	t.like(cells(of('PodDisruptionBudget')), {
		'Min Available': '50%',
		'Max Unavailable': 'N/A',
		'Allowed Disruptions': 0,
	});
	const status = { disruptionsAllowed: 2 };
	t.like(cells({ ...budget({ maxUnavailable: 0 }), status } as Dynamic), {
		'Min Available': 'N/A',
		'Max Unavailable': '0',
		'Allowed Disruptions': 2,
	});
});

test('classes show their value and their handler', (t) => {
	t.like(cells(of('PriorityClass')), { Value: 1000, 'Global-Default': false });
	t.like(cells(of('RuntimeClass')), { Handler: 'runsc' });
	t.like(cells(of('SchedulerConfig')), { Profiles: 'packing=most-allocated' });
});

const healths: [string, object | undefined, HealthStatus][] = [
	['that nobody has looked at', undefined, 'Progressing'],
	['that allows a disruption', { status: 'True', reason: 'SufficientPods' }, 'Healthy'],
	['that allows none, which may be meant', { status: 'False', reason: 'InsufficientPods' }, 'Healthy'],
	['that could not be computed', { status: 'False', reason: 'SyncFailed' }, 'Degraded'],
];
for (const [what, condition, health] of healths)
	test(`a budget ${what} is ${health}`, (t) => {
		const conditions = condition ? [{ type: 'DisruptionAllowed', ...condition }] : [];
		const object = { ...of('PodDisruptionBudget'), status: { conditions } } as Dynamic;
		t.is(kindOf(object).health(object)?.status, health);
	});
