import test from 'ava';
import { type Dynamic, Pod } from '../../src/kinds/index.ts';
import { admit, at, changed, manifests } from './manifests.ts';

const of = (kind: string, name?: string): Dynamic => {
	const found = manifests().find((each) => each.kind === kind && (!name || each.metadata.name === name));
	if (!found) throw new Error(`no ${kind}`);
	return found;
};
const stored = (object: Dynamic, status?: object) => {
	const made = admit(object).object;
	made.metadata.uid = '1';
	if (status) made.status = status;
	return made;
};

test('a create may not bring a status, except that of a node', (t) => {
	const status = { phase: 'Running', replicas: 9 };
	t.deepEqual(admit({ ...of('Pod'), status }).object.status, { phase: 'Pending', qosClass: 'BestEffort' });
	t.deepEqual(admit({ ...of('Deployment'), status: { replicas: 9 } }).object.status, {});
	t.deepEqual(admit({ ...of('ReplicaSet'), status: { replicas: 9 } }).object.status, { replicas: 0 });
	t.deepEqual(admit({ ...of('Namespace'), status: { phase: 'Terminating' } }).object.status, { phase: 'Active' });
	t.false('status' in admit({ ...of('Application'), status: { sync: { status: 'Synced' } } }).object);
	t.is(at(admit(of('Node')).object, 'status.capacity.cpu'), '2');
});

test('a write of the main resource keeps the stored status', (t) => {
	const old = stored(of('Deployment'), { replicas: 3 });
	t.deepEqual(admit(changed(old, { status: { replicas: 7 } }), old).object.status, { replicas: 3 });
	t.deepEqual(admit(changed(old, { status: undefined }), old).object.status, { replicas: 3 });
});

test('the generation counts changes outside metadata and status', (t) => {
	const old = stored(of('Deployment'), { replicas: 3 });
	t.is(old.metadata.generation, 1);
	t.is(
		admit(changed(old, { metadata: { labels: { a: 'b' } }, status: { replicas: 1 } }), old).object.metadata.generation,
		1,
	);
	t.is(admit(changed(old, { spec: { replicas: 4 } }), old).object.metadata.generation, 2);
	t.is(admit(changed(old, { spec: { replicas: 4 }, metadata: { generation: 9 } }), old).object.metadata.generation, 2);
	t.is(stored(of('Service', 'frontend')).metadata.generation, undefined);
});

test('an update may leave out what the server keeps in the metadata', (t) => {
	const old = stored(of('ConfigMap'));
	old.metadata.creationTimestamp = '2026-01-01T00:00:00Z';
	const { object, errors } = admit(of('ConfigMap'), old);
	t.deepEqual(errors, []);
	t.like(object.metadata, { uid: '1', creationTimestamp: '2026-01-01T00:00:00Z' });
});

