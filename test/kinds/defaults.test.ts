import test from 'ava';
import type { Dynamic } from '../../src/kinds/index.ts';
import fc from '../testbed/fast-check.ts';
import { admit, at, changed, kindOf, manifests } from './manifests.ts';

const of = (kind: string, name?: string): Dynamic => {
	const found = manifests().find((each) => each.kind === kind && (!name || each.metadata.name === name));
	if (!found) throw new Error(`no ${kind}`);
	return found;
};
const defaulted = (object: Dynamic): Dynamic => {
	const copy = structuredClone(object);
	kindOf(copy).defaults(copy);
	return copy;
};
for (const object of manifests())
	test(`the defaults of ${object.kind} ${object.metadata.name} filled in twice are the same as once`, (t) => {
		const once = defaulted(object);
		t.deepEqual(defaulted(once), once);
	});

test('the defaults of a pod', (t) => {
	const pod = at(
		defaulted(changed(of('Pod'), { spec: { restartPolicy: '', terminationGracePeriodSeconds: undefined } })),
		'spec',
	);
	t.like(pod, {
		restartPolicy: 'Always',
		dnsPolicy: 'ClusterFirst',
		schedulerName: 'default-scheduler',
		terminationGracePeriodSeconds: 30,
		enableServiceLinks: true,
		securityContext: {},
	});
	t.like(at(pod, 'containers.0'), {
		imagePullPolicy: 'Always',
		terminationMessagePath: '/dev/termination-log',
		terminationMessagePolicy: 'File',
		resources: {},
		ports: [{ containerPort: 9000, hostPort: 9000, protocol: 'TCP' }],
	});
});

test('a grace period of zero is no absent one', (t) => {
	t.is(at(defaulted(of('Pod')), 'spec.terminationGracePeriodSeconds'), 0);
});

test('the defaults of a deployment and its template', (t) => {
	const deployment = at(defaulted(of('Deployment')), 'spec');
	t.like(deployment, {
		replicas: 3,
		revisionHistoryLimit: 10,
		progressDeadlineSeconds: 600,
		strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: '25%' } },
	});
	const pod = at(deployment, 'template.spec');
	t.is(at(pod, 'serviceAccount'), 'guestbook');
	t.is(at(pod, 'enableServiceLinks'), undefined, 'only pods themselves have it');
	const web = at(pod, 'containers.0');
	t.deepEqual(at(web, 'livenessProbe'), {
		httpGet: { path: '/', port: 'http', scheme: 'HTTP' },
		timeoutSeconds: 1,
		periodSeconds: 10,
		successThreshold: 1,
		failureThreshold: 3,
	});
	t.like(at(web, 'readinessProbe'), { periodSeconds: 5, timeoutSeconds: 1 });
	t.is(at(web, 'env.1.valueFrom.fieldRef.apiVersion'), 'v1');
	t.is(at(web, 'env.3.valueFrom.resourceFieldRef.divisor'), '0');
	t.is(at(web, 'ports.0.protocol'), 'TCP');
	t.is(at(web, 'imagePullPolicy'), 'IfNotPresent');
	t.is(at(pod, 'initContainers.0.imagePullPolicy'), 'Always', 'no tag means latest; a port of the registry is none');
	t.is(at(pod, 'volumes.0.configMap.defaultMode'), 420);
	t.deepEqual(at(pod, 'volumes.1.emptyDir'), {});
	t.is(at(pod, 'volumes.2.projected.defaultMode'), 420);
	t.is(at(pod, 'volumes.2.projected.sources.1.downwardAPI.items.0.fieldRef.apiVersion'), 'v1');
});

test('a deployment that recreates gets no rolling update', (t) => {
	t.deepEqual(
		at(
			defaulted(changed(of('Deployment'), { spec: { strategy: { type: 'Recreate', rollingUpdate: undefined } } })),
			'spec.strategy',
		),
		{
			type: 'Recreate',
		},
	);
});

const images: [string, string][] = [
	['nginx', 'Always'],
	['nginx:latest', 'Always'],
	['nginx:1.27', 'IfNotPresent'],
	['registry:5000/nginx', 'Always'],
	['registry:5000/nginx:1', 'IfNotPresent'],
	['nginx@sha256:abc', 'IfNotPresent'],
	['nginx:latest@sha256:abc', 'IfNotPresent'],
];
for (const [image, policy] of images)
	test(`the image ${image} is pulled ${policy}`, (t) => {
		const pod = changed(of('Pod'), { spec: { containers: [{ name: 'a', image }] } });
		t.is(at(defaulted(pod), 'spec.containers.0.imagePullPolicy'), policy);
	});

