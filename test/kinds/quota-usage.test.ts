import test from 'ava';
import {
	addQuantities,
	type KubeObject,
	type Pod,
	quotaChange,
	quotaUsage,
	type ResourceQuota,
	subtractQuantities,
	unsaid,
	usageIn,
} from '../../src/kinds/index.ts';

const pods = { group: '', plural: 'pods' };
const pod = (spec: object, more: object = {}) =>
	({
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'p', namespace: 'n' },
		spec: { containers: [], ...spec },
		...more,
	}) as unknown as Pod;
const asks = (requests: object, limits: object = {}) => ({ name: 'c', resources: { requests, limits } });
const quota = (hard: Record<string, string>, spec: object = {}, used: Record<string, string> = {}) =>
	({
		apiVersion: 'v1',
		kind: 'ResourceQuota',
		metadata: { name: 'q', namespace: 'n' },
		spec: { hard, ...spec },
		status: { hard, used },
	}) as ResourceQuota;

const usages: [string, { group: string; plural: string }, object, Record<string, string>][] = [
	[
		'a pod by what its containers ask for, under both names',
		pods,
		pod({ containers: [asks({ cpu: '250m', memory: '64Mi' }, { cpu: '1' }), asks({ cpu: '250m' })] }),
		{
			'count/pods': '1',
			pods: '1',
			cpu: '500m',
			'requests.cpu': '500m',
			memory: '64Mi',
			'requests.memory': '64Mi',
			'limits.cpu': '1',
		},
	],
	[
		'the larger of what runs at first and what runs then, beside sidecars, and the overhead',
		pods,
		pod({
			initContainers: [{ ...asks({ cpu: '1' }), restartPolicy: 'Always' }, asks({ cpu: '3' }, { memory: '1Gi' })],
			containers: [asks({ cpu: '2' })],
			overhead: { cpu: '100m', memory: '10Mi' },
		}),
		{
			'count/pods': '1',
			pods: '1',
			cpu: '4100m',
			'requests.cpu': '4100m',
			memory: '10Mi',
			'requests.memory': '10Mi',
			'limits.memory': '1034Mi',
		},
	],
	[
		'what a pod says of itself as a whole',
		pods,
		pod({ resources: { requests: { cpu: '3' } }, containers: [asks({ cpu: '1', memory: '1Mi' })] }),
		{ 'count/pods': '1', pods: '1', cpu: '3', 'requests.cpu': '3', memory: '1Mi', 'requests.memory': '1Mi' },
	],
	[
		'devices and huge pages by their requests',
		pods,
		pod({ containers: [asks({ 'example.com/gpu': '2', 'hugepages-2Mi': '4Mi' })] }),
		{
			'count/pods': '1',
			pods: '1',
			'requests.example.com/gpu': '2',
			'hugepages-2Mi': '4Mi',
			'requests.hugepages-2Mi': '4Mi',
		},
	],
	[
		'a pod that has ended as an object only',
		pods,
		pod({ containers: [asks({ cpu: '1' })] }, { status: { phase: 'Succeeded' } }),
		{ 'count/pods': '1' },
	],
	[
		'a service that takes ports of the nodes',
		{ group: '', plural: 'services' },
		{ spec: { type: 'NodePort', ports: [{}, {}] } },
		{ 'count/services': '1', services: '1', 'services.nodeports': '2' },
	],
	[
		'a load balancer without ports of the nodes, but for the one it names',
		{ group: '', plural: 'services' },
		{ spec: { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false, ports: [{ nodePort: 30000 }, {}] } },
		{ 'count/services': '1', services: '1', 'services.loadbalancers': '1', 'services.nodeports': '1' },
	],
	[
		'a claim by its size, also for its class',
		{ group: '', plural: 'persistentvolumeclaims' },
		{ metadata: {}, spec: { storageClassName: 'gold', resources: { requests: { storage: '5Gi' } } } },
		{
			'count/persistentvolumeclaims': '1',
			persistentvolumeclaims: '1',
			'requests.storage': '5Gi',
			'gold.storageclass.storage.k8s.io/persistentvolumeclaims': '1',
			'gold.storageclass.storage.k8s.io/requests.storage': '5Gi',
		},
	],
	['a map by its own name', { group: '', plural: 'configmaps' }, {}, { 'count/configmaps': '1', configmaps: '1' }],
	[
		'an object of any group by its resource',
		{ group: 'apps', plural: 'deployments' },
		{},
		{ 'count/deployments.apps': '1' },
	],
];
for (const [what, resource, object, usage] of usages)
	test(`a quota counts ${what}`, (t) => t.deepEqual(quotaUsage(resource, object as KubeObject), usage));

