/** The streams of pods, against an agent that answers as a kubelet does over TLS with a certificate of its own. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, createConnection } from 'node:net';
import { PassThrough } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import test from 'ava';
import { WebSocket } from 'ws';
import { makeAuthority } from '../../src/api/certificates.ts';
import { socketAnswer } from '../../src/api/http/socket.ts';
import { fingerprint, servingCertificateAnnotation } from '../../src/api/index.ts';
import { ConfigMap, Node, Pod } from '../../src/kinds/index.ts';
import { admin, serveTestApi } from '../testbed/api.ts';
import { kubectl } from '../testbed/kubectl.ts';
import { configMap, pod } from './objects.ts';

const server = await serveTestApi();
const k = kubectl(server.kubeconfig);
/** Self-signed, as an agent's is. */
const pair = await makeAuthority('agent', Date.now());
const asked: string[] = [];
const agent = createServer({ ...pair, requestCert: true, ca: server.pki.authority.cert }, (request, response) => {
	const { subject } = (request.socket as TLSSocket).getPeerCertificate();
	asked.push(`${subject.CN} ${request.url}`);
	if (request.url?.includes('/broken')) return response.writeHead(500).end('the engine is gone');
	if (request.url?.includes('/flood')) {
		response.writeHead(500);
		const flood = () => {
			while (!response.destroyed && response.write('x'.repeat(65_536)));
		};
		response.on('drain', flood);
		return flood();
	}
	if (request.url?.includes('/switch'))
		return request.socket.end('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
	if (request.url?.includes('/odd')) return response.writeHead(999).end('{"message":{"no":"text"}}');
	response.writeHead(200, { 'content-type': 'text/plain' });
	response.write('line 1\n');
	response.end('line 2\n');
});
agent.on('upgrade', (request, socket) => {
	if (request.url?.includes('/refused')) {
		socket.write('HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nnot there');
		socket.on('data', (data) => asked.push(`behind a refusal: ${data}`));
		return;
	}
	asked.push(
		`${request.method} ${request.url} ${request.headers['sec-websocket-protocol']} ${request.headers.authorization}`,
	);
	socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello ');
	socket.pipe(socket);
});
agent.listen(0, '127.0.0.1');
await once(agent, 'listening');
test.after.always(async () => {
	k[Symbol.dispose]();
	await server[Symbol.asyncDispose]();
	agent.closeAllConnections();
	agent.close();
});

const { port } = agent.address() as AddressInfo;
const node = (name: string, sha256: string) => ({
	metadata: { name, annotations: { [servingCertificateAnnotation]: sha256 } },
	status: {
		addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
		daemonEndpoints: { kubeletEndpoint: { Port: port } },
	},
});
const pods = { kind: Pod, namespace: 'default' };
const running = (name: string) => ({
	name,
	image: 'i',
	imageID: '',
	ready: true,
	restartCount: 0,
	state: { running: {} },
});
const waiting = (name: string, reason: string) => ({ ...running(name), ready: false, state: { waiting: { reason } } });

async function place(
	name: string,
	nodeName: string,
	containers: readonly string[],
	statuses: readonly object[] = [],
): Promise<void> {
	const spec = { nodeName, containers: containers.map((each) => ({ name: each, image: 'example/app:1' })) };
	await server.api.create(pods, { ...pod(name), spec }, {}, admin);
	const status = { phase: 'Running', containerStatuses: statuses };
	await server.api.patch({ ...pods, name, subresource: 'status' }, { type: 'merge', body: { status } }, {}, admin);
}

test.before(async () => {
	for (const [name, sha256] of [
		['good', fingerprint(pair.cert)],
		['bad', '00'.repeat(32)],
	] as const) {
		const made = await server.api.create({ kind: Node }, node(name, sha256), {}, admin);
		const { status } = node(name, sha256);
		await server.api.update({ kind: Node, name, subresource: 'status' }, { ...made.object, status }, {}, admin);
	}
	await place('one', 'good', ['main'], [running('main')]);
	await place('two', 'good', ['a', 'b'], [running('a'), waiting('b', 'ContainerCreating')]);
	await place('pulling', 'good', ['main'], [waiting('main', 'ImagePullBackOff')]);
	await place('elsewhere', 'bad', ['main'], [running('main')]);
	for (const name of ['broken', 'flood', 'switch', 'odd', 'refused'])
		await place(name, 'good', ['main'], [running('main')]);
});

test('kubectl logs come from the agent of the pod’s node, asked as a kubelet', async (t) => {
	t.is(await k.ok('logs', 'one'), 'line 1\nline 2\n');
	t.true(asked.includes('kube-apiserver-kubelet-client /containerLogs/default/one/main?'));
	await k.ok('logs', 'two', '-c', 'a', '-f', '--tail=3', '--since=5m', '--timestamps', '--limit-bytes=100');
	t.true(
		asked.includes(
			'kube-apiserver-kubelet-client /containerLogs/default/two/a?follow=true&timestamps=true&tailLines=3&sinceSeconds=300&limitBytes=100',
		),
		asked.join('\n'),
	);
});

const logs = (name: string, query = '') => server.ask(`/api/v1/namespaces/default/pods/${name}/log${query}`);
const refusals: Readonly<Record<string, [string, number, RegExp]>> = {
	'a pod of two containers': ['two', 400, /^a container name must be specified for pod two, choose one of: \[a b\]$/],
	'a container that the pod has not': ['one?container=x', 400, /^container x is not valid for pod one$/],
	'a container that is being made': [
		'two?container=b',
		400,
		/^container "b" in pod "two" is waiting to start: ContainerCreating$/,
	],
	'an image that cannot be pulled': ['pulling', 400, /is waiting to start: trying and failing to pull image$/],
	'a container that never ended before': [
		'one?previous=true',
		400,
		/^previous terminated container "main" in pod "one" not found$/,
	],
	'an agent that shows another certificate': ['elsewhere', 502, /shows another certificate than the node published$/],
	'an agent that fails': ['broken', 500, /^the engine is gone$/],
	'a pod that is not there': ['nope', 404, /^pods "nope" not found$/],
	'lines that are no number': ['one?tailLines=x', 400, /tailLines: Invalid value/],
};
for (const [what, [path, code, message]] of Object.entries(refusals)) {
	test(`logs of ${what} are refused with ${code}`, async (t) => {
		const [name = '', query] = path.split('?');
		const answer = await logs(name, query && `?${query}`);
		t.is(answer.code, code, answer.text);
		t.regex(answer.body.message, message);
	});
}

const websocket = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';

/** What comes back on an upgraded connection, until it has as many characters. */
async function upgrade(path: string, until: RegExp, headers = '', more = 'ping', to = websocket): Promise<string> {
	const socket = connect({ ...server.tls, host: '127.0.0.1', port: server.served.port });
	socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${to}${headers}\r\n${more}`);
	let text = '';
	for await (const chunk of socket.setEncoding('utf8')) {
		text += chunk;
		if (until.test(text)) break;
	}
	socket.destroy();
	return text;
}

test('exec and portforward pass every byte between the client and the agent, but no credentials', async (t) => {
	const path = '/api/v1/namespaces/default/pods/one/exec?command=ls&command=-l&stdin=true&stdout=true&tty=true';
	const text = await upgrade(path, /ping$/, 'Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n');
	t.regex(text, /^HTTP\/1\.1 101 .*hello ping$/s);
	t.true(
		asked.includes(
			'GET /exec/default/one/main?input=1&output=1&tty=1&command=ls&command=-l v5.channel.k8s.io undefined',
		),
		asked.join('\n'),
	);
	await upgrade('/api/v1/namespaces/default/pods/one/portforward?ports=80', /ping$/);
	t.true(asked.some((each) => each.startsWith('GET /portForward/default/one?ports=80')));
});

test('a stream that cannot be is refused before it begins', async (t) => {
	const pods = '/api/v1/namespaces/default/pods';
	t.regex(await upgrade(`${pods}/two/exec?command=ls`, /}$/), /^HTTP\/1\.1 400 .*choose one of: \[a b\]/s);
	t.regex(await upgrade(`${pods}/nope/exec?command=ls`, /}$/), /^HTTP\/1\.1 404 /);
	t.regex(await upgrade(`${pods}/elsewhere/exec?command=ls`, /}$/), /^HTTP\/1\.1 502 /);
	t.is((await server.ask(`${pods}/one/exec?command=ls`)).body.message, 'Upgrade request required');
});

test('who may have a stream of one pod can ask the agent for nothing else on its connection', async (t) => {
	const pods = '/api/v1/namespaces/default/pods';
	const more = 'GET /stolen HTTP/1.1\r\nHost: agent\r\n\r\n';
	const refused = await upgrade(`${pods}/refused/exec?command=ls`, /}$|not there$/, '', more);
	t.regex(refused, /^HTTP\/1\.1 404 .*not there.*}$/s);
	// What was taken for a token was left out, and the agent saw a request like any other, after which it takes the next.
	const token = 'base64url.bearer.authorization.k8s.io.x';
	for (const to of [`Upgrade: ${token}\r\nConnection: Upgrade\r\n`, `Upgrade: x\r\nConnection: ${token}, Upgrade\r\n`])
		t.regex(await upgrade(`${pods}/one/exec?command=ls`, /}$|hello |line 2/, '', more, to), /^HTTP\/1\.1 (101|502) /);
	t.deepEqual(
		asked.filter((each) => each.includes('stolen')),
		[],
	);
});

/** What comes over a WebSocket, frame by frame, until `enough` or its end; or the status of the refusal. */
function frames(
	path: string,
	protocol?: string,
	enough: (frames: readonly string[]) => boolean = () => false,
): Promise<{ readonly frames: string[]; readonly protocol: string } | number> {
	return new Promise((resolve, reject) => {
		const { ca, cert, key } = server.tls as { ca: string; cert: string; key: string };
		const socket = new WebSocket(`${server.url.replace('https', 'wss')}${path}`, protocol ? [protocol] : [], {
			ca,
			cert,
			key,
		});
		const got: string[] = [];
		socket.on('message', (data: Buffer, binary) => {
			got.push(`${binary ? 'bytes' : 'text'} ${data}`);
			if (enough(got)) socket.close();
		});
		socket.on('close', () => resolve({ frames: got, protocol: socket.protocol }));
		socket.on('unexpected-response', (request, response) => {
			request.destroy();
			resolve(response.statusCode ?? 0);
		});
		socket.on('error', reject);
	});
}

test('logs come over a WebSocket, as bytes or in base64', async (t) => {
	const path = '/api/v1/namespaces/default/pods/one/log';
	for (const protocol of [undefined, 'binary.k8s.io']) {
		const answer = await frames(path, protocol);
		if (typeof answer === 'number') return t.fail(String(answer));
		t.is(answer.protocol, protocol ?? '');
		t.true(answer.frames.every((frame) => frame.startsWith('bytes ')));
		t.is(answer.frames.map((frame) => frame.slice('bytes '.length)).join(''), 'line 1\nline 2\n');
	}
	const answer = await frames(path, 'base64.binary.k8s.io');
	if (typeof answer === 'number') return t.fail(String(answer));
	t.true(answer.frames.every((frame) => frame.startsWith('text ')));
	const texts = answer.frames.map((frame) => Buffer.from(frame.slice('text '.length), 'base64').toString());
	t.is(texts.join(''), 'line 1\nline 2\n');
	t.is(await frames('/api/v1/namespaces/default/pods/nope/log'), 404);
	t.is(await frames('/api/v1/namespaces/default/pods/two/log'), 400);
	t.is(await frames('/api/v1/namespaces/default/pods/broken/log'), 500);
	t.is(await frames('/api/v1/namespaces/default/configmaps/one/log'), 404);
});

test('an answer over a WebSocket whose connection ended while it was found out who asks has ended, too', (t) => {
	const ended = new PassThrough().destroy();
	const { destroyed } = socketAnswer({ headers: {} } as IncomingMessage, ended, Buffer.alloc(0), true);
	t.true(destroyed);
});

test('a watch comes over a WebSocket, an event a frame', async (t) => {
	const maps = { kind: ConfigMap, namespace: 'default' };
	const text = 'a line\nand another, \u{1f433}';
	await server.api.create(maps, { ...configMap('watched', { text }), apiVersion: 'v1' }, {}, admin);
	const path = '/api/v1/namespaces/default/configmaps?watch=1&fieldSelector=metadata.name%3Dwatched';
	const watched = frames(path, undefined, (got) => {
		if (got.length === 1) void server.api.delete({ ...maps, name: 'watched' }, {}, admin);
		return got.length === 2;
	});
	const answer = await watched;
	if (typeof answer === 'number') return t.fail(String(answer));
	const events = answer.frames.map((frame) => JSON.parse(frame.replace(/^text /, '')));
	t.deepEqual(
		events.map(({ type, object }) => [type, object.metadata.name, object.data.text]),
		[
			['ADDED', 'watched', text],
			['DELETED', 'watched', text],
		],
	);
	t.is(await frames('/api/v1/namespaces/default/configmaps?watch=1&fieldSelector=x%3Dy'), 400);
	const ended = await frames(`${path}&timeoutSeconds=1`);
	t.deepEqual(ended, { frames: [], protocol: '' });
});

/** A connection by which a watch is asked for over a WebSocket, in words of the test's own, and what comes over it. */
async function handShake(headers: string): Promise<{ readonly socket: TLSSocket; readonly came: () => Buffer }> {
	const { ca, cert, key } = server.tls;
	const halfOpen = createConnection({ port: server.served.port, host: '127.0.0.1', allowHalfOpen: true });
	const socket = connect({ ca, cert, key, socket: halfOpen });
	let came = Buffer.alloc(0);
	socket.on('data', (chunk: Buffer) => {
		came = Buffer.concat([came, chunk]);
	});
	socket.write(
		`GET /api/v1/namespaces/default/configmaps?watch=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${headers}\r\n`,
	);
	await once(socket, 'data');
	return { socket, came: () => came };
}

test('a WebSocket whose hand cannot be shaken leaves the server at work', async (t) => {
	const { socket, came } = await handShake('');
	t.regex(came().toString(), /^HTTP\/1\.1 400 /);
	socket.destroy();
	t.is((await server.ask('/version')).code, 200);
});

test('a reader of a watch that has said goodbye and does not go leaves the server at work', async (t) => {
	const maps = { kind: ConfigMap, namespace: 'default' };
	const { socket, came } = await handShake(
		'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n',
	);
	t.regex(came().toString(), /^HTTP\/1\.1 101 /);
	const close = [0x88, 0x80, 0, 0, 0, 0];
	socket.write(Buffer.from(close));
	await once(socket, 'end');
	await server.api.create(maps, { ...configMap('after-goodbye'), apiVersion: 'v1' }, {}, admin);
	t.is((await server.ask('/api/v1/namespaces/default/configmaps/after-goodbye')).code, 200);
	socket.destroy();
});

test('whatever an agent answers is an answer, and none that is without end', async (t) => {
	const log = async (pod: string) => (await server.ask(`/api/v1/namespaces/default/pods/${pod}/log`)).body;
	const flooded = await log('flood');
	t.is(flooded.code, 500);
	t.is(flooded.message.length, 65_536);
	t.like(await log('switch'), { code: 502, message: 'the agent did not answer: it has ended the connection' });
	t.like(await log('odd'), { code: 502, message: '{"message":{"no":"text"}}' });
	const target = { kind: Node, name: 'port' };
	const { metadata, status } = node('port', '00'.repeat(32));
	status.daemonEndpoints.kubeletEndpoint.Port = 99_999_999;
	await server.api.create(target, { metadata: { ...metadata, name: 'port' }, status }, {}, admin);
	await place('beyond', 'port', ['main'], [running('main')]);
	t.like(await log('beyond'), { code: 502 });
});
