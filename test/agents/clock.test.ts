/** The machine's clock is set while the agent runs. */
import test from 'ava';
import { Event } from '../../src/kinds/index.ts';
import { eventually, Lease, NODE, restarts, running, startNode, type TestNode } from './node.ts';

const HOURS = 3_600_000;

let node: TestNode;
let offset = 0;

test.before(async () => {
	node = await startNode();
	await node.runAgent({ now: () => Date.now() + offset });
});
test.after.always(() => node?.[Symbol.asyncDispose]());

const renewed = async () => {
	const lease = await node.client.get(Lease, { namespace: 'kube-node-lease', name: NODE });
	return lease.spec?.renewTime;
};

test.serial('a clock that is set back stops neither the heartbeat nor probes nor restarts', async (t) => {
	const probe = { exec: { command: ['test', '-e', '/tmp/ready'] }, periodSeconds: 1, failureThreshold: 1 };
	const wait = 'touch /tmp/ready; while test ! -e /tmp/end; do sleep 0.1; done; rm /tmp/ready; sleep 3600';
	await node.pod('probed', {
		containers: [{ name: 'main', command: ['sh', '-c', wait], readinessProbe: probe }],
	});
	await node.until('probed', running);
	// Its second restart waits ten seconds.
	await node.pod('crashing', { containers: [{ name: 'main', command: ['false'] }] });
	await node.until('crashing', (pod) => restarts(pod) === 1);
	await node.pod('missing', { containers: [{ name: 'main', image: '127.0.0.1:9/none:1', command: ['true'] }] });
	await node.untilEvent('missing', /^BackOff/);
	// An event that comes again counts.
	const pulls = async () => {
		const { items } = await node.client.list(Event, { namespace: 'default' });
		return items.find(({ message = '' }) => message.startsWith('Failed to pull'))?.count ?? 0;
	};

	offset = -6 * HOURS;
	const before = await pulls();
	const { id = '' } = (await node.containers()).find(({ name }) => name === 'probed/main') ?? {};
	const exec = await node.engine.docker.getContainer(id).exec({ Cmd: ['touch', '/tmp/end'] });
	await exec.start({});
	await node.until('probed', (pod) => !running(pod));
	await node.until('crashing', (pod) => restarts(pod) >= 2);
	const first = await renewed();
	await eventually('the lease is renewed', async () => (await renewed()) !== first);
	const second = await renewed();
	await eventually('the lease is renewed again', async () => (await renewed()) !== second);
	t.true(Date.parse(second ?? '') < Date.now() - 5 * HOURS, 'by the clock as it is now');
	await eventually('the image is asked for again', async () => (await pulls()) > before);
});