const idle = pod({ containers: [{ name: 'c' }] });
const busy = pod({ containers: [asks({ cpu: '1' })], activeDeadlineSeconds: 5 });
const urgent = pod({ containers: [{ name: 'c' }], priorityClassName: 'high' });
const elsewhere = pod({
	containers: [{ name: 'c' }],
	affinity: {
		podAntiAffinity: {
			preferredDuringSchedulingIgnoredDuringExecution: [
				{ weight: 1, podAffinityTerm: { topologyKey: 'zone', namespaceSelector: {} } },
			],
		},
	},
});
const selector = (operator: string, ...values: string[]) => ({
	scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator, values }] },
});
const scoped: [object, Pod[]][] = [
	[{ scopes: ['BestEffort'] }, [idle, urgent, elsewhere]],
	[{ scopes: ['NotBestEffort'] }, [busy]],
	[{ scopes: ['Terminating'] }, [busy]],
	[{ scopes: ['NotTerminating'] }, [idle, urgent, elsewhere]],
	[{ scopes: ['BestEffort', 'Terminating'] }, []],
	[{ scopes: ['PriorityClass'] }, [urgent]],
	[{ scopes: ['CrossNamespacePodAffinity'] }, [elsewhere]],
	[selector('In', 'high', 'higher'), [urgent]],
	[selector('In', 'low'), []],
	[selector('NotIn', 'high'), [idle, busy, elsewhere]],
	[selector('Exists'), [urgent]],
	[selector('DoesNotExist'), [idle, busy, elsewhere]],
	[{}, [idle, busy, urgent, elsewhere]],
];
for (const [scopes, inside] of scoped)
	test(`a quota of ${JSON.stringify(scopes)} is about the pods of that scope`, (t) => {
		const counted = [idle, busy, urgent, elsewhere].filter(
			(each) => usageIn(quota({ pods: '9' }, scopes), pods, each).pods,
		);
		t.deepEqual(counted, inside);
		const maps = usageIn(quota({ configmaps: '9' }, scopes), { group: '', plural: 'configmaps' }, idle);
		t.is('configmaps' in maps, Object.keys(scopes).length === 0, 'what is no pod is in no scope');
	});

test('a write changes of a quota what it counts differently', (t) => {
	const limited = quota({ pods: '9', 'requests.cpu': '9', secrets: '9' });
	const big = pod({ containers: [asks({ cpu: '1500m' })] });
	const ended = { ...big, status: { phase: 'Failed' } } as unknown as Pod;
	t.deepEqual(quotaChange(limited, pods, undefined, big), { pods: '1', 'requests.cpu': '1500m' });
	t.deepEqual(quotaChange(limited, pods, big, ended), { pods: '-1', 'requests.cpu': '-1500m' });
	t.deepEqual(quotaChange(limited, pods, ended, undefined), {});
	t.deepEqual(quotaChange(limited, pods, big, big), {});
	const scopes = { scopes: ['Terminating'] };
	t.deepEqual(quotaChange(quota({ pods: '9' }, scopes), pods, idle, busy), { pods: '1' }, 'it comes into the scope');
});

test('containers must say what a quota limits of cpu and memory, and nothing else', (t) => {
	const silent = pod({ initContainers: [{ name: 'init' }], containers: [{ name: 'b' }, { name: 'a' }] });
	const hard = { 'limits.cpu': '1', 'requests.memory': '1', 'requests.ephemeral-storage': '1', pods: '1' };
	t.is(unsaid(quota(hard), silent), 'must specify limits.cpu for: a,b,init; requests.memory for: a,b,init');
	t.is(unsaid(quota(hard), pod({ containers: [asks({ memory: '1' }, { cpu: '1' })] })), undefined);
	t.is(unsaid(quota(hard, { scopes: ['NotBestEffort'] }), silent), undefined, 'it is in no scope of it');
});

const sums: [string, string, string, string][] = [
	['1', '500m', '1500m', '500m'],
	['1Gi', '512Mi', '1536Mi', '512Mi'],
	['0', '64Mi', '64Mi', '-64Mi'],
	['9007199254740993', '1', '9007199254740994', '9007199254740992'],
];
for (const [a, b, added, left] of sums)
	test(`${a} and ${b} are ${added}, and without it ${left}`, (t) => {
		t.is(addQuantities(a, b), added);
		t.is(subtractQuantities(a, b), left);
	});
