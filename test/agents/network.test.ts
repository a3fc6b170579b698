/** The pods' network in the engine, and whose it is. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { removeNode } from '../../src/agents/index.ts';
import { NODE, running, startNode } from './node.ts';

test('a network is made anew only for its own node, and takes only containers of that node with it', async (t) => {
	await using node = await startNode();
	await using agent = await node.runAgent();
	const { engine } = agent;
	await node.pod('mine', {});
	await node.until('mine', running);
	// An agent that serves would start its pods anew while their network is taken from under them.
	await agent[Symbol.asyncDispose]();
	const wish = { name: 'driftless', bridge: 'drift0', mtu: 1500 };
	const running0 = async () => (await node.containers()).filter(({ state }) => state === 'running').length;

	const error = await t.throwsAsync(engine.prepare({ ...wish, node: 'node-2', cidr: '10.99.0.0/24' }));
	t.regex(error.message, /belongs to the node node-1, and this is the node node-2.*--node-name node-1/);
	t.is(await running0(), 2);

	const { docker } = node.engine;
	await docker.createNetwork({ Name: 'foreign', IPAM: { Driver: 'default', Config: [{ Subnet: '10.98.0.0/24' }] } });
	const foreign = { ...wish, name: 'foreign', bridge: 'drift1', node: NODE };
	await t.throwsAsync(engine.prepare({ ...foreign, cidr: '10.97.0.0/24' }), { message: /was not made for a node/ });
	await removeNode(engine, 'node-2', node.engine.dataDir);
	t.is(await running0(), 2);

	const guest = await docker.createContainer({
		name: 'guest',
		Image: 'driftless/example:1',
		Cmd: ['sleep', '3600'],
		HostConfig: { NetworkMode: 'driftless' },
	});
	await guest.start();
	await t.throwsAsync(engine.prepare({ ...wish, node: NODE, cidr: '10.99.0.0/24' }), { message: /active endpoints/ });
	t.true((await guest.inspect()).State.Running, 'a container of somebody else is left alone');
	await guest.remove({ force: true });
	await engine.prepare({ ...wish, node: NODE, cidr: '10.99.0.0/24' });
	const { IPAM } = await docker.getNetwork('driftless').inspect();
	t.is(IPAM?.Config?.[0]?.Subnet, '10.99.0.0/24');
});

test('a node that was renamed leaves what the one of the old name runs, and says how to go on', async (t) => {
	await using node = await startNode();
	await using first = await node.runAgent();
	await node.pod('host', { hostNetwork: true });
	await node.until('host', running);
	await first[Symbol.asyncDispose]();
	const told = /belongs to the node node-1, and this is the node renamed.*--node-name node-1/;
	await t.throwsAsync(node.runAgent({ nodeName: 'renamed' }), { message: told });
	t.is((await node.containers()).filter(({ state }) => state === 'running').length, 2);

	// Taken off the engine, the directory is free again.
	await using again = await node.runAgent();
	await again[Symbol.asyncDispose]();
	const { docker } = node.engine;
	const folder = await mkdtemp(join(node.engine.dataDir, '..', 'other-'));
	try {
		t.is(await removeNode(again.engine, NODE, node.engine.dataDir), 2);
	} finally {
		await rm(folder, { recursive: true });
	}
	t.deepEqual(await docker.listContainers({ all: true }), []);
	t.deepEqual(await docker.listNetworks({ filters: { name: ['driftless'] } as never }), []);
});

test('a network, or an image of sandboxes, that somebody removes is made anew for the next pod', async (t) => {
	await using node = await startNode();
	await using _agent = await node.runAgent();
	await node.engine.docker.getNetwork('driftless').remove();
	await node.engine.docker.getImage('driftless/pause:1').remove();
	await node.pod('next', {});
	await node.until('next', running);
	t.truthy((await node.get('next')).status?.podIP);
	t.deepEqual(
		(await node.events('next')).filter((event) => event.includes('No such image')),
		[],
	);
});
