/** Watches share the server as requests do: a user has his part of those that may be open, and a seat until he has what there is. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import WebSocket from 'ws';
import { ConfigMap } from '../../src/kinds/index.ts';
import { admin, serveTestApi } from '../testbed/api.ts';
import { configMap } from './objects.ts';

const maps = '/api/v1/namespaces/default/configmaps';
const everybody = {
	authorize: () => ({ allowed: true, reason: 'a test' }),
	rules: () => ({ resources: [], paths: [], incomplete: false }),
};

/** A server for the service accounts `a` and `b`, whose requests are of one level. */
async function opened(t: ExecutionContext, fairness: object) {
	const server = await serveTestApi({ authorizers: [everybody] }, { fairness });
	t.teardown(() => server[Symbol.asyncDispose]());
	const line = (name: string) =>
		`${name},system:serviceaccount:${name}:robot,${name},"system:serviceaccounts,system:serviceaccounts:${name}"\n`;
	await writeFile(server.tokens, line('a') + line('b'));
	const agent = new Agent({ keepAlive: false });
	t.teardown(() => agent.destroy());
	const { cert: _, key: __, ...tls } = server.tls;
	const open = async (token: string, path: string) => {
		const sent = request({ ...tls, path, headers: { authorization: `Bearer ${token}` }, agent });
		sent.on('error', () => {});
		sent.end();
		const [response] = (await once(sent, 'response')) as [IncomingMessage];
		return response;
	};
	const seats = async () => {
		const { text } = await server.ask('/metrics');
		const line = /^apiserver_flowcontrol_current_executing_seats{priority_level="workload-low"} (.*)$/m;
		return Number(line.exec(text)?.[1]);
	};
	return { server, open, seats, tls };
}

/** Waits until there are so many. */
async function until(t: ExecutionContext, figure: () => Promise<number>, wanted: number): Promise<void> {
	let seen = await figure();
	for (let turn = 0; turn < 1_200 && seen !== wanted; turn++) {
		await pause(50);
		seen = await figure();
	}
	t.is(seen, wanted);
}

test('a user has his part of the watches, is told so, and has a place again when one of his ends', async (t) => {
	const { server, open, tls } = await opened(t, { watches: 40 });
	const watch = `${maps}?watch=true`;
	const held: IncomingMessage[] = [];
	let last = await open('a', watch);
	for (; last.statusCode === 200 && held.length < 40; last = await open('a', watch)) held.push(last);
	t.is(last.statusCode, 429);
	t.is(last.headers['retry-after'], '5');
	t.true(held.length > 1 && held.length <= 20, `${held.length} of 40 watches are of one user`);
	t.is((await open('b', watch)).statusCode, 200);
	t.is((await open('a', maps)).statusCode, 200, 'his other requests are answered');

	const url = `wss://127.0.0.1:${server.served.port}${watch}`;
	const socket = new WebSocket(url, { ca: tls.ca as string, headers: { authorization: 'Bearer a' } });
	const [error] = (await once(socket, 'error').catch((cause: unknown) => [cause])) as [Error];
	t.regex(String(error), /429/, 'a watch over a WebSocket is a watch');

	held.pop()?.destroy();
	await until(t, async () => (await open('a', watch)).statusCode ?? 0, 200);
});

test('a watch has its seats until its client has what there was, and then none', async (t) => {
	const { server, open, seats } = await opened(t, {});
	const text = 'x'.repeat(64_000);
	// More than what the buffers on the way take.
	for (let index = 0; index < 301; index++)
		await server.api.create({ kind: ConfigMap, namespace: 'default' }, configMap(`m-${index}`, { text }), {}, admin);
	const unread = await open('a', `${maps}?watch=true&resourceVersion=0`);
	await until(t, seats, 4);
	unread.resume();
	await until(t, seats, 0);
	const now = (await server.ask(maps)).body.metadata.resourceVersion;
	const after = await open('b', `${maps}?watch=true&resourceVersion=${now}`);
	await until(t, seats, 0);
	const [next] = await Promise.all([once(after, 'data'), server.ask(maps, { body: configMap('new') })]);
	t.regex(String(next), /"ADDED".*"new"/);
});
