/** The channel protocol, against a small server that speaks it: what commands do in real containers is tested with the agent. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { type WebSocket, WebSocketServer } from 'ws';
import { exec, logs, overHttp } from '../../src/client/index.ts';
import { ApiError } from '../../src/kinds/index.ts';

const POD = { name: 'p', namespace: 'default' };

interface Handlers {
	readonly protocols?: readonly string[];
	connected?(socket: WebSocket, request: IncomingMessage): void;
	answered?(request: IncomingMessage, response: ServerResponse): void;
}

async function serving(t: ExecutionContext, handlers: Handlers) {
	const { protocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] } = handlers;
	const sockets = new WebSocketServer({
		noServer: true,
		handleProtocols: (offered) => protocols.find((each) => offered.has(each)) ?? false,
	});
	const server = createServer((request, response) => handlers.answered?.(request, response));
	server.on('upgrade', (request, socket, head) => {
		if (!handlers.connected) {
			const body = JSON.stringify({
				kind: 'Status',
				apiVersion: 'v1',
				status: 'Failure',
				reason: 'NotFound',
				code: 404,
				message: 'pods "p" not found',
			});
			socket.end(`HTTP/1.1 404 Not Found\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
			return;
		}
		sockets.handleUpgrade(request, socket, head, (websocket) => handlers.connected?.(websocket, request));
	});
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const { port } = server.address() as AddressInfo;
	const client = await overHttp(
		{ server: `http://127.0.0.1:${port}`, namespace: 'default', context: 'test' },
		'tester',
	);
	t.teardown(async () => {
		await client[Symbol.asyncDispose]();
		for (const socket of sockets.clients) socket.terminate();
		server.closeAllConnections();
		await new Promise((resolve) => server.close(resolve));
	});
	return client;
}

const send = (socket: WebSocket, channel: number, data: string) =>
	socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(data)]));

const finish = (socket: WebSocket, status: object) => {
	send(socket, 3, JSON.stringify({ kind: 'Status', apiVersion: 'v1', ...status }));
	socket.close(1000);
};

const exitCode = (code: number) => ({
	status: 'Failure',
	reason: 'NonZeroExitCode',
	message: `command terminated with exit code ${code}`,
	details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
});

const never = new AbortController().signal;

test('a command gets its input, gives its output and its errors, and its exit status', async (t) => {
	let url: string | undefined;
	const client = await serving(t, {
		connected(socket, request) {
			url = request.url;
			const input: string[] = [];
			socket.on('message', (data: Buffer) => {
				if (data[0] === 0) input.push(data.subarray(1).toString());
				// The end of the input.
				if (data[0] !== 255) return;
				t.is(data[1], 0);
				send(socket, 1, `out: ${input.join('')}`);
				send(socket, 2, 'err');
				finish(socket, exitCode(3));
			});
		},
	});
	const stdout = new PassThrough();
	const stderr = new PassThrough();
	async function* stdin() {
		yield Buffer.from('hel');
		yield Buffer.from('lo');
	}
	const code = await exec(client, POD, {
		command: ['cat', 'a b'],
		container: 'main',
		stdin: stdin(),
		stdout,
		stderr,
		signal: never,
	});
	t.is(code, 3);
	stdout.end();
	stderr.end();
	t.is(await text(stdout), 'out: hello');
	t.is(await text(stderr), 'err');
	const { pathname, searchParams } = new URL(url ?? '', 'http://host');
	t.is(pathname, '/api/v1/namespaces/default/pods/p/exec');
	t.deepEqual(searchParams.getAll('command'), ['cat', 'a b']);
	t.is(searchParams.get('container'), 'main');
	t.is(searchParams.get('tty'), null);
});

test('success is 0, also with an older server; a terminal has its sizes and no stderr', async (t) => {
	const sizes: string[] = [];
	const client = await serving(t, {
		protocols: ['v4.channel.k8s.io'],
		connected(socket, request) {
			t.is(socket.protocol, 'v4.channel.k8s.io');
			t.is(new URL(request.url ?? '', 'http://host').searchParams.get('stderr'), null);
			socket.on('message', (data: Buffer) => {
				if (data[0] === 4) sizes.push(data.subarray(1).toString());
				if (sizes.length === 2) finish(socket, { status: 'Success' });
			});
		},
	});
	async function* resizing() {
		yield { width: 80, height: 24 };
		yield { width: 100, height: 30 };
	}
	const options = {
		command: ['sh'],
		tty: true,
		stdout: new PassThrough(),
		stderr: new PassThrough(),
		sizes: resizing(),
		signal: never,
	};
	t.is(await exec(client, POD, options), 0);
	t.deepEqual(sizes, ['{"Width":80,"Height":24}', '{"Width":100,"Height":30}']);
});

test('a pod that is not there, a command that cannot run and a connection that breaks are errors of the API', async (t) => {
	const refused = await t.throwsAsync(exec(await serving(t, {}), POD, { command: ['x'], signal: never }));
	t.like(refused, { code: 404, reason: 'NotFound', message: 'pods "p" not found' });
	const failing = await serving(t, {
		connected: (socket) =>
			finish(socket, { status: 'Failure', reason: 'InternalError', code: 500, message: 'no such file: x' }),
	});
	const failed = await t.throwsAsync(exec(failing, POD, { command: ['x'], signal: never }));
	t.like(failed, { code: 500, message: 'no such file: x' });
	const breaking = await serving(t, { connected: (socket) => socket.terminate() });
	const broken = await t.throwsAsync(exec(breaking, POD, { command: ['x'], signal: never }));
	t.is(broken instanceof ApiError && broken.code, 503);
});

test('a command is left when the signal aborts, also while its input is silent', async (t) => {
	const stop = new AbortController();
	const client = await serving(t, { connected: () => stop.abort(new Error('enough')) });
	async function* silent() {
		await new Promise(() => undefined);
		yield Buffer.of();
	}
	await t.throwsAsync(exec(client, POD, { command: ['x'], stdin: silent(), signal: stop.signal }), {
		message: 'enough',
	});
});

test('a slow reader slows the command down, and gets every byte', async (t) => {
	const chunk = 'x'.repeat(100_000);
	let sent = 0;
	let most = 0;
	let read = 0;
	const client = await serving(t, {
		async connected(socket) {
			for (; sent < 200; sent++) {
				await new Promise<void>((resolve) =>
					socket.send(Buffer.concat([Buffer.of(1), Buffer.from(chunk)]), () => resolve()),
				);
				most = Math.max(most, (sent + 1) * chunk.length - read);
			}
			finish(socket, { status: 'Success' });
		},
	});
	const stdout = new Writable({
		highWaterMark: 1000,
		write(data, _encoding, done) {
			setTimeout(() => {
				read += data.length;
				done();
			}, 1);
		},
	});
	t.is(await exec(client, POD, { command: ['x'], stdout, signal: never }), 0);
	await new Promise<void>((resolve) => stdout.end(resolve));
	t.is(read, chunk.length * 200);
	t.true(most < chunk.length * 150, `as many as ${most} bytes were under way`);
});

test('logs come as they are written, with the options asked for, until the signal aborts', async (t) => {
	const stop = new AbortController();
	let url: string | undefined;
	const client = await serving(t, {
		answered(request, response) {
			url = request.url;
			response.write('first\n');
		},
	});
	const got: string[] = [];
	for await (const chunk of logs(client, POD, {
		container: 'main',
		follow: true,
		tailLines: 5,
		previous: false,
		signal: stop.signal,
	})) {
		got.push(Buffer.from(chunk).toString());
		stop.abort();
	}
	t.deepEqual(got, ['first\n']);
	t.is(url, '/api/v1/namespaces/default/pods/p/log?container=main&follow=true&tailLines=5');
});
