/** HTTP/2: what real clients do over it, how connections end, and what those of ill will get. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import type { Response } from '../../src/api/http/exchange.ts';
import { limits } from '../../src/api/limits.ts';
import { serveTestApi, type TestServer } from '../testbed/api.ts';
import { configMap } from './objects.ts';

const run = promisify(execFile);
const maps = '/api/v1/namespaces/default/configmaps';

async function opened(t: ExecutionContext, how?: Parameters<typeof serveTestApi>[1]): Promise<TestServer> {
	const server = await serveTestApi({}, how);
	t.teardown(() => server[Symbol.asyncDispose]());
	return server;
}

function session(t: ExecutionContext, { url, tls: { ca, cert, key } }: TestServer): ClientHttp2Session {
	const made = connect(url, { ca, cert, key });
	made.on('error', () => {});
	t.teardown(() => made.destroy());
	return made;
}

/** One request, and its answer. */
async function ask(
	of: ClientHttp2Session,
	path: string,
	{ method = 'GET', body, ...more }: { method?: string; body?: object | string; type?: string } = {},
) {
	const type = more.type ?? 'application/json';
	const sent = of.request(
		{ ':method': method, ':path': path, ...(body !== undefined && { 'content-type': type }) },
		{ endStream: body === undefined },
	);
	if (body !== undefined) sent.end(typeof body === 'string' ? body : JSON.stringify(body));
	const [headers] = await once(sent, 'response');
	const content = await text(sent);
	return { code: headers[':status'] as number, headers, content };
}

test('one connection carries reads, writes, watches and refusals side by side', async (t) => {
	const server = await opened(t);
	const one = session(t, server);
	const watch = one.request({ ':path': `${maps}?watch=true&resourceVersion=0` });
	const [head] = await once(watch, 'response');
	t.is(head[':status'], 200);
	const created = await ask(one, maps, { method: 'POST', body: configMap('a', { x: '1' }) });
	t.is(created.code, 201, created.content);
	const [event] = await once(watch, 'data');
	t.like(JSON.parse(String(event)), { type: 'ADDED', object: { metadata: { name: 'a' } } });

	const merge = { method: 'PATCH', type: 'application/merge-patch+json', body: { data: { x: '2' } } };
	const all = await Promise.all([
		ask(one, `${maps}/a`, merge),
		ask(one, `${maps}/nope`),
		ask(one, `${maps}?limit=1`),
		ask(one, `${maps}/a`, { method: 'HEAD' }),
		ask(one, maps, { method: 'POST', body: `"${'x'.repeat(limits.body)}"` }),
		ask(one, maps, { method: 'POST', body: '' }),
		ask(one, '/api/v1/namespaces/default/pods/a/exec?command=ls'),
	]);
	t.deepEqual(
		all.map(({ code }) => code),
		[200, 404, 200, 200, 413, 400, 400],
		all.map(({ content }) => content.slice(0, 200)).join('\n'),
	);
	t.is(all[3]?.content, '');
	t.true(Number(all[3]?.headers['content-length']) > 0);
	t.is(
		(await ask(one, `${maps}/a`, { method: 'DELETE' })).code,
		200,
		'the connection goes on after what was too large',
	);
	watch.close();
});

test('a large list comes whole, in pieces and compressed', async (t) => {
	const server = await opened(t);
	const one = session(t, server);
	const data = { text: 'x'.repeat(500_000) };
	for (const name of ['a', 'b', 'c', 'd']) await ask(one, maps, { method: 'POST', body: configMap(name, data) });
	const plain = await ask(one, maps);
	t.is(JSON.parse(plain.content).items.length, 4);
	const sent = one.request({ ':path': maps, 'accept-encoding': 'gzip' });
	const [head] = await once(sent, 'response');
	t.is(head['content-encoding'], 'gzip');
	t.is(gunzipSync(Buffer.concat(await Array.fromAsync(sent))).toString(), plain.content);
});

