import test from 'ava';
import { ApiError, Service } from '../../src/kinds/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { service } from './objects.ts';

const services = { kind: Service, namespace: 'default' };

test('a full range of addresses or ports says so', async (t) => {
	await using opened = await openTestApi({ services: { cidr: '10.96.0.0/29', nodePorts: [30_000, 30_001] } });
	const { api } = opened;
	// Six addresses, of which 10.96.0.1 is reserved.
	const used: (string | undefined)[] = [];
	for (let index = 0; index < 5; index++)
		used.push((await api.create(services, service(`s${index}`), {}, admin)).object.spec.clusterIP);
	t.deepEqual(used.sort(), ['10.96.0.2', '10.96.0.3', '10.96.0.4', '10.96.0.5', '10.96.0.6']);
	const full = await t.throwsAsync(api.create(services, service('x'), {}, admin), { instanceOf: ApiError });
	t.is(full?.message, 'Internal error occurred: failed to allocate a serviceIP: range is full');
	const port = (name: string) => api.update({ ...services, name }, service(name, { type: 'NodePort' }), {}, admin);
	await port('s0');
	await port('s1');
	await t.throwsAsync(port('s2'), { message: /failed to allocate a nodePort: range is full/ });
	await api.delete({ ...services, name: 's0' }, {}, admin);
	t.is((await port('s2')).object.spec.ports?.length, 1);
	t.truthy((await api.create(services, service('x'), {}, admin)).object.spec.clusterIP);
});

test('the reserved addresses go to the services that they are for', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const made = await api.create(services, service('kubernetes', { clusterIP: '10.96.0.1' }), {}, admin);
	t.is(made.object.spec.clusterIP, '10.96.0.1');
	await t.throwsAsync(api.create(services, service('other', { clusterIP: '10.96.0.10' }), {}, admin), {
		message: /already allocated/,
	});
	const dns = { kind: Service, namespace: 'kube-system' };
	t.is(
		(await api.create(dns, service('kube-dns', { clusterIP: '10.96.0.10' }), {}, admin)).object.spec.clusterIP,
		'10.96.0.10',
	);
});

test('the addresses of the API and of cluster DNS are kept in every network', async (t) => {
	await using opened = await openTestApi({ services: { cidr: '10.3.0.0/28' } });
	const { api } = opened;
	const given: (string | undefined)[] = [];
	for (let index = 0; index < 12; index++)
		given.push((await api.create(services, service(`s${index}`), {}, admin)).object.spec.clusterIP);
	t.false(given.includes('10.3.0.1'));
	t.false(given.includes('10.3.0.10'));
	await t.throwsAsync(api.create(services, service('x', { clusterIP: '10.3.0.1' }), {}, admin), {
		message: /already allocated/,
	});
});

test('one port number of two protocols has one node port', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const ports = [
		{ name: 'tcp', port: 53, protocol: 'TCP' },
		{ name: 'udp', port: 53, protocol: 'UDP' },
		{ name: 'other', port: 54, protocol: 'TCP' },
	];
	const spec = async (name: string, ports: readonly object[]) => {
		const { object } = await api.create(services, service(name, { type: 'NodePort', ports }), {}, admin);
		return object.spec.ports?.map(({ nodePort }) => nodePort) ?? [];
	};
	const [tcp, udp, other] = await spec('dns', ports);
	t.truthy(tcp);
	t.is(udp, tcp);
	t.not(other, tcp);
	const chosen = ports.map((each) => (each.name === 'udp' ? { ...each, nodePort: 30_053 } : each));
	t.deepEqual((await spec('chosen', chosen)).slice(0, 2), [30_053, 30_053]);
});

test('families that the cluster does not have are refused, but for endpoints that are made by hand', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const make = (name: string, spec: Record<string, unknown>) => api.create(services, service(name, spec), {}, admin);
	await t.throwsAsync(make('both', { ipFamilyPolicy: 'RequireDualStack' }), {
		message:
			/spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services/,
	});
	await t.throwsAsync(make('six', { ipFamilies: ['IPv6'] }), {
		message: /spec.ipFamilies\[0\]: Invalid value: "IPv6": not configured on this cluster/,
	});
	t.deepEqual((await make('prefers', { ipFamilyPolicy: 'PreferDualStack' })).object.spec.ipFamilies, ['IPv4']);
	const byHand = await make('by-hand', { clusterIP: 'None', selector: undefined });
	t.deepEqual(byHand.object.spec.ipFamilies, ['IPv4', 'IPv6']);
});

