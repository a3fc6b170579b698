/** Who waits for whom: the decisions as tables, and a tenant whose lists fill what he may have of a real server. */
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { Attributes } from '../../src/api/auth/authorizer.ts';
import type { User } from '../../src/api/auth/user.ts';
import type { Asked } from '../../src/api/http/attributes.ts';
import { classify } from '../../src/api/http/flow/classify.ts';
import { flowSchemas, type PriorityLevel, priorityLevels } from '../../src/api/http/flow/schemas.ts';
import { createSeats, type Seats, type Ticket } from '../../src/api/http/flow/seats.ts';
import { widthOf } from '../../src/api/http/flow/width.ts';
import { ConfigMap } from '../../src/kinds/index.ts';
import { admin, serveTestApi } from '../testbed/api.ts';
import { configMap } from './objects.ts';

const known = 'system:authenticated';
const account = (namespace: string): User => ({
	name: `system:serviceaccount:${namespace}:robot`,
	groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, known],
});
const node: User = { name: 'system:node:n1', groups: ['system:nodes', known] };
const of = (verb: string, what: string, namespace?: string): Attributes => {
	if (what.startsWith('/')) return { type: 'path', verb, path: what };
	const [resource = '', group = ''] = what.split('.', 2);
	const [plural = '', subresource] = resource.split('/');
	return { type: 'resource', verb, group, version: 'v1', resource: plural, subresource, namespace };
};
const lease = (verb: string): Attributes => ({
	...(of(verb, 'leases') as Extract<Attributes, { type: 'resource' }>),
	group: 'coordination.k8s.io',
});

test('a request falls under the level and the flow that who asks and what for give it', (t) => {
	for (const [user, attributes, level, flow] of [
		[{ name: 'root', groups: ['system:masters', known] }, of('list', 'pods'), 'exempt', 'exempt/'],
		[{ name: 'system:anonymous', groups: ['system:unauthenticated'] }, of('get', '/livez/ping'), 'exempt', 'probes/'],
		[
			{ name: 'system:anonymous', groups: ['system:unauthenticated'] },
			of('get', '/livezz'),
			'global-default',
			'global-default/system:anonymous',
		],
		[node, lease('update'), 'node-high', 'system-node-high/system:node:n1'],
		[node, of('patch', 'nodes/status'), 'node-high', 'system-node-high/system:node:n1'],
		[node, of('patch', 'pods/status', 'team-a'), 'system', 'system-nodes/system:node:n1'],
		[
			account('kube-system'),
			lease('update'),
			'leader-election',
			'system-leader-election/system:serviceaccount:kube-system:robot',
		],
		[account('kube-system'), of('list', 'pods', 'team-a'), 'workload-high', 'kube-system-service-accounts/team-a'],
		[account('team-a'), lease('update'), 'workload-low', 'service-accounts/system:serviceaccount:team-a:robot'],
		[{ name: 'ann', groups: [known] }, of('get', '/metrics'), 'global-default', 'global-default/ann'],
	] as const)
		t.deepEqual(classify(flowSchemas, user, attributes), { level, flow }, `${user.name} ${JSON.stringify(attributes)}`);
});

test('the schemas are in the order of their precedence, each of a level that there is, and the last one takes everybody', (t) => {
	const precedences = flowSchemas.map(({ matchingPrecedence }) => matchingPrecedence);
	t.deepEqual(
		precedences,
		[...precedences].sort((a, b) => a - b),
	);
	for (const { name, priorityLevel } of flowSchemas)
		t.true(
			priorityLevels.some((level) => level.name === priorityLevel),
			name,
		);
	t.deepEqual(classify(flowSchemas.slice(-1), { name: 'ann', groups: [known] }, of('get', 'pods')), {
		level: 'catch-all',
		flow: 'catch-all/ann',
	});
});