test('an answer that the server breaks off does not end as if it were whole', async (t) => {
	const server = await opened(t, {
		git: async (_request, response) => {
			response.setHeader('content-type', 'text/plain');
			response.write('a part', () => response.destroy());
		},
	});
	const sent = session(t, server).request({ ':path': '/git/x' });
	sent.on('error', () => {});
	sent.resume();
	await once(sent, 'response');
	if (!sent.closed) await once(sent, 'close').catch(() => undefined);
	t.is(sent.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
});

test('curl chooses HTTP/2 where it may, and HTTP/1.1 where it must', async (t) => {
	const server = await opened(t);
	const pki = join(server.dataDir, 'pki');
	const curl = async (...how: string[]) => {
		const tls = ['--cacert', join(pki, 'ca.crt'), '--cert', join(pki, 'admin.crt'), '--key', join(pki, 'admin.key')];
		const { stdout } = await run('curl', ['-sS', ...tls, '-w', '\n%{http_version} %{http_code}', ...how]);
		return stdout.split('\n').at(-1);
	};
	t.is(await curl('--http2', `${server.url}${maps}`), '2 200');
	t.is(await curl('--http1.1', `${server.url}${maps}`), '1.1 200');
	t.is(await curl('--http2', '-d', 'x', '-H', 'expect: 100-continue', `${server.url}${maps}`), '2 415');
});

test('a client certificate, a token and impersonation mean over HTTP/2 what they mean over HTTP/1.1', async (t) => {
	const server = await opened(t);
	const one = session(t, server);
	const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
	const who = async (headers: Readonly<Record<string, string | string[]>>) => {
		const sent = one.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json', ...headers });
		sent.end('{}');
		const [head] = await once(sent, 'response');
		const body = JSON.parse(await text(sent));
		return head[':status'] === 201 ? body.status.userInfo : body.message;
	};
	t.is((await who({})).username, 'kubernetes-admin');
	const ann = await who({
		'impersonate-user': 'ann',
		'impersonate-group': ['dev, ops', 'qa'],
		'impersonate-extra-scopes': ['a', 'b'],
	});
	t.deepEqual(ann, {
		username: 'ann',
		groups: ['dev, ops', 'qa', 'system:authenticated'],
		extra: { scopes: ['a', 'b'] },
	});
	t.is(await who({ authorization: 'Bearer nobody has it' }), 'Unauthorized');
	const bare = connect(server.url, { ca: server.tls.ca });
	t.teardown(() => bare.destroy());
	t.is((await ask(bare, maps)).code, 401);
});

test('kubectl speaks HTTP/2, and is not disturbed by connections that are told to go away', async (t) => {
	let told = 0;
	const random = () => {
		told++;
		return 0;
	};
	const server = await opened(t, { goawayChance: 1, random });
	const kubectl = (...args: string[]) => run('kubectl', ['--kubeconfig', server.kubeconfig, ...args]);
	const watching = kubectl('get', 'configmap', '-w', '-o', 'name', '--request-timeout=60s');
	const seen = new Promise<string>((resolve) => {
		let all = '';
		watching.child.stdout?.on('data', (chunk) => {
			all += chunk;
			if (all.split('\n').length > 5) resolve(all);
		});
	});
	for (const name of ['a', 'b', 'c', 'd', 'e']) await kubectl('create', 'configmap', name, '--from-literal=x=1');
	t.regex(await seen, /configmap\/a\n(.*\n)*configmap\/e\n/);
	watching.child.kill();
	await watching.catch(() => undefined);
	t.true(told > 10, 'kubectl has asked over HTTP/1.1');
});

test('a server that closes lets answers end, ends watches, and tells connections to go away', async (t) => {
	const server = await opened(t);
	const one = session(t, server);
	const away = once(one, 'goaway');
	const watch = one.request({ ':path': `${maps}?watch=true` });
	await once(watch, 'response');
	const idle = session(t, server);
	t.is((await ask(idle, '/healthz')).code, 200);
	const ended = text(watch);
	await server.served.close();
	t.is(await ended, '');
	t.is((await away)[0], constants.NGHTTP2_NO_ERROR);
	for (const each of [one, idle]) if (!each.closed) await once(each, 'close');
	t.pass();
});

test('more requests at once than a connection may have are refused, and the others go on', async (t) => {
	const server = await opened(t);
	const one = session(t, server);
	await once(one, 'remoteSettings');
	t.is(one.remoteSettings.maxConcurrentStreams, limits.streams);
	const watches: ClientHttp2Stream[] = [];
	for (let index = 0; index < limits.streams; index++) watches.push(one.request({ ':path': `${maps}?watch=true` }));
	await Promise.all(watches.map((watch) => once(watch, 'response')));
	const raw = await rawConnection(t, server);
	for (let index = 0; index <= limits.streams; index++) raw.request(`${maps}?watch=true`);
	const reset = await raw.frame(({ type }) => type === RST_STREAM || type === GOAWAY);
	t.deepEqual([reset.type, reset.payload.readUInt32BE(0)], [RST_STREAM, constants.NGHTTP2_REFUSED_STREAM]);
	t.is((await server.ask('/healthz')).code, 200);
	for (const watch of watches) watch.close();
});

const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const CONTINUATION = 9;
const END_STREAM = 1;
const END_HEADERS = 4;

interface Frame {
	readonly type: number;
	readonly stream: number;
	readonly payload: Buffer;
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
	const head = Buffer.alloc(9);
	head.writeUIntBE(payload.length, 0, 3);
	head[3] = type;
	head[4] = flags;
	head.writeUInt32BE(stream, 5);
	return Buffer.concat([head, payload]);
}

/** A field of a header block, without an index and without Huffman's code. Source: RFC 7541, 6.2.2. */
function field(name: string, value: string): Buffer {
	const length = (size: number) => {
		if (size < 127) return Buffer.of(size);
		const bytes = [127];
		for (let rest = size - 127; ; rest = Math.floor(rest / 128)) {
			bytes.push(rest < 128 ? rest : (rest % 128) + 128);
			if (rest < 128) return Buffer.from(bytes);
		}
	};
	return Buffer.concat([
		Buffer.of(0),
		length(name.length),
		Buffer.from(name),
		length(value.length),
		Buffer.from(value),
	]);
}

const block = (path: string, more: Readonly<Record<string, string>> = {}) =>
	Buffer.concat(
		Object.entries({ ':method': 'GET', ':scheme': 'https', ':authority': 'test', ':path': path, ...more }).map(
			([name, value]) => field(name, value),
		),
	);

/** A connection whose frames are made by hand. */
async function rawConnection(t: ExecutionContext, { tls: { ca, cert, key, port } }: TestServer) {
	const socket: TLSSocket = tlsConnect({ host: '127.0.0.1', port: Number(port), ca, cert, key, ALPNProtocols: ['h2'] });
	t.teardown(() => socket.destroy());
	socket.on('error', () => {});
	await once(socket, 'secureConnect');
	const frames: Frame[] = [];
	let rest = Buffer.alloc(0);
	socket.on('data', (chunk: Buffer) => {
		rest = Buffer.concat([rest, chunk]);
		while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
			const size = rest.readUIntBE(0, 3);
			frames.push({
				type: rest[3] ?? 0,
				stream: rest.readUInt32BE(5),
				payload: Buffer.from(rest.subarray(9, 9 + size)),
			});
			rest = rest.subarray(9 + size);
		}
	});
	socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(SETTINGS, 0, 0)]));
	let next = 1;
	return {
		socket,
		/** Sends what is given until the server has had enough of it. Resolves with the code of its GOAWAY, or undefined where it just hung up. */
		async flood(piece: () => Uint8Array): Promise<number | undefined> {
			for (let sent = 0; !socket.destroyed && !socket.readableEnded; sent++) {
				if (sent > 200_000) throw new Error('the server took it all');
				if (!socket.write(piece())) await Promise.race([once(socket, 'drain'), pause(50)]);
				else if (sent % 64 === 0) await new Promise(setImmediate);
				if (frames.some(({ type }) => type === GOAWAY)) break;
			}
			return frames.find(({ type }) => type === GOAWAY)?.payload.readUInt32BE(4);
		},
		/** Begins a request, and returns its stream. */
		request(path: string): number {
			const stream = next;
			next += 2;
			socket.write(frame(HEADERS, END_STREAM | END_HEADERS, stream, block(path)));
			return stream;
		},
		stream() {
			const stream = next;
			next += 2;
			return stream;
		},
		async frame(wanted: (frame: Frame) => boolean): Promise<Frame> {
			for (let turn = 0; turn < 1_200; turn++) {
				const found = frames.find(wanted);
				if (found) return found;
				await pause(50);
			}
			throw new Error(`no such frame among ${JSON.stringify(frames.map(({ type, stream }) => [type, stream]))}`);
		},
	};
}

