/** HTTP/1.1 as bytes: requests that come before the ones before them are answered, and answers that nobody reads. */
import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type ConnectionOptions, connect } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import type { Response } from '../../src/api/http/exchange.ts';
import { cutOffUnread } from '../../src/api/http/unread.ts';
import { limits } from '../../src/api/limits.ts';
import { serveTestApi, type TestServer } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { configMap } from './objects.ts';

const maps = '/api/v1/namespaces/default/configmaps';

async function opened(t: ExecutionContext, how?: Parameters<typeof serveTestApi>[1]): Promise<TestServer> {
	const server = await serveTestApi({}, how);
	t.teardown(() => server[Symbol.asyncDispose]());
	return server;
}

/** A connection of the administrator, and all that has come on it. */
async function connection(t: ExecutionContext, { tls }: TestServer) {
	const socket = connect({ ...(tls as ConnectionOptions), ALPNProtocols: ['http/1.1'] });
	t.teardown(() => socket.destroy());
	socket.on('error', () => {});
	await once(socket, 'secureConnect');
	const one = { socket, text: '', ended: false };
	socket.setEncoding('utf8').on('data', (chunk) => {
		one.text += chunk;
	});
	socket.on('close', () => {
		one.ended = true;
	});
	return one;
}

type Connection = Awaited<ReturnType<typeof connection>>;

/** All that has come on a connection when the condition holds. */
async function until(t: ExecutionContext, one: Connection, done: (text: string) => boolean): Promise<string> {
	for (let turn = 0; turn < 6_000 && !done(one.text) && !one.ended; turn++) await pause(20);
	t.true(done(one.text), `${one.ended ? 'closed' : 'open'} after ${one.text.slice(-500)}`);
	return one.text;
}

const request = (method: string, path: string, body?: object, type = 'application/json') => {
	const text = body === undefined ? '' : JSON.stringify(body);
	const about = body === undefined ? '' : `content-type: ${type}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n`;
	return `${method} ${path} HTTP/1.1\r\nhost: a\r\n${about}\r\n${text}`;
};
const codes = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => Number(code));

test('requests sent at once on a connection are done one after the other, each after the answer of the one before', async (t) => {
	const server = await opened(t);
	const one = await connection(t, server);
	const [change, rounds] = ['application/merge-patch+json', 10];
	for (let round = 0; round < rounds; round++)
		one.socket.write(
			[
				request('POST', maps, configMap(`m-${round}`)),
				request('PATCH', `${maps}/m-${round}`, { data: { a: 'b' } }, change),
				request('GET', `${maps}/m-${round}`),
				request('DELETE', `${maps}/m-${round}`),
				request('GET', `${maps}/m-${round}`),
			].join(''),
		);
	const text = await until(t, one, (seen) => codes(seen).length === 5 * rounds);
	t.deepEqual(codes(text), Array(rounds).fill([201, 200, 200, 200, 404]).flat());
});

test('a request begins when the one before it on its connection is answered, and not before', async (t) => {
	const steps: string[] = [];
	const server: TestServer = await opened(t, {
		git: async (_request, response, path) => {
			steps.push(`begin ${path}`);
			// Another connection is served meanwhile.
			if (path === '/first') await server.ask(maps);
			steps.push(`end ${path}`);
			response.end();
		},
	});
	const one = await connection(t, server);
	one.socket.write(request('POST', '/git/first', {}) + request('GET', '/git/second') + request('GET', '/git/third'));
	await until(t, one, (seen) => codes(seen).length === 3);
	t.deepEqual(
		steps,
		['first', 'second', 'third'].flatMap((name) => [`begin /${name}`, `end /${name}`]),
	);
});

test('a connection with more requests at once than it may have is told so, and ended', async (t) => {
	const server: TestServer = await opened(t);
	const one = await connection(t, server);
	one.socket.write(request('GET', '/version').repeat(limits.streams + 100));
	await until(t, one, () => one.ended);
	const all = codes(one.text);
	t.deepEqual(all, [...Array(limits.streams).fill(200), 429]);
	const { code } = await server.ask(maps);
	t.is(code, 200);
});

