import test from 'ava';
import type { EndpointSlice, Endpoints, Pod, Service } from '../../src/kinds/index.ts';
import { planSlices } from '../../src/reconcile/services/endpoint-slices.ts';
import { planEndpoints } from '../../src/reconcile/services/endpoint-subsets.ts';
import { isToBeMirrored, planMirror } from '../../src/reconcile/services/mirrored-slices.ts';
import type { SlicePlan } from '../../src/reconcile/services/slice-distribution.ts';
import fc from '../testbed/fast-check.ts';
import { ago, pod, service } from './workloads.ts';

const ip = (number: number) => `10.244.${number >> 8}.${number & 255}`;
const backend = (number: number, shape = {}) =>
	pod(`p${`${number}`.padStart(4, '0')}`, { ip: ip(number), node: 'n1', ready: 10, ...shape });
const backends = (count: number) => Array.from({ length: count }, (_, index) => backend(index));

/** The slices after the plan, as the API would have them. */
function carryOut(existing: readonly EndpointSlice[], plan: SlicePlan): EndpointSlice[] {
	const gone = new Set([...plan.delete, ...plan.update].map(({ metadata }) => metadata.name));
	return [...existing.filter(({ metadata }) => !gone.has(metadata.name)), ...plan.update, ...plan.create];
}
const slicesOf = (target: Service, pods: readonly Pod[], existing: readonly EndpointSlice[] = []) =>
	carryOut(existing, planSlices(target, pods, existing));
const writes = (plan: SlicePlan) => [plan.create.length, plan.update.length, plan.delete.length];
const sizes = (slices: readonly EndpointSlice[]) => slices.map(({ endpoints }) => endpoints.length);

test('a slice tells where the pods are, whose they are, and which service it belongs to', (t) => {
	const [slice] = slicesOf(service({}, { tier: 'front' }), [backend(1)]);
	t.is(slice?.addressType, 'IPv4');
	t.regex(slice?.metadata.name ?? '', /^web-[a-z0-9]{5}$/);
	t.deepEqual(slice?.metadata.labels, {
		tier: 'front',
		'kubernetes.io/service-name': 'web',
		'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
	});
	t.like(slice?.metadata.ownerReferences?.[0], { kind: 'Service', name: 'web', uid: 'uid-service', controller: true });
	t.deepEqual(slice?.ports, [{ name: '', port: 8080, protocol: 'TCP' }]);
	t.deepEqual(slice?.endpoints, [
		{
			addresses: ['10.244.0.1'],
			conditions: { ready: true, serving: true, terminating: false },
			nodeName: 'n1',
			targetRef: { kind: 'Pod', namespace: 'default', name: 'p0001', uid: 'uid-p0001' },
		},
	]);
});

const conditions: [string, object, object, (boolean | undefined)[]][] = [
	['ready', {}, {}, [true, true, false]],
	['not ready', { ready: undefined }, {}, [false, false, false]],
	['not ready but published', { ready: undefined }, { publishNotReadyAddresses: true }, [true, false, false]],
	['terminating and still serving', { terminating: true }, {}, [false, true, true]],
	['terminating and done', { terminating: true, ready: undefined }, {}, [false, false, true]],
];
for (const [title, shape, spec, expected] of conditions) {
	test(`conditions of an endpoint: ${title}`, (t) => {
		const found = slicesOf(service(spec), [backend(1, shape)])[0]?.endpoints[0]?.conditions;
		t.deepEqual([found?.ready, found?.serving, found?.terminating], expected);
	});
}

test('pods that have ended, or have no address yet, are no endpoints', (t) => {
	const pods = [backend(1, { phase: 'Failed' }), backend(2, { phase: 'Succeeded' }), backend(3, { ip: undefined })];
	t.deepEqual(sizes(slicesOf(service(), pods)), [0]);
});

test('a slice that is written tells when what it follows has changed, and the newest change stays', (t) => {
	const told = (slices: readonly EndpointSlice[]) =>
		slices.map(({ metadata }) => metadata.annotations?.['endpoints.kubernetes.io/last-change-trigger-time']);
	const made = slicesOf(service(), [backend(1, { ready: 50 }), backend(2, { ready: 20 })]);
	t.deepEqual(told(made), [ago(20)]);
	t.deepEqual(writes(planSlices(service(), [backend(1, { ready: 10 }), backend(2, { ready: 20 })], made)), [0, 0, 0]);
	const gone = slicesOf(service(), [backend(1, { ready: 50 })], made);
	t.is(gone[0]?.endpoints.length, 1);
	t.deepEqual(told(gone), [ago(20)]);
	t.deepEqual(told(slicesOf(service(), [backend(1, { ready: 50 }), backend(3, { ready: 5 })], gone)), [ago(5)]);
});