/** Requests, of each of which the window is changed to one that it cannot have. */
function resetByServer(raw: Awaited<ReturnType<typeof rawConnection>>, by: number): Buffer {
	const pieces: Buffer[] = [];
	const increment = Buffer.alloc(4);
	increment.writeUInt32BE(by);
	for (let index = 0; index < 20; index++) {
		const stream = raw.stream();
		pieces.push(frame(HEADERS, END_STREAM | END_HEADERS, stream, block(maps)));
		pieces.push(frame(WINDOW_UPDATE, 0, stream, increment));
	}
	return Buffer.concat(pieces);
}

const floods: Readonly<Record<string, (raw: Awaited<ReturnType<typeof rawConnection>>) => () => Uint8Array>> = {
	// CVE-2023-44487
	'takes back each request at once': (raw) => () => {
		const pieces: Buffer[] = [];
		for (let index = 0; index < 20; index++) {
			const stream = raw.stream();
			const cancel = Buffer.of(0, 0, 0, constants.NGHTTP2_CANCEL);
			pieces.push(frame(HEADERS, END_STREAM | END_HEADERS, stream, block(maps)), frame(RST_STREAM, 0, stream, cancel));
		}
		return Buffer.concat(pieces);
	},
	// CVE-2025-8671: what the server has to reset is not open any more, and still in work.
	'makes the server reset each request by a window of nothing': (raw) => () => resetByServer(raw, 0),
	'makes the server reset each request by a window that overflows': (raw) => () => resetByServer(raw, 2 ** 31 - 1),
	'sends a body after the end of each request': (raw) => () => {
		const stream = raw.stream();
		const request = frame(HEADERS, END_STREAM | END_HEADERS, stream, block(maps));
		return Buffer.concat([request, frame(DATA, 0, stream, Buffer.alloc(1))]);
	},
	// CVE-2024-27983 and its like
	'never ends its headers': (raw) => {
		const stream = raw.stream();
		let begun = false;
		return () => {
			if (begun) return frame(CONTINUATION, 0, stream, field('x-more', 'x'.repeat(1_000)));
			begun = true;
			return frame(HEADERS, END_STREAM, stream, block(maps));
		};
	},
	'pings and does not read': (raw) => {
		raw.socket.pause();
		return () => Buffer.concat(Array.from({ length: 100 }, () => frame(PING, 0, 0, Buffer.alloc(8))));
	},
	'sends settings and does not read': (raw) => {
		raw.socket.pause();
		return () => Buffer.concat(Array.from({ length: 100 }, () => frame(SETTINGS, 0, 0)));
	},
};