test('a list takes a seat for each hundred objects that it goes through, and ten at most', (t) => {
	for (const [query, verb, name, objects, width] of [
		['', 'get', 'a', 5_000, 1],
		['', 'list', undefined, 0, 1],
		['', 'list', undefined, 100, 1],
		['', 'list', undefined, 101, 2],
		['', 'list', undefined, 30_000, 10],
		['limit=250', 'list', undefined, 30_000, 3],
		['limit=250&labelSelector=a', 'list', undefined, 30_000, 10],
		['', 'list', 'one', 30_000, 1],
		['', 'deletecollection', undefined, 450, 5],
		['', 'watch', undefined, 450, 5],
		['resourceVersion=0', 'watch', undefined, 450, 5],
		['resourceVersion=7&sendInitialEvents=true', 'watch', undefined, 450, 5],
		['resourceVersion=7', 'watch', undefined, 450, 1],
	] as const) {
		const asked = { query: new URLSearchParams(query), verb, attributes: { ...of(verb, 'pods'), name } } as Asked;
		t.is(
			widthOf(asked, () => objects),
			width,
			`${verb} ${name ?? ''} ${query} of ${objects}`,
		);
	}
});

const half = (name: string, more: Partial<PriorityLevel> = {}): PriorityLevel => ({
	name,
	shares: 1,
	lendablePercent: 0,
	queues: true,
	...more,
});

/** Seats, and the requests that were let in, in their order. */
function room(levels: readonly PriorityLevel[], bounds: object = {}) {
	const seats: Seats = createSeats(levels, { total: 10, flowPart: 100, flowQueue: 3, levelQueue: 5, ...bounds });
	const started: string[] = [];
	const tickets = new Map<string, Ticket>();
	return {
		seats,
		started,
		take(name: string, level = 'a', width = 1) {
			const ticket = seats.take({ level, flow: name.replace(/\d+$/, '') }, width, () => started.push(name));
			tickets.set(name, ticket);
			return ticket.state;
		},
		leave: (name: string) => tickets.get(name)?.leave(),
	};
}

test('a level has its part of the seats, whatever the others want', (t) => {
	const { take } = room([half('a'), half('b')]);
	for (let index = 0; index < 5; index++) t.is(take(`x${index}`), 'granted');
	t.is(take('x5'), 'waiting');
	t.is(take('y', 'b', 5), 'granted');
	t.is(take('z', 'b'), 'waiting');
});

test('a level lends what it does not use, and gets it back when what uses it ends', (t) => {
	const { take, leave, started } = room([half('a', { lendablePercent: 100 }), half('b')]);
	t.is(take('y', 'b', 10), 'granted', 'all that a has is lent');
	t.is(take('x'), 'waiting');
	leave('y');
	t.deepEqual(started, ['x']);
});

test('what is exempt is counted by nobody and waits for nobody', (t) => {
	const { take } = room([half('free', { shares: undefined, queues: false }), half('a')]);
	t.is(take('x', 'a', 10), 'granted');
	for (let index = 0; index < 100; index++) t.is(take(`y${index}`, 'free'), 'granted');
	t.is(take('z', 'a'), 'waiting');
});

test('a level has its part of the seats, however much is exempt', (t) => {
	const { take } = room([half('free', { shares: undefined, queues: false }), half('a', { lendablePercent: 20 })]);
	for (let index = 0; index < 100; index++) t.is(take(`y${index}`, 'free'), 'granted');
	for (let index = 0; index < 8; index++) t.is(take(`x${index}`), 'granted');
	t.is(take('z'), 'waiting', 'there is nothing left to lend');
});

test('a flow that does not end what it began leaves seats for the others, and then only itself waits', (t) => {
	const { take, leave, started, seats } = room([half('a')], { flowPart: 50, levelQueue: 6 });
	for (let index = 0; index < 5; index++) t.is(take(`x${index}`), 'granted');
	for (const name of ['x5', 'x6', 'x7']) t.is(take(name), 'waiting');
	for (let index = 0; index < 5; index++) t.is(take(`y${index}`), 'granted', 'not behind x');
	t.is(take('y5'), 'waiting');
	t.is(take('z0'), 'waiting');
	leave('x0');
	t.deepEqual(started, ['x5']);
	leave('y0');
	leave('y1');
	t.deepEqual(started, ['x5', 'z0', 'y5'], 'what x wants is passed over while it has as much as it may');
	for (const name of ['x1', 'x2', 'x3', 'x4', 'x5', 'x6', 'x7', 'y2', 'y3', 'y4', 'y5', 'z0']) leave(name);
	t.like(seats.levels[0], { used: 0, waiting: 0 });
});

