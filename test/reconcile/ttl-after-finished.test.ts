/** Jobs that are deleted when they have ended for long enough, against a real API and store. */
import test from 'ava';
import { Job, jobEnd, Pod } from '../../src/kinds/index.ts';
import { garbageCollector } from '../../src/reconcile/cleanup/garbage-collector.ts';
import { job } from '../../src/reconcile/workloads/job.ts';
import { jobFinalizer } from '../../src/reconcile/workloads/job-finalizer.ts';
import { ttlAfterFinished } from '../../src/reconcile/workloads/ttl-after-finished.ts';
import { handClock } from '../client/clock.ts';
import { eventually, found, pass, run, world } from '../client/world.ts';
import { workers } from './workers.ts';

test('a Job goes with its pods when its time after the end is up, and not before', async (t) => {
	const w = await world(t);
	const clock = handClock();
	const began = Date.parse('2030-01-01T00:00:00Z');
	const now = () => began + clock.now();
	const controllers = [job, jobFinalizer, ttlAfterFinished, garbageCollector(), workers().controller];
	const running = run(t, w, controllers, now, clock);
	const name = { name: 'work', namespace: 'default' };
	await w.client.create(Job, {
		apiVersion: 'batch/v1',
		kind: 'Job',
		metadata: { ...name },
		spec: {
			ttlSecondsAfterFinished: 100,
			template: { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'example:1' }] } },
		},
	});
	let done: Job | undefined;
	for (let left = 50; left > 0 && !(done && jobEnd(done)); left--) {
		await pass(running, clock, 1);
		done = await w.client.get(Job, name);
	}
	t.truthy(done && jobEnd(done), JSON.stringify(done?.status));
	await pass(running, clock, 90);
	t.truthy(await found(w.client.get(Job, name)), 'it is kept for 100 s');
	await pass(running, clock, 30);
	await eventually(w, [Job, Pod], async () => {
		const gone = (await found(w.client.get(Job, name))) === undefined;
		return gone && (await w.client.list(Pod)).items.length === 0 ? true : undefined;
	});
	t.pass();
});