test('a named target port is looked up in each pod; pods that differ go into different slices', (t) => {
	const named = (containerPort: number) => ({
		spec: { containers: [{ name: 'main', ports: [{ name: 'http', containerPort }] }] },
	});
	const target = service({ ports: [{ name: 'web', port: 80, targetPort: 'http' }] });
	const slices = slicesOf(target, [backend(1, named(8080)), backend(2, named(9090)), backend(3)]);
	t.deepEqual(
		slices.map(({ ports, endpoints }) => [ports?.map(({ port }) => port), endpoints.length]),
		[
			[[8080], 1],
			[[9090], 1],
			[[], 1],
		],
	);
});

test('a headless service without ports has its pods all the same, and host names for its own', (t) => {
	const target = service({ clusterIP: 'None', ports: undefined });
	const pods = [
		backend(1, { spec: { hostname: 'a', subdomain: 'web' } }),
		backend(2, { spec: { hostname: 'b', subdomain: 'other' } }),
	];
	const [slice] = slicesOf(target, pods);
	t.is(slice?.metadata.labels?.['service.kubernetes.io/headless'], '');
	t.deepEqual(
		slice?.endpoints.map(({ hostname }) => hostname),
		['a', undefined],
	);
	const { subsets, labels } = planEndpoints(target, pods);
	t.is(labels['service.kubernetes.io/headless'], '');
	t.deepEqual(
		subsets?.map(({ addresses, ports }) => [addresses?.length, ports]),
		[[2, undefined]],
	);
});

test('a service with two families has slices of both', (t) => {
	const one = backend(1);
	const two = { ...one, status: { ...one.status, podIPs: [{ ip: '10.244.0.1' }, { ip: 'fd00::1' }] } };
	const slices = slicesOf(service({ ipFamilies: ['IPv4', 'IPv6'] }), [two]);
	t.deepEqual(
		slices.map(({ addressType, endpoints }) => [addressType, endpoints[0]?.addresses]),
		[
			['IPv4', ['10.244.0.1']],
			['IPv6', ['fd00::1']],
		],
	);
});

test('what is right is not written again', (t) => {
	const slices = slicesOf(service(), backends(250));
	t.deepEqual(sizes(slices), [100, 100, 50]);
	t.deepEqual(writes(planSlices(service(), backends(250), slices)), [0, 0, 0]);
});

test('one pod that changes costs one slice', (t) => {
	const slices = slicesOf(service(), backends(250));
	const pods = backends(250);
	pods[120] = backend(120, { ready: undefined });
	t.deepEqual(writes(planSlices(service(), pods, slices)), [0, 1, 0]);
});

test('new pods go into a slice that changes anyway, else into one with room', (t) => {
	const slices = slicesOf(service(), backends(250));
	t.deepEqual(writes(planSlices(service(), backends(253), slices)), [0, 1, 0]);
	const replaced = backends(251).slice(1);
	t.deepEqual(writes(planSlices(service(), replaced, slices)), [0, 1, 0], 'one went and one came: in its place');
	t.deepEqual(writes(planSlices(service(), backends(301), slices)), [1, 0, 0]);
});

test('an emptied slice is used again, and the last one stays', (t) => {
	const slices = slicesOf(service(), backends(3));
	const moved = service({ ports: [{ port: 80, targetPort: 9090 }] });
	t.deepEqual(writes(planSlices(moved, backends(3), slices)), [0, 1, 0]);
	const empty = slicesOf(service(), [], slices);
	t.deepEqual(sizes(empty), [0]);
	t.deepEqual(writes(planSlices(service(), [], empty)), [0, 0, 0]);
	t.deepEqual(writes(planSlices(service(), backends(1), empty)), [0, 1, 0]);
	t.deepEqual(writes(planSlices(service(), [], slicesOf(service(), backends(250)))), [0, 1, 2]);
});

test('the names of slices do not depend on chance, so that a stale look is refused', (t) => {
	const [first] = planSlices(service(), backends(1), []).create;
	const [second] = planSlices(service(), backends(2), []).create;
	t.is(first?.metadata.name, second?.metadata.name);
});

test('whatever comes and goes, every pod is in one slice once, and no slice is too full', (t) => {
	const step = fc.uniqueArray(fc.integer({ min: 0, max: 700 }), { maxLength: 350 });
	fc.assert(
		fc.property(fc.array(step, { minLength: 1, maxLength: 4 }), (history) => {
			let slices: EndpointSlice[] = [];
			for (const numbers of history) {
				const pods = numbers.map((number) => backend(number));
				slices = slicesOf(service(), pods, slices);
				const held = slices.flatMap(({ endpoints }) => endpoints.flatMap(({ addresses }) => addresses));
				if (held.toSorted().join() !== numbers.map(ip).sort().join()) return false;
				if (sizes(slices).some((size) => size > 100)) return false;
				if (new Set(slices.map(({ metadata }) => metadata.name)).size !== slices.length) return false;
				if (writes(planSlices(service(), pods, slices)).some((count) => count > 0)) return false;
			}
			return true;
		}),
		{ numRuns: 30 },
	);
	t.pass();
});