for (const [what, make] of Object.entries(floods))
	test(`a connection that ${what} is ended, and nobody else hears of it`, async (t) => {
		t.timeout(180_000);
		const server = await opened(t);
		const other = session(t, server);
		const watch = other.request({ ':path': `${maps}?watch=true` });
		await once(watch, 'response');
		const raw = await rawConnection(t, server);
		const code = await raw.flood(make(raw));
		t.not(code, constants.NGHTTP2_NO_ERROR);
		t.is((await ask(other, maps, { method: 'POST', body: configMap('a') })).code, 201);
		const [event] = await once(watch, 'data');
		t.is(JSON.parse(String(event)).object.metadata.name, 'a');
	});

/** A server whose answers are more than what the buffers on the way take, and what becomes of the first of them. */
async function lavish(t: ExecutionContext) {
	const { promise: answer, resolve } = Promise.withResolvers<Response>();
	const git = async (_request: unknown, response: Response) => {
		response.end(Buffer.alloc(32 * 1024 * 1024));
		resolve(response);
	};
	return { server: await opened(t, { unread: 200, git }), answer };
}

test('an answer of which nobody reads the stream is reset, and the others of its connection go on', async (t) => {
	const { server, answer } = await lavish(t);
	const one = session(t, server);
	const unread = one.request({ ':path': '/git/x' });
	unread.on('error', () => {});
	await answer;
	// An error, or an end, is told to who reads.
	await new Promise((resolve) => unread.once('aborted', resolve).once('close', resolve));
	t.is(unread.rstCode, constants.NGHTTP2_CANCEL);
	t.is((await ask(one, maps)).code, 200);
});