test('what comes behind a request too many is not done, however much has been answered meanwhile', async (t) => {
	const begun: string[] = [];
	const gates: (() => void)[] = [];
	const server = await opened(t, {
		git: async (_request, response, path) => {
			begun.push(path);
			await new Promise<void>((resolve) => gates.push(resolve));
			response.end();
		},
	});
	const one = await connection(t, server);
	one.socket.write(request('GET', '/git/some').repeat(limits.streams + 1));
	for (let turn = 1; turn <= 3; turn++) {
		await until(t, one, () => gates.length === turn);
		gates[turn - 1]?.();
	}
	await until(t, one, (seen) => codes(seen).length === 3);
	one.socket.write(request('POST', '/git/behind', {}));
	while (!one.ended) {
		gates.at(-1)?.();
		await server.ask(maps);
	}
	t.deepEqual(begun, Array(limits.streams).fill('/some'));
	t.deepEqual(codes(one.text), [...Array(limits.streams).fill(200), 429]);
});

/** How many watches and streams a server has open, once it is so many, or when patience ends. */
async function watches({ ask }: TestServer, wanted: number): Promise<number> {
	for (let turn = 0; ; turn++) {
		const seen = Number(/^apiserver_longrunning_requests (.*)$/m.exec((await ask('/metrics')).text)?.[1]);
		if (seen === wanted || turn === 600) return seen;
		await pause(20);
	}
}

/** A server that answers /git/late once `late` is resolved; what it has begun below /git is in `begun`. */
async function answersLate(t: ExecutionContext) {
	const begun: string[] = [];
	const late = Promise.withResolvers<void>();
	const server = await opened(t, {
		git: async (_request, response, path) => {
			begun.push(path);
			if (path === '/late') await late.promise;
			response.end('done');
		},
	});
	return { server, begun, late };
}

test('what a client has sent behind another request is not done when the client has gone before its turn', async (t) => {
	const { server, begun, late } = await answersLate(t);
	const one = await connection(t, server);
	const watch = request('GET', `${maps}?watch=true`);
	one.socket.write(request('GET', '/git/late') + watch + request('GET', '/git/behind'));
	await until(t, one, () => begun.length > 0);
	const other = await connection(t, server);
	other.socket.write(watch);
	t.is(await watches(server, 1), 1);
	one.socket.destroy();
	await until(t, one, () => one.ended);
	late.resolve();
	// What others ask is answered later than what has begun by then.
	for (let turn = 0; turn < 10; turn++) await server.ask(maps);
	other.socket.destroy();
	t.is(await watches(server, 0), 0, 'no watch is open that nobody reads');
	t.deepEqual(begun, ['/late']);
});

test('a server that closes ends what it has begun, and begins nothing that waits behind it', async (t) => {
	const { server, begun, late } = await answersLate(t);
	const one = await connection(t, server);
	one.socket.write(request('GET', '/git/late') + request('POST', '/git/behind', {}));
	await until(t, one, () => begun.length > 0);
	const closed = server.served.close();
	late.resolve();
	await closed;
	await until(t, one, () => one.ended);
	t.deepEqual(codes(one.text), [200]);
	t.deepEqual(begun, ['/late']);
});

test('an answer that nobody reads is cut off, and neither a watch on which nothing happens nor a late answer', async (t) => {
	const { promise: response, resolve } = Promise.withResolvers<Response>();
	const late = Promise.withResolvers<void>();
	const server = await opened(t, {
		unread: 200,
		git: async (_request, response, path) => {
			if (path === '/late') {
				await late.promise;
				response.end('late');
				return;
			}
			// More than what the buffers on the way take.
			response.end(Buffer.alloc(64 * 1024 * 1024));
			resolve(response);
		},
	});
	const watch = await connection(t, server);
	watch.socket.write(request('GET', `${maps}?watch=true&resourceVersion=0`));
	await until(t, watch, (seen) => codes(seen).length === 1);
	const slow = await connection(t, server);
	slow.socket.write(request('GET', '/git/late'));

	const deaf = await connection(t, server);
	deaf.socket.pause().write(request('GET', '/git/large'));
	const unread = await response;
	await once(unread, 'close');
	t.false(unread.writableFinished);

	late.resolve();
	t.true((await until(t, slow, (seen) => seen.includes('late'))).startsWith('HTTP/1.1 200'));
	await server.ask(maps, { body: configMap('event') });
	t.true((await until(t, watch, (seen) => seen.includes('ADDED'))).includes('"event"'));
});

test('a connection on which nothing is asked any more ends, though answers may be late', async (t) => {
	const { pki } = await opened(t);
	const server = createSecureServer(
		{ ...pki.server, allowHTTP1: true, http1Options: { keepAliveTimeout: 1 } },
		(_, response) => response.end(),
	);
	cutOffUnread(server, 5_000_000);
	t.teardown(() => server.close());
	await once(server.listen(0, '127.0.0.1'), 'listening');
	const { port } = server.address() as AddressInfo;
	const socket = connect({ port, host: '127.0.0.1', ca: pki.authority.cert, ALPNProtocols: ['http/1.1'] });
	await once(socket, 'secureConnect');
	socket.resume().write(request('GET', '/'));
	await once(socket, 'close');
	t.pass();
});

