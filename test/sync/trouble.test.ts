/** Why a workload does not work yet, as `driftless status` says it: by what it has made, or could not make. */
import test from 'ava';
import { DaemonSet, type Dynamic, Pod, ReplicaSet, ReplicationController, StatefulSet } from '../../src/kinds/index.ts';
import { policyTrouble, troubleBelow } from '../../src/sync/compare/trouble.ts';
import { world } from '../client/world.ts';

const conditions = [
	{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'pods are\n forbidden: quota' },
];
const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'main', image: 'a' }] } };
const spec = { selector: { matchLabels: { app: 'a' } }, template };

test('a workload that may not make its pods says so, and one whose pod has no place says that', async (t) => {
	const { client, cache } = await world(t);
	await cache.informer(ReplicaSet).synced;
	await cache.informer(Pod).synced;
	const metadata = { name: 'a', namespace: 'default' };
	const made = [
		await client.create(StatefulSet, {
			apiVersion: 'apps/v1',
			kind: 'StatefulSet',
			metadata,
			spec: { ...spec, serviceName: '' },
		}),
		await client.create(DaemonSet, { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata, spec }),
		await client.create(ReplicationController, {
			apiVersion: 'v1',
			kind: 'ReplicationController',
			metadata,
			spec: { template },
		}),
	];
	for (const object of made) {
		t.is(troubleBelow(object as unknown as Dynamic, cache), undefined);
		t.is(troubleBelow({ ...object, status: { conditions } } as unknown as Dynamic, cache), 'pods are forbidden: quota');
	}
	const [set] = made;
	const owner = {
		apiVersion: 'apps/v1',
		kind: 'StatefulSet',
		name: 'a',
		uid: set?.metadata.uid ?? '',
		controller: true,
	};
	const pod = await client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'a-0', namespace: 'default', ownerReferences: [owner] },
		spec: { containers: [{ name: 'main', image: 'a' }] },
	});
	const waiting = {
		type: 'PodScheduled',
		status: 'False',
		reason: 'Unschedulable',
		message: '0/1 nodes are available',
	};
	const told = await client.update(
		Pod,
		{ ...pod, status: { ...pod.status, conditions: [waiting] } },
		{ subresource: 'status' },
	);
	const informer = cache.informer(Pod);
	await informer.until(() => informer.revision >= Number(told.metadata.resourceVersion), AbortSignal.timeout(60_000));
	t.is(set && troubleBelow(set as unknown as Dynamic, cache), 'pod a-0: 0/1 nodes are available');
});

const policies: [string, object, string | undefined][] = [
	[
		'a budget that wants more than there is',
		{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', status: { expectedPods: 2, desiredHealthy: 3 } },
		'no pod may be evicted: it wants 3 of 2 pods healthy',
	],
	[
		'a budget that lets one go',
		{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', status: { expectedPods: 2, desiredHealthy: 1 } },
		undefined,
	],
	[
		'a budget of nobody',
		{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', status: { expectedPods: 0, desiredHealthy: 3 } },
		undefined,
	],
	[
		'a quota below what is used',
		{
			apiVersion: 'v1',
			kind: 'ResourceQuota',
			status: { hard: { pods: '1', cpu: '2' }, used: { pods: '3', cpu: '2' } },
		},
		'more is used than it allows: pods 3 of 1',
	],
	[
		'a quota that is used up',
		{ apiVersion: 'v1', kind: 'ResourceQuota', status: { hard: { pods: '1' }, used: { pods: '1' } } },
		undefined,
	],
];
for (const [what, object, trouble] of policies)
	test(`${what}: ${trouble ?? 'nothing is wrong'}`, (t) => t.is(policyTrouble(object as Dynamic), trouble));