test('a connection that reads nothing at all is ended', async (t) => {
	const { server, answer } = await lavish(t);
	const raw = await rawConnection(t, server);
	raw.socket.pause();
	const all = Buffer.alloc(4);
	all.writeUInt32BE(2 ** 31 - 1);
	const rest = Buffer.alloc(4);
	rest.writeUInt32BE(2 ** 31 - 1 - 65_535);
	const windows = [frame(SETTINGS, 0, 0, Buffer.concat([Buffer.of(0, 4), all])), frame(WINDOW_UPDATE, 0, 0, rest)];
	raw.socket.write(Buffer.concat(windows));
	raw.request('/git/x');
	const response = await answer;
	if (!response.destroyed) await once(response, 'close');
	t.false(response.writableFinished);
	t.is((await server.ask('/healthz')).code, 200);
});

/** The first byte of a block of headers that says `:status 200`, by the table of RFC 7541. */
const ok = 0x88;

/** What another version of HTTP, or the end of a body, could make of a request. Source: RFC 9113, 8.1.1, 8.2.2, 8.3.1. */
const ambiguous: Readonly<Record<string, Readonly<Record<string, string>>>> = {
	'a transfer encoding': { 'transfer-encoding': 'chunked' },
	'a header of the connection': { connection: 'close' },
	'an upgrade': { upgrade: 'h2c' },
	'a longer body announced than sent': { 'content-length': '9999' },
	'a shorter body announced than sent': { 'content-length': '1' },
	'two lengths': { 'content-length': '2, 3' },
	'a name in capitals': { 'X-A': 'b' },
	'a path that is none': { ':path': 'version HTTP/1.1\r\n\r\nGET' },
};

for (const [what, more] of Object.entries(ambiguous))
	test(`a request with ${what} is reset or refused, and nothing of it done`, async (t) => {
		const server = await opened(t);
		const raw = await rawConnection(t, server);
		const stream = raw.stream();
		const headers = { ':method': 'POST', 'content-type': 'application/json', ...more };
		raw.socket.write(
			Buffer.concat([
				frame(HEADERS, END_HEADERS, stream, block(maps, headers)),
				frame(DATA, END_STREAM, stream, Buffer.from(JSON.stringify(configMap('odd')))),
			]),
		);
		const answer = await Promise.race([
			raw.frame(({ type, stream: of }) => type === GOAWAY || (of === stream && [RST_STREAM, HEADERS].includes(type))),
			once(raw.socket, 'close').then(() => undefined),
		]);
		if (answer?.type === HEADERS) t.not(answer.payload[0], ok, 'it is refused');
		t.deepEqual((await server.ask(maps)).body.items, []);
	});

test('a small block of headers that stands for a large one is refused', async (t) => {
	const server = await opened(t);
	const raw = await rawConnection(t, server);
	const stream = raw.stream();
	// A field that is put into the table, and then named by its place there: RFC 7541, 6.2.1 and 6.1.
	const large = field('x-large', 'x'.repeat(3_000));
	large[0] = 0x40;
	const headers = Buffer.concat([block(maps), large, Buffer.alloc(10_000, 0x80 | 62)]);
	raw.socket.write(frame(HEADERS, END_STREAM | END_HEADERS, stream, headers));
	const answer = await Promise.race([
		raw.frame(({ type, stream: of }) => type === GOAWAY || (of === stream && type !== DATA)),
		once(raw.socket, 'close').then(() => undefined),
	]);
	t.false(answer?.type === HEADERS && answer.payload[0] === ok, 'it is refused');
	t.is((await server.ask('/healthz')).code, 200);
});

test('methods that nobody knows are refused, and counted together', async (t) => {
	const server = await opened(t);
	const one = session(t, server);
	for (const method of ['FETCH', 'BREW', 'x-y'])
		for (const path of [maps, `${maps}/a`, '/version'])
			t.is((await ask(one, path, { method })).code, 405, `${method} ${path}`);
	const counted = (await ask(one, '/metrics')).content.match(/^apiserver_request_total{verb="(?!get)[^"]*"/gm);
	t.deepEqual([...new Set(counted)], ['apiserver_request_total{verb="other"']);
});

test('headers that are too large are refused, and the server goes on', async (t) => {
	const server = await opened(t);
	const one = session(t, server);
	const large = one.request({ ':path': maps, 'x-large': 'x'.repeat(limits.headerBytes) });
	const outcome = await new Promise((resolve) => {
		large.on('response', (headers) => resolve(headers[':status']));
		large.on('error', () => resolve('ended'));
		large.on('close', () => resolve('ended'));
	});
	t.true(outcome === 431 || outcome === 'ended', String(outcome));
	t.is((await server.ask('/healthz')).code, 200);
});