const inner = request('POST', maps, configMap('smuggled'));
const head = `POST ${maps} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n`;
const chunked = 'transfer-encoding: chunked\r\n';
/** Requests of which two readers could see different ends, each with another request behind one of them. Source: RFC 9112, 6.3, 7.1, 11.2. */
const ambiguous: Readonly<Record<string, string>> = {
	'a length and chunks': `${head}content-length: 4\r\n${chunked}\r\n0\r\n\r\n${inner}`,
	'chunks and a length': `${head}${chunked}content-length: 4\r\n\r\n0\r\n\r\n${inner}`,
	'two lengths': `${head}content-length: 5\r\ncontent-length: 0\r\n\r\nABCDE${inner}`,
	'a list of lengths': `${head}content-length: 0, 0\r\n\r\n${inner}`,
	'a length with a sign': `${head}content-length: +0\r\n\r\n${inner}`,
	'a length in hexadecimal': `${head}content-length: 0x0\r\n\r\n${inner}`,
	'a coding that only looks like chunks': `${head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${inner}`,
	'chunks that are not the last coding': `${head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${inner}`,
	'two codings': `${head}${chunked}transfer-encoding: x\r\n\r\n0\r\n\r\n${inner}`,
	'a space before the colon': `${head}transfer-encoding : chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n${inner}`,
	'a folded line': `${head}content-length: 0\r\nx-a: b\r\n content-length: 9\r\n\r\n${inner}`,
	'a line that ends without a return': `${head}content-length: 0\n\n${inner}`,
	'a return within a line': `${head}x: a\rcontent-length: 9\r\ncontent-length: 0\r\n\r\n${inner}`,
	'a chunk whose size is none': `${head}${chunked}\r\n0x2\r\n{}\r\n0\r\n\r\n${inner}`,
	'a chunk whose size is more than any': `${head}${chunked}\r\n10000000000000000\r\n\r\n0\r\n\r\n${inner}`,
	'a chunk whose size ends without a return': `${head}${chunked}\r\n2\n{}\r\n0\r\n\r\n${inner}`,
	'a chunk with a line end in its extension': `${head}${chunked}\r\n2;\nxx\r\n{}\r\n0\r\n\r\n${inner}`,
	'a chunk that goes on after its end': `${head}${chunked}\r\n2\r\n{}XX0\r\n\r\n${inner}`,
};

test('a request of which it is not clear where it ends ends its connection, nothing behind it is done, and no fault is logged', async (t) => {
	const faults: unknown[] = [];
	const log = { ...silentLog, error: (...what: unknown[]) => faults.push(what) };
	const server = await serveTestApi({ log });
	t.teardown(() => server[Symbol.asyncDispose]());
	for (const [what, bytes] of Object.entries(ambiguous)) {
		const one = await connection(t, server);
		one.socket.write(bytes, 'latin1');
		await until(t, one, () => one.ended);
		t.deepEqual(codes(one.text), [400], what);
	}
	t.deepEqual((await server.ask(maps)).body.items, []);
	t.deepEqual(faults, []);
});

test('a request that names two hosts is refused', async (t) => {
	const one = await connection(t, await opened(t));
	one.socket.write('GET /version HTTP/1.1\r\nhost: a\r\nHOST: a\r\n\r\n');
	t.regex(await until(t, one, (text) => text.endsWith('}')), /400 Bad Request.*too many Host headers/s);
	one.socket.write('GET /version HTTP/1.1\r\nHost: a\r\nconnection: close\r\n\r\n');
	t.deepEqual(codes(await until(t, one, () => one.ended)), [400, 200]);
});

test('a body that is not read is nothing to go on from: the next request is the one behind it, or none', async (t) => {
	const server = await opened(t);
	const hidden = (method: string, path: string) =>
		`${method} ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: ${inner.length}\r\n\r\n${inner}`;
	const bodies = [hidden('GET', '/version'), hidden('DELETE', `${maps}/none`), hidden('POST', '/none')];
	for (const bytes of [...bodies, `GET /version HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n`]) {
		const one = await connection(t, server);
		one.socket.write(bytes);
		await until(t, one, (seen) => codes(seen).length === 1);
		// Whatever is behind it is there to be found until the connection has ended.
		one.socket.end(`GET /version HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
		await until(t, one, () => one.ended);
		t.true(codes(one.text).length <= 2, one.text);
	}
	t.deepEqual((await server.ask(maps)).body.items, []);
});
