/**
 * Jobs whose controller is killed again and again, and whose writes are lost, or made without an answer: every pod that has
 * ended is counted once, and none is made that nobody asked for.
 */
import test from 'ava';
import { type Client, type Clock, createCache, systemClock } from '../../src/client/index.ts';
import { Job, jobEnd, Pod } from '../../src/kinds/index.ts';
import { type Controller, runControllers } from '../../src/reconcile/index.ts';
import { job } from '../../src/reconcile/workloads/job.ts';
import { jobFinalizer } from '../../src/reconcile/workloads/job-finalizer.ts';
import { TRACKING } from '../../src/reconcile/workloads/job-pods.ts';
import { eventually, run, world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { workers } from './workers.ts';

/** How much faster than real time the waits for failed pods pass. */
const SPEED = 400;
/** Of so many writes of the controller one is not made, one has no answer, and one is the last of its process. */
const ONE_IN = 12;

const seed = Number(process.env.DRIFTLESS_TEST_SEED ?? 1);

/** A draw of 0 to below `most`, the same in each run. */
function drawing(start: number): (most: number) => number {
	let state = start;
	return (most) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 2 ** 32) * most);
	};
}

test('whatever is killed and lost when, each pod is counted exactly once', async (t) => {
	const w = await world(t);
	const begin = performance.now();
	const clock: Clock = {
		now: () => (performance.now() - begin) * SPEED,
		after: (ms, then) => systemClock.after(ms / SPEED, then),
	};
	const began = Date.now();
	const now = () => began + clock.now();
	const nodes = workers();
	// The same of each pod, and of about one in four a failure.
	nodes.exit = ({ metadata }) => ((metadata.uid ?? '').charCodeAt(0) % 4 === 0 ? 1 : 0);
	run(t, w, [nodes.controller, jobFinalizer], now, clock);

	const draw = drawing(seed);
	let broken = 0;
	let kills = 0;
	const lossy = (inner: Client, process: AbortController): Client => {
		const write = async <T>(call: () => Promise<T>): Promise<T> => {
			process.signal.throwIfAborted();
			switch (draw(ONE_IN)) {
				case 0:
					broken++;
					throw new Error('the connection could not be made');
				case 1:
					broken++;
					await call();
					throw new Error('the connection was cut');
				case 2:
					kills++;
					if (draw(2) === 0) await call();
					process.abort(new Error('killed'));
					throw new Error('killed');
				default:
					return call();
			}
		};
		return {
			...inner,
			as: (name) => (name === 'job' ? lossy(inner.as(name), process) : inner.as(name)),
			...(inner.name === 'job' && {
				create: (...call) => write(() => inner.create(...call)),
				update: (...call) => write(() => inner.update(...call)),
				patch: (...call) => write(() => inner.patch(...call)),
				delete: (...call) => write(() => inner.delete(...call)),
			}),
		} as Client;
	};
	/** A process after the other, until the test ends. */
	const stop = new AbortController();
	const processes = async () => {
		while (!stop.signal.aborted) {
			const process = new AbortController();
			const signal = AbortSignal.any([stop.signal, process.signal]);
			const client = lossy(w.client, process);
			await using cache = createCache(client, { signal, log: silentLog });
			const controllers: Controller[] = [job];
			await runControllers({ client, cache, controllers, log: silentLog, now, clock, signal });
		}
	};
	const living = processes();
	t.teardown(() => {
		stop.abort();
		return living;
	});

	const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'example:1' }] } };
	const jobs: Record<string, Job['spec']> = {
		plain: { completions: 25, parallelism: 5, backoffLimit: 1000, template },
		indexed: { completions: 20, parallelism: 6, backoffLimit: 1000, completionMode: 'Indexed', template },
		limited: { completions: 15, parallelism: 5, completionMode: 'Indexed', backoffLimitPerIndex: 50, template },
		waiting: { completions: 10, parallelism: 5, backoffLimit: 1000, podReplacementPolicy: 'Failed', template },
		failing: { completions: 50, parallelism: 5, backoffLimit: 2, template },
	};
	for (const [name, spec] of Object.entries(jobs))
		await w.client.create(Job, { apiVersion: 'batch/v1', kind: 'Job', metadata: { name, namespace: 'default' }, spec });
	for (const name of Object.keys(jobs)) {
		const done = await eventually(
			w,
			[Job, Pod],
			async () => {
				const found = await w.client.get(Job, { name, namespace: 'default' });
				return jobEnd(found) ? found : undefined;
			},
			120_000,
		);
		const owned = (await w.client.list(Pod)).items.filter(({ metadata }) =>
			metadata.ownerReferences?.some(({ uid }) => uid === done.metadata.uid),
		);
		const { status = {} } = done;
		const of = (phase: string) => owned.filter((pod) => pod.status?.phase === phase).length;
		t.deepEqual(status.uncountedTerminatedPods, {}, name);
		t.deepEqual(
			owned.filter(({ metadata }) => metadata.finalizers?.includes(TRACKING)),
			[],
			name,
		);
		const { succeeded = 0, failed = 0 } = status;
		if (name === 'failing') {
			// Those that run when the verdict falls count as failed, whatever becomes of them, and most of them go.
			t.true(succeeded <= of('Succeeded') && failed <= 2 + 5 + 1, `${name}: ${succeeded} and ${failed}`);
			t.true(succeeded + failed >= of('Succeeded') + of('Failed'), `${name}: ${succeeded} and ${failed}`);
		} else {
			t.is(succeeded, of('Succeeded'), `${name}: successes`);
			t.is(failed, of('Failed'), `${name}: failures`);
			t.is(succeeded, jobs[name]?.completions ?? 0, name);
		}
		t.is(status.active, undefined);
	}
	t.true(broken > 20 && kills > 5, `${broken} writes were lost, and ${kills} processes killed`);
});
