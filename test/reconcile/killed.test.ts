/** Controllers that live for one write: it is made, they never learn of it, and the next one begins with what is there. */
import test, { type ExecutionContext } from 'ava';
import { type Client, createCache } from '../../src/client/index.ts';
import {
	ControllerRevision,
	DaemonSet,
	Event,
	type Kind,
	Node,
	PersistentVolumeClaim,
	Pod,
	StatefulSet,
} from '../../src/kinds/index.ts';
import { type Controller, runControllers } from '../../src/reconcile/index.ts';
import { scheduler } from '../../src/reconcile/scheduling/scheduler.ts';
import { daemonSet } from '../../src/reconcile/workloads/daemonset.ts';
import { statefulSet } from '../../src/reconcile/workloads/statefulset.ts';
import { run, type World, world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { kubelet } from './kubelet.ts';
import { node as nodeShape, template } from './workloads.ts';

/** Nothing comes of a life after so many without a change. */
const MOST_LIVES = 500;

/** One life after the other, until what is wanted is there. Returns how many ended by a write. */
async function live(
	t: ExecutionContext,
	w: World,
	controller: Controller,
	done: () => Promise<boolean>,
): Promise<number> {
	let lives = 0;
	for (let life = 0; life < MOST_LIVES; life++) {
		if (await done()) return lives;
		const stop = new AbortController();
		const signal = AbortSignal.any([stop.signal, w.signal]);
		const dying = async <T>(kind: Kind, call: () => Promise<T>): Promise<T> => {
			if (kind.kind === Event.kind) return call();
			if (stop.signal.aborted) throw new Error('it is dead');
			await call();
			lives++;
			stop.abort();
			throw new Error('killed');
		};
		const mortal = (inner: Client): Client => ({
			...inner,
			as: (name) => mortal(inner.as(name)),
			create: (kind, ...rest) => dying(kind, () => inner.create(kind, ...rest)),
			update: (kind, ...rest) => dying(kind, () => inner.update(kind, ...rest)),
			patch: (kind, ...rest) => dying(kind, () => inner.patch(kind, ...rest)),
			delete: (kind, ...rest) => dying(kind, () => inner.delete(kind, ...rest)),
		});
		const client = mortal(w.client);
		await using cache = createCache(client, { signal, log: silentLog });
		const running = runControllers({ client, cache, controllers: [controller], log: silentLog, now: Date.now, signal });
		// A life in which nothing is to be written ends as well, when what it waits for may be there.
		const timer = setTimeout(() => stop.abort(), 500);
		await running;
		clearTimeout(timer);
	}
	t.fail(`not done after ${MOST_LIVES} lives`);
	return lives;
}

const metadata = { name: 'a', namespace: 'default' };
const spec = { selector: { matchLabels: { app: 'a' } }, template: template('1', { app: 'a' }) };
const of = (pods: readonly Pod[], image: string, count: number) =>
	pods.length === count &&
	pods.every(
		({ metadata, spec, status }) =>
			!metadata.deletionTimestamp && spec.containers[0]?.image === `example:${image}` && status?.phase === 'Running',
	);
const made = (w: World) => {
	const names: string[] = [];
	w.cache.informer(Pod).on(({ object, old }) => {
		if (object && !old) names.push(object.metadata.name);
	});
	return names;
};

test('a StatefulSet whose controller dies with each write has each pod and claim once, through an update too', async (t) => {
	const w = await world(t);
	run(t, w, [kubelet({ anywhere: true }).controller]);
	const names = made(w);
	const claim = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
	await w.client.create(StatefulSet, {
		apiVersion: 'apps/v1',
		kind: 'StatefulSet',
		metadata,
		spec: { ...spec, serviceName: '', replicas: 2, volumeClaimTemplates: [{ metadata: { name: 'd' }, spec: claim }] },
	});
	const complete = (image: string) => async () => {
		const { status } = await w.client.get(StatefulSet, metadata);
		const done =
			status?.updatedReplicas === 2 && status.readyReplicas === 2 && status.currentRevision === status.updateRevision;
		return done && of((await w.client.list(Pod)).items, image, 2);
	};
	t.true((await live(t, w, statefulSet, complete('1'))) >= 5, 'a revision, two claims and two pods at least');
	t.deepEqual(names, ['a-0', 'a-1']);
	const body = { spec: { template: template('2', { app: 'a' }) } };
	await w.client.patch(StatefulSet, metadata, { type: 'merge', body });
	await live(t, w, statefulSet, complete('2'));
	t.deepEqual(names, ['a-0', 'a-1', 'a-1', 'a-0']);
	t.is((await w.client.list(PersistentVolumeClaim)).items.length, 2);
	t.is((await w.client.list(ControllerRevision)).items.length, 2);
});

test('a DaemonSet whose controller dies with each write has one pod on each node, through an update too', async (t) => {
	const w = await world(t);
	run(t, w, [scheduler(), kubelet().controller]);
	const names = made(w);
	for (const name of ['n1', 'n2', 'n3']) {
		const { status, ...node } = nodeShape(name);
		const there = await w.client.create(Node, { ...node, metadata: { name, labels: node.metadata.labels } });
		await w.client.update(Node, { ...there, status }, { subresource: 'status' });
	}
	await w.client.create(DaemonSet, { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata, spec });
	const complete = (image: string) => async () => {
		const { metadata: now, status } = await w.client.get(DaemonSet, metadata);
		const done =
			status?.observedGeneration === now.generation &&
			status?.updatedNumberScheduled === 3 &&
			status?.numberAvailable === 3;
		return done && of((await w.client.list(Pod)).items, image, 3);
	};
	t.true((await live(t, w, daemonSet, complete('1'))) >= 4, 'a revision and three pods at least');
	t.is(names.length, 3);
	const body = { spec: { template: template('2', { app: 'a' }) } };
	await w.client.patch(DaemonSet, metadata, { type: 'merge', body });
	await live(t, w, daemonSet, complete('2'));
	t.is(names.length, 6);
	t.is(new Set(names).size, 6);
	t.deepEqual((await w.client.list(Pod)).items.map(({ spec }) => spec.nodeName).sort(), ['n1', 'n2', 'n3']);
});
