import test from 'ava';
import {
	aggregated,
	coreVersions,
	group,
	groupList,
	resourceList,
	serverVersion,
	storageVersionHash,
} from '../../../src/api/discovery.ts';
import { compareVersions } from '../../../src/api/version-order.ts';
import { registry } from './registry.ts';

test('the version is that of the API spoken', (t) => {
	t.like(serverVersion, { major: '1', minor: '32', gitVersion: 'v1.32.0+driftless' });
});

test('/api and /apis list the groups, preferring the most stable version', (t) => {
	t.deepEqual(coreVersions(registry, '10.0.0.1:6443'), {
		kind: 'APIVersions',
		versions: ['v1'],
		serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: '10.0.0.1:6443' }],
	});
	const group1 = (name: string) => ({
		name,
		versions: [{ groupVersion: `${name}/v1`, version: 'v1' }],
		preferredVersion: { groupVersion: `${name}/v1`, version: 'v1' },
	});
	t.deepEqual(groupList(registry), {
		kind: 'APIGroupList',
		apiVersion: 'v1',
		groups: [
			group1('apps'),
			{
				name: 'example.com',
				versions: [
					{ groupVersion: 'example.com/v1', version: 'v1' },
					{ groupVersion: 'example.com/v1beta1', version: 'v1beta1' },
					{ groupVersion: 'example.com/v1alpha1', version: 'v1alpha1' },
				],
				preferredVersion: { groupVersion: 'example.com/v1', version: 'v1' },
			},
			group1('authorization.k8s.io'),
			group1('authentication.k8s.io'),
		],
	});
	t.like(group(registry, 'apps'), { kind: 'APIGroup', apiVersion: 'v1', name: 'apps' });
	t.is(group(registry, 'nobody'), undefined);
});

test('versions are preferred as documented', (t) => {
	// The example of the Kubernetes documentation on version priority.
	const documented = ['v10', 'v2', 'v1', 'v11beta2', 'v10beta3', 'v3beta1', 'v12alpha1', 'v11alpha2', 'foo1', 'foo10'];
	t.deepEqual(documented.toSorted().sort(compareVersions), documented);
});

test('the hash of a stored version is the one that Kubernetes computes', (t) => {
	t.is(storageVersionHash({ group: 'apps', version: 'v1', kind: 'Deployment' }), '8aSe+NMegvE=');
	t.is(storageVersionHash({ group: '', version: 'v1', kind: 'Pod' }), 'xPOwRZ+Yhw8=');
});

test('a resource list names verbs, short names, categories and subresources', (t) => {
	const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
	const changeable = ['get', 'patch', 'update'];
	t.deepEqual(resourceList(registry, 'apps', 'v1'), {
		kind: 'APIResourceList',
		apiVersion: 'v1',
		groupVersion: 'apps/v1',
		resources: [
			{
				name: 'deployments',
				singularName: 'deployment',
				namespaced: true,
				kind: 'Deployment',
				verbs,
				shortNames: ['deploy'],
				categories: ['all'],
				storageVersionHash: '8aSe+NMegvE=',
			},
			{
				name: 'deployments/scale',
				singularName: '',
				namespaced: true,
				group: 'autoscaling',
				version: 'v1',
				kind: 'Scale',
				verbs: changeable,
			},
			{ name: 'deployments/status', singularName: '', namespaced: true, kind: 'Deployment', verbs: changeable },
		],
	});
	const core = resourceList(registry, '', 'v1');
	t.is(core?.groupVersion, 'v1');
	t.deepEqual(
		core?.resources.map(({ name }) => name),
		['namespaces', 'pods', 'pods/binding', 'pods/eviction', 'pods/exec', 'pods/log', 'pods/status'],
	);
	t.deepEqual(core?.resources[0]?.verbs, ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch']);
	t.deepEqual(resourceList(registry, 'authorization.k8s.io', 'v1')?.resources[0], {
		name: 'localsubjectaccessreviews',
		singularName: 'localsubjectaccessreview',
		namespaced: true,
		kind: 'LocalSubjectAccessReview',
		verbs: ['create'],
	});
	t.is(resourceList(registry, 'apps', 'v2'), undefined);
	t.is(resourceList(registry, 'nobody', 'v1'), undefined);
});

test('aggregated discovery says the same in one document', (t) => {
	const { items, ...head } = aggregated(registry, 'named');
	t.deepEqual(head, { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {} });
	t.deepEqual(
		items.map(({ metadata, versions }) => [metadata.name, versions.map(({ version }) => version)]),
		[
			['apps', ['v1']],
			['example.com', ['v1', 'v1beta1', 'v1alpha1']],
			['authorization.k8s.io', ['v1']],
			['authentication.k8s.io', ['v1']],
		],
	);
	const [deployments] = items[0]?.versions[0]?.resources ?? [];
	t.like(deployments, {
		resource: 'deployments',
		responseKind: { group: 'apps', version: 'v1', kind: 'Deployment' },
		scope: 'Namespaced',
		singularResource: 'deployment',
		shortNames: ['deploy'],
		categories: ['all'],
	});
	t.deepEqual(
		deployments?.subresources?.map(({ subresource, responseKind }) => [subresource, responseKind.kind]),
		[
			['scale', 'Scale'],
			['status', 'Deployment'],
		],
	);
	const [core] = aggregated(registry, 'core', 'v2beta1').items;
	t.is(core?.metadata.name, undefined);
	t.is(core?.versions[0]?.resources[0]?.scope, 'Cluster');
});
