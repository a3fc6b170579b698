/** Why a workload does not work yet, as `driftless status` says it: by what it has made, or could not make. */
import test from 'ava';
import { DaemonSet, type Dynamic, Pod, ReplicaSet, ReplicationController, StatefulSet } from '../../src/kinds/index.ts';
import { troubleBelow } from '../../src/sync/compare/trouble.ts';
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
