/**
 * The API server over TLS at 32 connections: creates, gets, patches and a list, each beside what a bare HTTPS server of Node.js
 * does with bodies of the same size in the same run; and its memory after 10,000 pods.
 * Usage: node bench/api.ts [--store etcd://HOST:PORT] [--seconds 4]
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http2 from 'node:http2';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { parseArgs } from 'node:util';
import { openApi, openPki, serveApi } from '../src/api/index.ts';
import { loadRegistry } from '../src/kinds/index.ts';
import { openStore } from '../src/store/index.ts';

const connections = 32;
const listed = 3_000;
/** Seconds of each load before it is measured: code is compiled while it runs. */
const warmUp = 1;
/** How many pods there are when the memory is looked at. */
const kept = 10_000;

const { values } = parseArgs({
	options: {
		store: { type: 'string', default: 'sqlite' },
		seconds: { type: 'string', default: '4' },
		serve: { type: 'string' },
		data: { type: 'string' },
	},
});

/** The server's half, in a process of its own: the API, or a bare server of the same certificates. */
async function serve(what: string, dataDir: string): Promise<void> {
	const pki = await openPki({ dataDir });
	const nothing = () => {};
	process.on('message', () => {
		const { user, system } = process.cpuUsage();
		process.send?.({ rss: process.memoryUsage().rss, cpu: user + system });
	});
	if (what === 'bare') {
		const body = Buffer.from(JSON.stringify(pod('bare')).padEnd(1_300));
		const server = createServer({ ...pki.server, ca: pki.authority.cert, requestCert: true }, (request, response) => {
			request.on('data', nothing).on('end', () => {
				response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
			});
		});
		server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
		return;
	}
	const store = await openStore(values.store, dataDir);
	const log = { debug: nothing, info: nothing, warn: console.error, error: console.error };
	const api = await openApi({ store, registry: loadRegistry(), log, alone: values.store === 'sqlite' });
	const { port } = await serveApi({ api, pki, address: '127.0.0.1', port: 0, log });
	process.send?.({ port });
}

async function measure(): Promise<void> {
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-bench-'));
	const seconds = Number(values.seconds);
	try {
		const rows: [string, string][] = [];
		/** What the bare server takes for a get, and for a post with a body. */
		const bareCost: { get?: number; post?: number } = {};
		/** Loads a server for a while; the CPU time of a request says more than the rate where the machine is shared. */
		const timed = async (name: string, child: ChildProcess, run: (seconds: number) => Promise<Load>, sends: Sends) => {
			await run(warmUp);
			const before = await usage(child);
			const { rate, done } = await run(seconds);
			const { cpu } = await usage(child);
			const each = (cpu - before.cpu) / done;
			bareCost[sends] ??= each;
			const times = (of: number | undefined) => (each / (of ?? each)).toFixed(1);
			const beside = `${times(bareCost.get)} times a bare get${sends === 'get' ? '' : `, ${times(bareCost.post)} times a bare post`}`;
			rows.push([name, `${Math.round(rate)}/s, ${each.toFixed(0)} µs of CPU each, ${beside}`]);
		};
		const row = (name: string, { child, port }: Started, next: () => Buffer, sends: Sends = 'post') =>
			timed(name, child, (seconds) => load(port, dataDir, seconds, next), sends);
		const rowOver2 = (name: string, { child, port }: Started, next: () => string) =>
			timed(name, child, (seconds) => loadOver2(port, dataDir, seconds, next), 'get');
		const bare = await start('bare', dataDir);
		await row('bare HTTPS server, gets', bare, () => get('bare'), 'get');
		await row('bare HTTPS server, posts of a pod', bare, () => create('bare'));
		bare.child.kill();
		const api = await start('api', dataDir);
		let made = 0;
		await row('creates', api, () => create(`pod-${made++}`));
		await row('gets', api, () => get(`pod-${random(made)}`), 'get');
		await rowOver2('gets over HTTP/2, one connection', api, () => `${pods('default')}/pod-${random(made)}`);
		await row('merge patches', api, () => patch(`pod-${random(made)}`));
		await row('server-side applies, unchanged', api, () => apply('applied'));
		await load(api.port, dataDir, 0, () => create(`listed-${made++}`, 'kube-public'), listed);
		const times: number[] = [];
		for (let index = 0; index < 20; index++) {
			const started = performance.now();
			await load(api.port, dataDir, 0, () => request('GET', '/api/v1/namespaces/kube-public/pods'), 1, 1);
			times.push(performance.now() - started);
		}
		times.sort((a, b) => a - b);
		rows.push([`list of ${listed} pods, with its connection, median`, `${times[10]?.toFixed(1)} ms`]);
		api.child.kill();
		if (values.store === 'sqlite') rows.push(['memory', await memory()]);
		for (const [name, figure] of rows) console.log(`${name.padEnd(48)} ${figure}`);
	} finally {
		await rm(dataDir, { recursive: true, force: true });
	}
}

/** The memory of a server that has been given `kept` pods, and nothing else. */
async function memory(): Promise<string> {
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-bench-'));
	try {
		const { child, port } = await start('api', dataDir);
		const empty = await usage(child);
		let made = 0;
		await load(port, dataDir, 0, () => create(`pod-${made++}`), kept);
		const full = await usage(child);
		child.kill();
		const mega = (bytes: number) => Math.round(bytes / 1e6);
		return `${mega(full.rss)} MB with ${kept} pods, ${mega(empty.rss)} MB with none`;
	} finally {
		await rm(dataDir, { recursive: true, force: true });
	}
}

interface Started {
	readonly child: ChildProcess;
	readonly port: number;
}