test('flows take turns, by what they have had and not by how much they ask for', (t) => {
	const { take, leave, started } = room([half('a')], { total: 1 });
	t.is(take('first'), 'granted');
	for (const name of ['much1', 'much2', 'much3', 'little1', 'other1']) t.is(take(name), 'waiting', name);
	for (const name of ['first', 'much1', 'little1', 'other1', 'much2', 'much3']) leave(name);
	t.deepEqual(started, ['much1', 'little1', 'other1', 'much2', 'much3']);
});

test('a flow that asks again at once waits for the turn of those who have had nothing', (t) => {
	const { take, leave, started } = room([half('a')], { total: 1 });
	take('first');
	for (const name of ['much1', 'much2', 'other1', 'other2']) take(name);
	leave('first');
	t.is(take('much3'), 'waiting');
	leave('much1');
	leave('other1');
	leave('much2');
	leave('other2');
	t.deepEqual(started, ['much1', 'other1', 'much2', 'other2', 'much3']);
});

test('what is wide is not passed over by what is narrow, and costs its flow as much as it is wide', (t) => {
	const { take, leave, started } = room([half('a')], { total: 4 });
	take('first', 'a', 1);
	for (const [name, width] of [
		['wide1', 4],
		['wide2', 4],
		['narrow1', 1],
		['narrow2', 1],
		['narrow3', 1],
	] as const)
		t.is(take(name, 'a', width), 'waiting');
	t.deepEqual(started, [], 'there is room for narrow ones, but a wide one is next');
	leave('first');
	t.deepEqual(started, ['wide1']);
	leave('wide1');
	t.deepEqual(started, ['wide1', 'narrow1', 'narrow2', 'narrow3'], 'four seats are as many as one wide request had');
});

test('a request that is wider than its level starts all the same', (t) => {
	const { take } = room([half('a'), half('b')]);
	t.is(take('wide', 'a', 100), 'granted');
	t.is(take('x'), 'waiting');
});

test('too many of one flow are refused, too many of a level, and at once where nobody may wait', (t) => {
	const { take, leave, started, seats } = room([half('a'), half('c', { queues: false })], { total: 2 });
	take('first');
	for (const name of ['x1', 'x2', 'x3']) t.is(take(name), 'waiting');
	t.is(take('x4'), 'refused');
	for (const name of ['y1', 'z1']) t.is(take(name), 'waiting');
	t.is(take('w1'), 'refused', 'the level is full');
	t.is(take('c1', 'c'), 'granted');
	t.is(take('c2', 'c'), 'refused');
	leave('y1');
	t.is(take('w2'), 'waiting', 'who leaves makes room');
	leave('first');
	leave('first');
	t.deepEqual(started, ['x1'], 'seats are given back once');
	t.like(seats.levels[0], { used: 1, waiting: 4, refused: 2 });
});

test('whatever comes and goes, no seat is lost and none is given twice', (t) => {
	const levels = [half('a', { lendablePercent: 50 }), half('b', { shares: 3, lendablePercent: 90 }), half('c')];
	const seats = createSeats(levels, { total: 20, flowPart: 60, flowQueue: 10, levelQueue: 30 });
	const open = new Map<Ticket, { started: boolean; width: number }>();
	let seed = 1;
	const random = (below: number) => {
		seed = (seed * 48_271) % 2_147_483_647;
		return seed % below;
	};
	for (let turn = 0; turn < 20_000; turn++) {
		if (random(2) === 0 || open.size === 0) {
			const state = { started: false, width: 1 + random(10) };
			const flow = { level: 'abc'[random(3)] ?? '', flow: String(random(5)) };
			const ticket = seats.take(flow, state.width, () => {
				state.started = true;
			});
			if (ticket.state === 'refused') continue;
			state.started ||= ticket.state === 'granted';
			open.set(ticket, state);
		} else {
			const ticket = [...open.keys()][random(open.size)];
			open.delete(ticket as Ticket);
			ticket?.leave();
		}
		const used = seats.levels.reduce((sum, level) => sum + level.used, 0);
		if (used > 20) return t.fail(`${used} seats are used in turn ${turn}`);
	}
	for (const ticket of open.keys()) ticket.leave();
	t.deepEqual(
		seats.levels.map(({ used, waiting }) => [used, waiting]),
		[
			[0, 0],
			[0, 0],
			[0, 0],
		],
	);
});