test('a pod requests its limits, where it does not say otherwise; a template stays as it is', (t) => {
	const resources = { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } };
	const container = { name: 'a', image: 'a', resources };
	t.deepEqual(
		at(defaulted(changed(of('Pod'), { spec: { containers: [container] } })), 'spec.containers.0.resources.requests'),
		{
			cpu: '500m',
			memory: '1Gi',
		},
	);
	const template = at(
		defaulted(changed(of('ReplicaSet'), { spec: { template: { spec: { containers: [container] } } } })),
		'spec.template',
	);
	t.deepEqual(at(template, 'spec.containers.0.resources.requests'), { cpu: '500m' });
});

test('the defaults of services by their type', (t) => {
	t.like(at(defaulted(of('Service', 'frontend')), 'spec'), {
		type: 'NodePort',
		sessionAffinity: 'None',
		internalTrafficPolicy: 'Cluster',
		externalTrafficPolicy: 'Cluster',
	});
	t.deepEqual(at(defaulted(of('Service', 'frontend')), 'spec.ports.1'), {
		name: 'dns',
		port: 53,
		protocol: 'UDP',
		targetPort: 53,
	});
	const headless = at(defaulted(of('Service', 'headless')), 'spec');
	t.is(at(headless, 'type'), 'ClusterIP');
	t.is(at(headless, 'externalTrafficPolicy'), undefined);
	const sticky = at(defaulted(changed(of('Service', 'headless'), { spec: { sessionAffinity: 'ClientIP' } })), 'spec');
	t.is(at(sticky, 'sessionAffinityConfig.clientIP.timeoutSeconds'), 10_800);
	const external = at(
		defaulted(
			changed(of('Service', 'headless'), {
				spec: { type: 'ExternalName', clusterIP: undefined, externalName: 'a.example' },
			}),
		),
		'spec',
	);
	t.is(at(external, 'internalTrafficPolicy'), undefined);
	t.is(
		at(
			defaulted(changed(of('Service', 'headless'), { spec: { type: 'LoadBalancer' } })),
			'spec.allocateLoadBalancerNodePorts',
		),
		true,
	);
	const reached = changed(of('Service', 'headless'), {
		spec: { clusterIP: '10.96.0.5', externalIPs: ['203.0.113.1'] },
	});
	t.is(at(defaulted(reached), 'spec.externalTrafficPolicy'), 'Cluster');
});

test('the text of a secret becomes data, over what stands there', (t) => {
	const secret = defaulted({ ...of('Secret'), data: { username: 'eA==', other: 'eA==' } });
	t.is(secret.type, 'Opaque');
	t.false('stringData' in secret);
	t.deepEqual(secret.data, { username: 'YWRtaW4=', password: 'czNjcjN0', other: 'eA==' });
});

test('a namespace is labelled with its name', (t) => {
	t.deepEqual(defaulted(of('Namespace')).metadata.labels, { team: 'web', 'kubernetes.io/metadata.name': 'guestbook' });
});

test('defaults and rules take whatever the schema lets through, and defaults settle at once', (t) => {
	// Parts of the real manifests are taken away at random: what is left must never break the hooks.
	const all = manifests();
	fc.assert(
		fc.property(fc.nat(), fc.array(fc.nat(), { minLength: 1, maxLength: 12 }), (pick, cuts) => {
			const object = structuredClone(all[pick % all.length] as Dynamic);
			for (const cut of cuts) {
				const places = removable(object);
				places[cut % places.length]?.();
			}
			const once = defaulted(object);
			t.deepEqual(defaulted(once), once);
			t.notThrows(() => admit(object), JSON.stringify(object));
		}),
		{ numRuns: 500 },
	);
});

/** One removal for each field below metadata, spec and the rest; the object stays one of its kind. */
function removable(value: unknown, depth = 0): (() => void)[] {
	if (typeof value !== 'object' || value === null) return [];
	const fields = value as Record<string, unknown>;
	return Object.keys(fields).flatMap((key) => {
		if (depth === 0 && ['apiVersion', 'kind', 'metadata'].includes(key)) return [];
		const inner = removable(fields[key], depth + 1);
		if (Array.isArray(value)) return inner;
		return [() => void delete fields[key], ...inner];
	});
}