const classes: [string, object[], string][] = [
	['no resources', [{}], 'BestEffort'],
	['a request', [{ requests: { cpu: '1' } }], 'Burstable'],
	['a limit of one resource', [{ limits: { cpu: '1' } }], 'Burstable'],
	['limits of cpu and memory', [{ limits: { cpu: '1', memory: '1Gi' } }], 'Guaranteed'],
	[
		'equal amounts written differently',
		[{ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1000m', memory: '1024Mi' } }],
		'Guaranteed',
	],
	['a lower request', [{ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } }], 'Burstable'],
	['one container of two with limits', [{ limits: { cpu: '1', memory: '1Gi' } }, {}], 'Burstable'],
];
for (const [title, resources, expected] of classes)
	test(`a pod with ${title} is ${expected}`, (t) => {
		const containers = resources.map((each, index) => ({ name: `c${index}`, image: 'a', resources: each }));
		t.is(at(admit(changed(of('Pod'), { spec: { containers } })).object, 'status.qosClass'), expected);
	});

test('a namespace waits for its content with a finalizer that only the server takes away', (t) => {
	const old = stored(of('Namespace'));
	t.deepEqual(at(old, 'spec.finalizers'), ['kubernetes']);
	t.deepEqual(at(admit(changed(old, { spec: { finalizers: [] } }), old).object, 'spec.finalizers'), ['kubernetes']);
});

test('an applied manifest need not repeat what a service was given', (t) => {
	const old = stored(
		changed(of('Service', 'frontend'), { spec: { clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'] } }),
	);
	const again = changed(of('Service', 'frontend'), {
		spec: { ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
	});
	const { object, errors } = admit(again, old);
	t.deepEqual(errors, []);
	t.is(at(object, 'spec.clusterIP'), '10.96.0.5');
	t.is(at(object, 'spec.ports.0.nodePort'), 30_080);
});

test('a service has the families of its address, and keeps them', (t) => {
	const made = stored(of('Service', 'frontend'));
	t.like(at(made, 'spec'), { ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' });
	const six = changed(of('Service', 'frontend'), { spec: { clusterIP: 'fd00::5', clusterIPs: ['fd00::5'] } });
	t.deepEqual(at(stored(six), 'spec.ipFamilies'), ['IPv6']);
	t.deepEqual(at(admit(of('Service', 'frontend'), stored(six)).object, 'spec.ipFamilies'), ['IPv6']);
});

test('a headless service whose endpoints are made by hand may have them of both families', (t) => {
	const byHand = { spec: { selector: undefined } };
	t.like(at(stored(changed(of('Service', 'headless'), byHand)), 'spec'), {
		ipFamilies: ['IPv4', 'IPv6'],
		ipFamilyPolicy: 'RequireDualStack',
	});
	const single = changed(of('Service', 'headless'), { spec: { selector: undefined, ipFamilyPolicy: 'SingleStack' } });
	t.deepEqual(at(stored(single), 'spec.ipFamilies'), ['IPv4']);
});

test('a service that is no NodePort any more gives its node ports back', (t) => {
	const old = stored(
		changed(of('Service', 'frontend'), { spec: { clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'] } }),
	);
	const { object, errors } = admit(changed(old, { spec: { type: 'ClusterIP' } }), old);
	t.deepEqual(errors, []);
	t.is(at(object, 'spec.ports.0.nodePort'), undefined);
	t.is(at(object, 'spec.externalTrafficPolicy'), undefined);
	t.is(at(object, 'spec.clusterIP'), '10.96.0.5');
});

test('a service that becomes an outside name gives its address back', (t) => {
	const old = stored(
		changed(of('Service', 'headless'), {
			spec: { clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'], ports: [{ port: 80 }] },
		}),
	);
	const { object, errors } = admit(
		changed(old, { spec: { type: 'ExternalName', externalName: 'db.example.com' } }),
		old,
	);
	t.deepEqual(errors, []);
	t.is(at(object, 'spec.clusterIP'), undefined);
});

test('a NodePort service that becomes an outside name gives its ports and its policy back', (t) => {
	const old = stored(
		changed(of('Service', 'frontend'), { spec: { clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'] } }),
	);
	const { object, errors } = admit(
		changed(old, { spec: { type: 'ExternalName', externalName: 'db.example.com' } }),
		old,
	);
	t.deepEqual(errors, []);
	t.is(at(object, 'spec.ports.0.nodePort'), undefined);
	t.is(at(object, 'spec.externalTrafficPolicy'), undefined);
	t.is(at(object, 'spec.clusterIP'), undefined);
});

test('a pod that runs on a node gets its own grace period, others none', (t) => {
	const pod = (spec: object, status: object = {}) => ({ metadata: { name: 'a' }, spec, status }) as unknown as Pod;
	t.is(Pod.gracePeriod(pod({ nodeName: 'n', terminationGracePeriodSeconds: 7 })), 7);
	t.is(Pod.gracePeriod(pod({ nodeName: 'n' })), 30);
	t.is(Pod.gracePeriod(pod({ terminationGracePeriodSeconds: 7 })), 0);
	t.is(Pod.gracePeriod(pod({ nodeName: 'n' }, { phase: 'Succeeded' })), 0);
});

test('the rules of a pod that was accepted are not asked again when only its status changes', (t) => {
	const old = stored(of('Pod'));
	// As if it had been stored before a rule existed.
	const odd = changed(old, { spec: { restartPolicy: 'Strange' } });
	t.deepEqual(
		Pod.validate(changed(odd, { status: { phase: 'Running' } }) as unknown as Pod, odd as unknown as Pod),
		[],
	);
});