test('a dry run and a refused service keep no address', async (t) => {
	await using opened = await openTestApi({ services: { cidr: '10.96.0.0/30' } });
	const { api } = opened;
	for (let index = 0; index < 3; index++) await api.create(services, service('dry'), { dryRun: true }, admin);
	await t.throwsAsync(api.create(services, service('Wrong_Name'), {}, admin), { instanceOf: ApiError });
	t.is((await api.create(services, service('real'), {}, admin)).object.spec.clusterIP, '10.96.0.2');
});

test('a service with more ports than one write can claim is told that', async (t) => {
	await using opened = await openTestApi();
	const ports = Array.from({ length: 200 }, (_, index) => ({ name: `p${index}`, port: 1_000 + index }));
	await t.throwsAsync(opened.api.create(services, service('many', { type: 'NodePort', ports }), {}, admin), {
		instanceOf: ApiError,
		message:
			/Service "many" is too large with what it claims for itself, .*ports.*: a commit of 20\d keys .*at most 128/,
	});
	await opened.api.create(services, service('inside', { ports }), {}, admin);
});

test('a service that is no NodePort any more gives its port back', async (t) => {
	await using opened = await openTestApi({ services: { nodePorts: [30_000, 30_000] } });
	const { api } = opened;
	await api.create(services, service('a', { type: 'NodePort' }), {}, admin);
	const { object } = await api.get({ ...services, name: 'a' }, {}, admin);
	const next = { ...object, spec: { ...object.spec, type: 'ClusterIP' } };
	t.is((await api.update({ ...services, name: 'a' }, next, {}, admin)).object.spec.ports?.[0]?.nodePort, undefined);
	t.is(
		(await api.create(services, service('b', { type: 'NodePort' }), {}, admin)).object.spec.ports?.[0]?.nodePort,
		30_000,
	);
});

test('a LoadBalancer with policy Local has a port for checks of its health, which nobody else has', async (t) => {
	await using opened = await openTestApi({ services: { nodePorts: [30_000, 30_002] } });
	const { api } = opened;
	const local = { type: 'LoadBalancer', externalTrafficPolicy: 'Local' };
	const { object: web } = await api.create(services, service('web', local), {}, admin);
	const port = web.spec.healthCheckNodePort;
	t.true([30_000, 30_001, 30_002].includes(port ?? 0));
	t.not(port, web.spec.ports?.[0]?.nodePort);
	const update = (spec: Record<string, unknown>) =>
		api.update(
			{ ...services, name: 'web' },
			{ ...web, spec: { ...web.spec, ...spec }, metadata: { name: 'web' } },
			{},
			admin,
		);
	t.is((await update({ healthCheckNodePort: undefined })).object.spec.healthCheckNodePort, port, 'it stays');
	await t.throwsAsync(update({ healthCheckNodePort: 30_001 === port ? 30_002 : 30_001 }), {
		message: /spec.healthCheckNodePort: .*cannot change healthCheckNodePort/,
	});
	const named = (spec: Record<string, unknown>) => api.create(services, service('other', spec), {}, admin);
	await t.throwsAsync(named({ ...local, healthCheckNodePort: port }), {
		message: /spec.healthCheckNodePort: Invalid value: \d+: provided port is already allocated/,
	});
	// A service's own node port, in one write and in the next.
	const [{ nodePort } = {}] = web.spec.ports ?? [];
	const own = { message: /spec.healthCheckNodePort: Invalid value: \d+: provided port is already allocated/ };
	const third = [30_000, 30_001, 30_002].find((each) => each !== port && each !== nodePort);
	await t.throwsAsync(named({ ...local, ports: [{ port: 80, nodePort: third }], healthCheckNodePort: third }), own);
	await t.throwsAsync(update({ ports: [{ port: 80, nodePort: port }] }), own);
	await t.throwsAsync(named({ ...local, healthCheckNodePort: 80 }), { message: /not in the valid range/ });
	await t.throwsAsync(named({ type: 'NodePort', ports: [{ port: 80, nodePort: port }] }), {
		message: /already allocated/,
	});
	await t.throwsAsync(named({ type: 'LoadBalancer', healthCheckNodePort: 30_002 }), {
		message: /may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'/,
	});
	const cluster = await update({ externalTrafficPolicy: 'Cluster' });
	t.is(cluster.object.spec.healthCheckNodePort, undefined, 'and goes back where nobody asks for it');
	t.is((await named({ ...local, healthCheckNodePort: port })).object.spec.healthCheckNodePort, port);
});