/** Waits for a condition, and says what was last seen where it does not come. */
async function until(t: ExecutionContext, what: () => Promise<string | undefined>): Promise<void> {
	let seen: string | undefined = 'nothing';
	for (let turn = 0; turn < 1_200 && seen !== undefined; turn++) {
		seen = await what();
		if (seen !== undefined) await pause(50);
	}
	t.is(seen, undefined);
}

test('a tenant whose lists nobody reads holds up neither the lease of a node, nor another tenant', async (t) => {
	t.timeout(300_000);
	const everybody = {
		authorize: () => ({ allowed: true, reason: 'a test' }),
		rules: () => ({ resources: [], paths: [], incomplete: false }),
	};
	const fairness = { total: 40, queueWait: 280_000 };
	await using server = await serveTestApi({ authorizers: [everybody] }, { fairness });
	const groups = (namespace: string) => account(namespace).groups.join(',');
	await writeFile(
		server.tokens,
		['a', 'b']
			.map((name) => `${name},system:serviceaccount:${name}:robot,${name},"${groups(name)}"\n`)
			.concat('n,system:node:n1,n,system:nodes\n')
			.join(''),
	);
	// A list of them is more than what the buffers on the way take: it goes on while nobody reads.
	const maps = { kind: ConfigMap, namespace: 'default' };
	const text = 'x'.repeat(16_000);
	for (let index = 0; index < 1_000; index++)
		await server.api.create(maps, configMap(`m-${index}`, { text }), {}, admin);
	const lists = '/api/v1/namespaces/default/configmaps';
	const agent = new Agent({ keepAlive: false });
	t.teardown(() => agent.destroy());
	const open = (token: string, path: string) => {
		const state: { response?: IncomingMessage; ended: boolean } = { ended: false };
		const { cert: _, key: __, ...tls } = server.tls;
		const headers = { authorization: `Bearer ${token}` };
		const sent = request({ ...tls, path, headers, agent });
		sent.on('response', (response) => {
			state.response = response;
			response.on('end', () => {
				state.ended = true;
			});
		});
		sent.on('error', () => {});
		sent.end();
		return state;
	};
	const figure = async (name: string) => {
		const { text } = await server.ask('/metrics');
		return Number(
			new RegExp(`^apiserver_flowcontrol_${name}{priority_level="workload-low"} (.*)$`, 'm').exec(text)?.[1],
		);
	};

	const many = Array.from({ length: 60 }, () => open('a', lists));
	await until(t, async () => {
		const [waiting, used, refused] = [
			await figure('current_inqueue_requests'),
			await figure('current_executing_seats'),
			await figure('rejected_requests_total'),
		];
		return waiting === 50 && refused > 0 ? undefined : `${waiting} wait, ${used} seats are used, ${refused} refused`;
	});
	await until(t, async () => {
		const early = many.filter(({ response }) => response?.statusCode === 429);
		return early.length > 0 ? undefined : 'nobody was told 429';
	});
	for (const { response } of many) if (response?.statusCode === 429) t.is(response.headers['retry-after'], '1');

	const headers = { authorization: 'Bearer n' };
	const path = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
	const body = { metadata: { name: 'n1' }, spec: { holderIdentity: 'n1' } };
	const made = await server.ask(path, { as: 'nobody', headers, body });
	t.is(made.code, 201, made.text);
	const renewed = await server.ask(`${path}/n1`, { as: 'nobody', headers, method: 'PUT', body: made.body });
	t.is(renewed.code, 200, renewed.text);
	const unanswered = () => many.filter(({ response }) => response === undefined).length;
	t.is(unanswered(), 50, 'the lists wait all the while');

	const other = open('b', `${lists}/m-1`);
	await until(t, async () => (other.response ? undefined : `${unanswered()} lists are unanswered`));
	t.is(other.response?.statusCode, 200);
	t.is(unanswered(), 50, 'another tenant does not wait for who does not read what he asked for');
	await until(t, async () => {
		for (const { response } of many) response?.resume();
		return unanswered() === 0 ? undefined : `${unanswered()} lists are unanswered`;
	});
});
