/** Writes whose answer is lost: the controller cannot know whether they were made. */
import test from 'ava';
import { createCache } from '../../src/client/index.ts';
import { Pod, ReplicaSet } from '../../src/kinds/index.ts';
import { replicaSet } from '../../src/reconcile/workloads/replicaset.ts';
import { lossy } from '../client/lossy.ts';
import { eventually, run, settled, world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { kubelet } from './kubelet.ts';
import { replicaSet as shape } from './workloads.ts';

test('a set whose pods were made or deleted without an answer has as many as it says in the end, and stays so', async (t) => {
	const w = await world(t);
	const losses = { left: 0, lost: 0 };
	const client = lossy(w.client, losses, 'Pod');
	await using cache = createCache(client, { signal: w.signal, log: silentLog });
	const running = run(t, { ...w, client, cache }, [replicaSet]);
	run(t, w, [kubelet({ anywhere: true }).controller]);
	const name = { name: 'web', namespace: 'default' };
	const active = async () =>
		(await w.client.list(Pod)).items
			.filter(({ metadata }) => !metadata.deletionTimestamp)
			.map(({ metadata }) => metadata.name);
	const comesTo = async (replicas: number) => {
		await eventually(w, [ReplicaSet, Pod], async () => {
			const { status } = await w.client.get(ReplicaSet, name);
			const done = losses.left === 0 && status?.readyReplicas === replicas && status.replicas === replicas;
			return done && (await active()).length === replicas ? true : undefined;
		});
		// A look at all that has happened changes nothing any more.
		const before = await active();
		const body = { metadata: { annotations: { touched: String(replicas) } } };
		const touched = await w.client.patch(ReplicaSet, name, { type: 'merge', body });
		await settled({ ...w, cache }, running, ReplicaSet, touched);
		t.deepEqual(await active(), before);
	};
	losses.left = 4;
	await w.client.create(ReplicaSet, { ...shape('web', 6), metadata: { ...name } });
	await comesTo(6);
	losses.left = 3;
	await w.client.patch(ReplicaSet, name, { type: 'merge', body: { spec: { replicas: 2 } } });
	await comesTo(2);
	t.is(losses.lost, 7);
});
