/** Images where the engine is slow to say what it has, and registries that answer no more. */
import { join } from 'node:path';
import test from 'ava';
import { DEADLINES } from '../../src/agents/engine/docker/requests.ts';
import { tar } from '../../src/agents/engine/tar.ts';
import { Pod } from '../../src/kinds/index.ts';
import { type EngineProxy, startEngineProxy } from '../testbed/engine-proxy.ts';
import { startRegistry } from '../testbed/registry.ts';
import { eventually, type RunningAgent, running, startNode, type TestNode, WAIT } from './node.ts';

let node: TestNode;
let proxy: EngineProxy;
let agent: RunningAgent;

test.before(async () => {
	node = await startNode();
	proxy = await startEngineProxy(node.engine.socketPath, join(node.engine.socketPath, '..', 'proxy.sock'));
	agent = await node.runAgent({ dockerHost: proxy.dockerHost, deadlines: { ...DEADLINES, progressMs: 3_000 } });
});
test.afterEach.always(() => {
	proxy.fault = () => undefined;
});
test.after.always(async () => {
	await node?.[Symbol.asyncDispose]();
	await proxy?.[Symbol.asyncDispose]();
});

const run = (name: string, image: string) =>
	node.pod(name, { containers: [{ name: 'main', image, imagePullPolicy: 'IfNotPresent', command: WAIT }] });
const tag = (repo: string, tag: string) => node.engine.docker.getImage('driftless/example:1').tag({ repo, tag });

test.serial('an image that is there is never fetched, whatever happens to images while it is looked up', async (t) => {
	await tag('local/only', '1');
	const held = Promise.withResolvers<void>();
	const isLook = (request: string) => /GET .*\/images\/local\/only:1\/json/.test(request);
	proxy.fault = (request) => (isLook(request) ? held.promise : undefined);
	await run('local', 'local/only:1');
	await eventually('the image is looked up', async () => proxy.seen.some(isLook));
	await tag('local/only', '2');
	await node.engine.docker.getImage('local/only:2').remove();
	// The agent has heard of it: what it asks next comes after that.
	await node.pod('next', {});
	await node.until('next', running);
	held.resolve();
	await node.until('local', running);
	t.deepEqual(
		(await node.events('local')).filter((event) => /^(Pulling|Failed)/.test(event)),
		[],
	);
});

test.serial('an image of another name that comes or goes concerns nobody else', async (t) => {
	await run('settled', 'driftless/example:1');
	await node.until('settled', running);
	const looks = () => proxy.seen.filter((request) => /GET .*\/images\/.*\/json/.test(request));
	const before = looks().length;
	const archive = tar([{ type: 'file', path: 'file', content: Buffer.from('else'), mode: 0o644 }]);
	await agent.engine.images.load('somebody/else:1', archive, {});
	await node.engine.docker.getImage('somebody/else:1').remove();
	// A missing image that comes is noticed, so that all before it has been heard.
	await run('late', 'local/late:1');
	await node.untilEvent('late', /^Failed/);
	await tag('local/late', '1');
	await node.until('late', running);
	const more = looks().slice(before);
	t.true(more.length > 0);
	t.deepEqual(
		more.filter((request) => !request.includes('local/late:1')),
		[],
	);
});

test.serial('registries that answer no more are given up, so that others are fetched from', async (t) => {
	await using registry = await startRegistry(node.engine);
	await registry.push('good:1', 'good');
	const stuck = ['stuck-1', 'stuck-2', 'stuck-3'];
	proxy.fault = (request) => (/images\/create\?.*stuck/.test(request) ? 'hang' : undefined);
	for (const name of stuck) await run(name, `127.0.0.1:9/${name}:1`);
	await eventually('three pulls hang', async () => proxy.hanging.size === 3);
	await run('good', `${registry.host}/good:1`);
	await node.until('good', running);
	for (const name of stuck) await node.untilEvent(name, /^Failed: .*there was no progress for 3 s/);
	t.pass();
});

test.serial('a pull that only a pod wants that has gone is given up', async (t) => {
	await using other = await startNode();
	await using patient = await startEngineProxy(
		other.engine.socketPath,
		join(other.engine.socketPath, '..', 'proxy.sock'),
	);
	const deadlines = { ...DEADLINES, progressMs: 3_600_000 };
	await using _agent = await other.runAgent({ dockerHost: patient.dockerHost, deadlines });
	patient.fault = (request) => (request.includes('/images/create?') ? 'hang' : undefined);
	const containers = [{ name: 'main', image: '127.0.0.1:9/wanted:1', command: WAIT }];
	await other.pod('leaver', { containers });
	await other.pod('stayer', { containers });
	await eventually('the pull hangs', async () => patient.hanging.size === 1);
	const leave = async (name: string) => {
		await other.client.delete(Pod, { namespace: 'default', name });
		await other.untilGone(name);
	};
	await leave('leaver');
	// Another pod comes and goes: the agent has done with the first by then.
	await other.pod('next', {});
	await other.until('next', running);
	await leave('next');
	t.is(patient.hanging.size, 1, 'another pod wants it still');
	await leave('stayer');
	await eventually('it is given up', async () => patient.hanging.size === 0);
	t.is(patient.seen.filter((request) => /^POST .*wanted/.test(request)).length, 1);
});