/** Memory in bytes and CPU time in microseconds. */
async function usage(child: ChildProcess): Promise<{ readonly rss: number; readonly cpu: number }> {
	child.send('usage');
	const [answer] = (await once(child, 'message')) as [{ rss: number; cpu: number }];
	return answer;
}

async function start(what: string, dataDir: string): Promise<Started> {
	const child = fork(import.meta.filename, ['--serve', what, '--data', dataDir, '--store', values.store], {
		// As bin/driftless starts it.
		execArgv: [...process.execArgv, '--max-semi-space-size=16'],
		env: { ...process.env, MALLOC_ARENA_MAX: '2' },
	});
	const [{ port }] = (await once(child, 'message')) as [{ port: number }];
	return { child, port };
}

const random = (below: number) => Math.floor(Math.random() * below);

function pod(name: string, namespace = 'default') {
	const container = {
		name: 'main',
		image: 'registry.example/app:1.2.3',
		resources: { requests: { cpu: '100m', memory: '64Mi' } },
	};
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, namespace, labels: { app: 'bench', tier: 'web' } },
		spec: { containers: [{ ...container, env: [{ name: 'MODE', value: 'bench' }], ports: [{ containerPort: 80 }] }] },
	};
}

function request(method: string, path: string, body?: unknown, type = 'application/json'): Buffer {
	const payload = body === undefined ? '' : JSON.stringify(body);
	const head = [`${method} ${path} HTTP/1.1`, 'Host: bench', 'User-Agent: bench/1'];
	if (payload) head.push(`Content-Type: ${type}`, `Content-Length: ${Buffer.byteLength(payload)}`);
	return Buffer.from(`${head.join('\r\n')}\r\n\r\n${payload}`);
}

const pods = (namespace: string) => `/api/v1/namespaces/${namespace}/pods`;
const get = (name: string) => request('GET', `${pods('default')}/${name}`);
const create = (name: string, namespace = 'default') => request('POST', pods(namespace), pod(name, namespace));
const patch = (name: string) =>
	request(
		'PATCH',
		`${pods('default')}/${name}`,
		{ metadata: { annotations: { turn: String(Math.random()) } } },
		'application/merge-patch+json',
	);
const apply = (name: string) =>
	request('PATCH', `${pods('default')}/${name}?fieldManager=bench`, pod(name), 'application/apply-patch+yaml');

type Sends = 'get' | 'post';

interface Load {
	readonly rate: number;
	readonly done: number;
}

const identity = (dataDir: string) =>
	Promise.all(['ca.crt', 'admin.crt', 'admin.key'].map((file) => readFile(join(dataDir, 'pki', file))));

/** Requests, and requests a second, from `parallel` connections that each send the next request when the last is answered. */
async function load(
	port: number,
	dataDir: string,
	seconds: number,
	next: () => Buffer,
	count = Number.POSITIVE_INFINITY,
	parallel = connections,
): Promise<Load> {
	const [ca, cert, key] = await identity(dataDir);
	const sockets = await Promise.all(
		Array.from({ length: parallel }, async () => {
			const socket = connect({ host: '127.0.0.1', port, ca, cert, key });
			await once(socket, 'secureConnect');
			return socket;
		}),
	);
	let left = count;
	let done = 0;
	const started = performance.now();
	const end = seconds > 0 ? started + seconds * 1000 : Number.POSITIVE_INFINITY;
	await Promise.all(
		sockets.map((socket) =>
			converse(socket, () => {
				if (left-- <= 0 || performance.now() > end) return undefined;
				done++;
				return next();
			}),
		),
	);
	for (const socket of sockets) socket.destroy();
	return { rate: (done / (performance.now() - started)) * 1000, done };
}

/** Gets by HTTP/2, as many at once as `load` has connections, all on one. */
async function loadOver2(port: number, dataDir: string, seconds: number, next: () => string): Promise<Load> {
	const [ca, cert, key] = await identity(dataDir);
	const session = http2.connect(`https://127.0.0.1:${port}`, { ca, cert, key });
	let done = 0;
	const started = performance.now();
	const end = started + seconds * 1000;
	const ask = async () => {
		while (performance.now() < end) {
			const stream = session.request({ ':path': next(), 'user-agent': 'bench/1' });
			const [headers] = await once(stream, 'response');
			if (headers[':status'] >= 400) throw new Error(String(headers[':status']));
			await once(stream.resume(), 'end');
			done++;
		}
	};
	await Promise.all(Array.from({ length: connections }, ask));
	session.destroy();
	return { rate: (done / (performance.now() - started)) * 1000, done };
}

/** Sends requests one after the other. Answers must say their length; one of 400 or more is an error. */
function converse(socket: TLSSocket, next: () => Buffer | undefined): Promise<void> {
	return new Promise((resolve, reject) => {
		let head = '';
		let missing = -1;
		const send = () => {
			const bytes = next();
			if (bytes) socket.write(bytes);
			else resolve();
		};
		socket.on('error', reject);
		socket.on('close', () => reject(new Error('the server closed the connection')));
		socket.on('data', (chunk: Buffer) => {
			if (missing < 0) {
				head += chunk.toString('latin1');
				const end = head.indexOf('\r\n\r\n');
				if (end < 0) return;
				const code = Number(head.slice(9, 12));
				if (code >= 400) reject(new Error(head));
				missing = Number(/content-length: (\d+)/i.exec(head)?.[1]) - (head.length - end - 4);
			} else missing -= chunk.length;
			if (missing > 0) return;
			missing = -1;
			head = '';
			send();
		});
		send();
	});
}

if (values.serve) await serve(values.serve, values.data ?? '');
else await measure();