test('endpoints: pods with the same ports share a subset, sorted, ready ones apart', (t) => {
	const pods = [backend(3), backend(1), backend(2, { ready: undefined }), backend(4, { terminating: true })];
	const target = service({
		ports: [
			{ name: 'b', port: 81 },
			{ name: 'a', port: 80, targetPort: 8080 },
		],
	});
	const { subsets } = planEndpoints(target, pods);
	t.is(subsets?.length, 1);
	t.deepEqual(
		subsets?.[0]?.addresses?.map((address) => address.ip),
		['10.244.0.1', '10.244.0.3'],
	);
	t.deepEqual(
		subsets?.[0]?.notReadyAddresses?.map((address) => address.ip),
		['10.244.0.2'],
	);
	t.deepEqual(subsets?.[0]?.ports, [
		{ name: 'a', port: 8080, protocol: 'TCP' },
		{ name: 'b', port: 81, protocol: 'TCP' },
	]);
	t.is(planEndpoints(target, []).subsets, undefined);
});

test('endpoints: beyond 1000 addresses the ready ones stay, and the object says that it is cut', (t) => {
	const pods = backends(1100).map((one, index) => (index < 200 ? backend(index, { ready: undefined }) : one));
	const { subsets, annotations } = planEndpoints(service(), pods);
	t.is(subsets?.[0]?.addresses?.length, 900);
	t.is(subsets?.[0]?.notReadyAddresses?.length, 100);
	t.is(annotations?.['endpoints.kubernetes.io/over-capacity'], 'truncated');
});

const byHand = (subsets: Endpoints['subsets'], metadata: Partial<Endpoints['metadata']> = {}): Endpoints => ({
	apiVersion: 'v1',
	kind: 'Endpoints',
	metadata: { name: 'web', namespace: 'default', uid: 'uid-endpoints', ...metadata },
	subsets,
});

test('subsets of the same ports share a mirrored slice; other ports and other families have their own', (t) => {
	const http = [{ name: 'http', port: 80 }];
	const source = byHand([
		{ addresses: [{ ip: '192.0.2.1' }, { ip: '2001:db8::1' }], ports: http },
		{ notReadyAddresses: [{ ip: '192.0.2.2', hostname: 'b', nodeName: 'n1' }], ports: http },
		{ addresses: [{ ip: '192.0.2.1' }], ports: [{ name: 'admin', port: 81 }] },
		{ addresses: [{ ip: '192.0.2.3' }] },
	]);
	const slices = carryOut([], planMirror(source, []));
	const told = slices.map(
		({ addressType, ports, endpoints }) =>
			`${addressType} ${ports?.map(({ name, port }) => `${name}:${port}`).join()} ${endpoints
				.map(({ addresses, conditions }) => `${addresses[0]}=${conditions?.ready}`)
				.join()}`,
	);
	t.deepEqual(told.sort(), [
		'IPv4  192.0.2.3=true',
		'IPv4 admin:81 192.0.2.1=true',
		'IPv4 http:80 192.0.2.1=true,192.0.2.2=false',
		'IPv6 http:80 2001:db8::1=true',
	]);
	t.is(new Set(slices.map(({ metadata }) => metadata.name)).size, 4);
	t.deepEqual(writes(planMirror(source, slices)), [0, 0, 0]);
	t.deepEqual(writes(planMirror(byHand(source.subsets, { labels: { new: 'label' } }), slices)), [0, 4, 0]);
	t.deepEqual(writes(planMirror(byHand(undefined), slices)), [0, 0, 4]);
});

test('no more than a thousand addresses of a subset are mirrored', (t) => {
	const addresses = Array.from({ length: 1200 }, (_, index) => ({ ip: ip(index) }));
	const slices = carryOut([], planMirror(byHand([{ addresses, ports: [{ port: 80 }] }]), []));
	t.is(
		sizes(slices).reduce((sum, size) => sum + size, 0),
		1000,
	);
});

const mirroring: [string, Endpoints, Service | undefined, boolean][] = [
	['of a service without a selector', byHand([]), service({ selector: undefined }), true],
	['of a service with a selector', byHand([]), service(), false],
	['of no service', byHand([]), undefined, false],
	[
		'that say so',
		byHand([], { labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } }),
		service({ selector: undefined }),
		false,
	],
	[
		'that are a lock',
		byHand([], { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}' } }),
		service({ selector: undefined }),
		false,
	],
];
for (const [title, endpoints, target, expected] of mirroring)
	test(`endpoints ${title} are ${expected ? '' : 'not '}mirrored`, (t) => {
		t.is(isToBeMirrored(endpoints, target), expected);
	});
