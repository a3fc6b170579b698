/** The way of a node from an engine that answers to one that runs pods, and back. */
import test from 'ava';
import { createReadiness } from '../../src/agents/readiness.ts';
import { createWheel } from '../../src/agents/wheel.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { eventually } from './node.ts';

/** A node whose preparations end when the test says so. */
function begin() {
	const attempts: PromiseWithResolvers<void>[] = [];
	const seen: (string | undefined)[] = [];
	const abort = new AbortController();
	const wheel = createWheel();
	const readiness = createReadiness({
		wheel,
		log: silentLog,
		signal: abort.signal,
		prepare() {
			const attempt = Promise.withResolvers<void>();
			attempts.push(attempt);
			return attempt.promise;
		},
		changed: () => void seen.push(readiness.fault),
	});
	const stop = () => {
		abort.abort();
		wheel[Symbol.dispose]();
	};
	const attempt = (index: number) => eventually(`attempt ${index}`, async () => attempts[index]);
	return { readiness, attempts, attempt, seen, [Symbol.dispose]: stop };
}

test('a node is ready once its engine has been listed and what pods need is there', async (t) => {
	using node = begin();
	t.regex(node.readiness.fault ?? '', /network not ready/);
	node.readiness.listed();
	(await node.attempt(0)).resolve();
	await node.readiness.reached;
	t.is(node.readiness.fault, undefined);
	node.readiness.lost('gone');
	t.is(node.readiness.fault, 'container runtime is down: gone');
	t.deepEqual(node.seen, [undefined, 'container runtime is down: gone']);
});

test('what cannot be prepared is said, and tried again', async (t) => {
	using node = begin();
	node.readiness.listed();
	(await node.attempt(0)).reject(new Error('the bridge is taken'));
	const second = await node.attempt(1);
	t.is(node.readiness.fault, 'container runtime network not ready: the bridge is taken');
	second.resolve();
	await node.readiness.reached;
	t.is(node.readiness.fault, undefined);
});

test('an engine that is lost while the node is prepared leaves it down, whatever comes of the preparation', async (t) => {
	using node = begin();
	node.readiness.listed();
	const first = await node.attempt(0);
	node.readiness.lost('gone');
	first.resolve();
	await node.readiness.idle();
	t.is(node.readiness.fault, 'container runtime is down: gone');
	t.is(node.attempts.length, 1, 'nothing is prepared on an engine that is down');
});

test('an engine that was lost and is back has the node prepared anew, one after the other', async (t) => {
	using node = begin();
	node.readiness.listed();
	const first = await node.attempt(0);
	node.readiness.lost('gone');
	node.readiness.listed();
	t.is(node.attempts.length, 1, 'not while the first goes on');
	first.resolve();
	const second = await node.attempt(1);
	t.is(node.readiness.fault, 'container runtime is down: gone', 'what was prepared before counts no more');
	second.resolve();
	await node.readiness.reached;
	t.is(node.readiness.fault, undefined);
});
