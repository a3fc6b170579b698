/** The agent's server: logs and commands, as the API server asks for them. */
import { execFile } from 'node:child_process';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import test from 'ava';
import { WebSocket } from 'ws';
import { Pod } from '../../src/kinds/index.ts';
import { kubectl } from '../testbed/kubectl.ts';
import { eventually, restarts, running, startNode, type TestNode, WAIT } from './node.ts';

let node: TestNode;
let port: number;

test.before(async () => {
	node = await startNode();
	({ port } = (await node.runAgent()).agent);
	await node.pod('talker', {
		containers: [
			{
				name: 'main',
				command: [
					'sh',
					'-c',
					'for i in 1 2 3; do echo line $i; done; echo oops >&2; trap "exit 0" TERM; sleep 3600 & wait',
				],
			},
			{ name: 'terminal', command: ['sh'], tty: true, stdin: true },
		],
	});
	await node.until('talker', running);
});
test.after.always(async () => {
	await node?.[Symbol.asyncDispose]();
});

const tls = () => ({ host: '127.0.0.1', port, rejectUnauthorized: false, ...node.server.pki.kubelet });

async function get(path: string, options: object = tls(), begun = () => {}): Promise<{ code: number; body: string }> {
	const { promise, resolve, reject } = Promise.withResolvers<{ code: number; body: string }>();
	request({ ...options, path, agent: false }, async (response) => {
		begun();
		resolve({ code: response.statusCode ?? 0, body: await text(response) });
	})
		.on('error', reject)
		.end();
	return promise;
}

interface Ran {
	readonly out: string;
	readonly err: string;
	readonly status: { status: string; reason?: string; details?: { causes?: { reason: string; message: string }[] } };
}

/** Runs a command over the socket; `input` is sent at once and closed. */
function run(
	path: string,
	{ protocol = 'v5.channel.k8s.io', input }: { protocol?: string; input?: string } = {},
): Promise<Ran> {
	const { promise, resolve, reject } = Promise.withResolvers<Ran>();
	const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, protocol, tls());
	const channels = ['', '', '', ''];
	socket.on('open', () => {
		if (input === undefined) return;
		socket.send(Buffer.concat([Buffer.of(0), Buffer.from(input)]));
		if (protocol.startsWith('v5')) socket.send(Buffer.of(255, 0));
	});
	socket.on('message', (data: Buffer) => {
		const channel = data[0] ?? 0;
		channels[channel] += data.subarray(1).toString();
	});
	socket.on('close', () =>
		resolve({ out: channels[1] ?? '', err: channels[2] ?? '', status: JSON.parse(channels[3] || '{}') }),
	);
	socket.on('unexpected-response', (_, response) => {
		void text(response).then((body) => reject(new Error(body)));
	});
	socket.on('error', reject);
	return promise;
}

const command = (...words: string[]) => words.map((word) => `command=${encodeURIComponent(word)}`).join('&');
const exec = (query: string, container = 'main') => `/exec/default/talker/${container}?${query}`;

test('only members of system:masters with a certificate of the authority may call', async (t) => {
	await t.throwsAsync(get('/healthz', { ...tls(), cert: undefined, key: undefined }));
	t.like(await get('/healthz', { ...tls(), ...(await node.server.pki.node('node-1')) }), { code: 403 });
	t.like(await get('/healthz'), { code: 200, body: 'ok' });
});

test('the log of a container, whole, its tail, with times, cut, and of one that is none', async (t) => {
	const path = '/containerLogs/default/talker/main';
	const whole = await eventually('the log', async () => {
		const { body } = await get(path);
		return body.includes('oops') && body;
	});
	t.deepEqual(whole.split('\n').sort(), ['', 'line 1', 'line 2', 'line 3', 'oops']);
	t.is((await get(`${path}?tailLines=0`)).body, '');
	t.is((await get(`${path}?tailLines=1`)).body.trim().split('\n').length, 1);
	t.regex((await get(`${path}?timestamps=true&tailLines=1`)).body, /^\d{4}-\d\d-\d\dT[\d:.]+Z /);
	t.is((await get(`${path}?limitBytes=4`)).body.length, 4);
	t.is((await get(`${path}?sinceTime=2099-01-01T00:00:00Z`)).body, '');
	const none = await get('/containerLogs/default/talker/nobody');
	t.is(none.code, 400);
	t.is(JSON.parse(none.body).message, 'container nobody is not valid for pod talker');
	t.is((await get('/containerLogs/default/missing/main')).code, 404);
	t.is((await get(`${path}?tailLines=x`)).code, 400);
});

test('a followed log ends with its container, and the one before it can still be read', async (t) => {
	await node.pod('short', {
		containers: [
			{
				name: 'main',
				command: ['sh', '-c', 'echo begin; while ! test -e /tmp/end; do sleep 0.05; done; echo end; exit 1'],
			},
		],
	});
	await node.until('short', running);
	const begun = Promise.withResolvers<void>();
	const following = get('/containerLogs/default/short/main?follow=true', tls(), begun.resolve);
	await Promise.race([begun.promise, following]);
	const { status } = await run(`/exec/default/short/main?output=1&${command('touch', '/tmp/end')}`);
	t.is(status.status, 'Success');
	t.is((await following).body, 'begin\nend\n');
	await node.until('short', (pod) => restarts(pod) === 1);
	t.is((await get('/containerLogs/default/short/main?previous=true')).body, 'begin\nend\n');
	t.is((await get('/containerLogs/default/talker/main?previous=true')).code, 400);
});

test('a container that waits is said to wait, and for what', async (t) => {
	await node.pod('waits', {
		containers: [{ name: 'main', image: 'driftless/none:1', imagePullPolicy: 'Never', command: WAIT }],
	});
	await node.until(
		'waits',
		(pod) => pod.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'ErrImageNeverPull',
	);
	const { code, body } = await get('/containerLogs/default/waits/main');
	t.is(code, 400);
	t.is(JSON.parse(body).message, 'container "main" in pod "waits" is waiting to start: ErrImageNeverPull');
});

for (const protocol of ['v5.channel.k8s.io', 'v4.channel.k8s.io']) {
	test(`a command's output comes on its channels and its exit code as a status, by ${protocol}`, async (t) => {
		const result = await run(exec(`output=1&error=1&${command('sh', '-c', 'echo out; echo err >&2; exit 3')}`), {
			protocol,
		});
		t.like(result, { out: 'out\n', err: 'err\n' });
		t.like(result.status, { status: 'Failure', reason: 'NonZeroExitCode' });
		t.deepEqual(result.status.details?.causes, [{ reason: 'ExitCode', message: '3' }]);
		t.is((await run(exec(`output=1&${command('true')}`), { protocol })).status.status, 'Success');
	});
}

/** What comes over a socket of that protocol, message by message. */
function messages(path: string, protocol: string | undefined, send?: string): Promise<string[]> {
	const { promise, resolve, reject } = Promise.withResolvers<string[]>();
	const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, protocol ? [protocol] : [], tls());
	const got: string[] = [];
	socket.on('open', () => send !== undefined && socket.send(send));
	socket.on('message', (data: Buffer, binary) => got.push(`${binary ? 'bytes' : 'text'} ${data.toString('latin1')}`));
	socket.on('close', () => resolve(got));
	socket.on('error', reject);
	return promise;
}

test('the older protocols tell an error in plain text, and of a success nothing', async (t) => {
	const of = (code: number) => exec(`output=1&${command('sh', '-c', `echo out; exit ${code}`)}`);
	const failed = 'command terminated with non-zero exit code: exit status 3';
	const base64 = (text: string) => Buffer.from(text).toString('base64');
	for (const protocol of ['channel.k8s.io', undefined]) {
		t.deepEqual(await messages(of(0), protocol), ['bytes \u0001out\n']);
		t.deepEqual(await messages(of(3), protocol), ['bytes \u0001out\n', `bytes \u0003${failed}`]);
	}
	t.deepEqual(await messages(of(0), 'base64.channel.k8s.io'), [`text 1${base64('out\n')}`]);
	t.deepEqual(await messages(of(3), 'base64.channel.k8s.io'), [`text 1${base64('out\n')}`, `text 3${base64(failed)}`]);
	const [, status = ''] = await messages(of(0), 'v4.base64.channel.k8s.io');
	t.like(JSON.parse(Buffer.from(status.slice('text 3'.length), 'base64').toString()), { status: 'Success' });
});

test('input in base64 reaches a command', async (t) => {
	const path = exec(`input=1&output=1&${command('head', '-n1')}`);
	const sent = `0${Buffer.from('hello\n').toString('base64')}`;
	t.deepEqual(await messages(path, 'base64.channel.k8s.io', sent), [
		`text 1${Buffer.from('hello\n').toString('base64')}`,
	]);
});

test('input reaches a command, and its end too; much of it comes back whole', async (t) => {
	const input = 'x'.repeat(200_000);
	const { out, status } = await run(exec(`input=1&output=1&${command('cat')}`), { input });
	t.is(out, input);
	t.is(status.status, 'Success');
});

test('a command on a terminal gets its size', async (t) => {
	const socket = new WebSocket(
		`wss://127.0.0.1:${port}${exec(`input=1&output=1&tty=1&${command('sh')}`)}`,
		'v5.channel.k8s.io',
		tls(),
	);
	let out = '';
	socket.on('message', (data: Buffer) => {
		if (data[0] === 1) out += data.subarray(1).toString();
	});
	await new Promise((resolve) => socket.once('open', resolve));
	const send = (channel: number, message: string) =>
		socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(message)]));
	send(4, JSON.stringify({ Width: 91, Height: 33 }));
	await eventually('the size', async () => {
		send(0, 'stty size\n');
		return out.includes('33 91');
	});
	const closed = new Promise((resolve) => socket.once('close', resolve));
	send(0, 'exit\n');
	await closed;
	t.pass();
});

test('attaching joins the container’s own process', async (t) => {
	const socket = new WebSocket(
		`wss://127.0.0.1:${port}/attach/default/talker/terminal?input=1&output=1&tty=1`,
		'v5.channel.k8s.io',
		tls(),
	);
	let out = '';
	socket.on('message', (data: Buffer) => {
		if (data[0] === 1) out += data.subarray(1).toString();
	});
	await new Promise((resolve) => socket.once('open', resolve));
	socket.send(Buffer.concat([Buffer.of(0), Buffer.from('echo $((6*7))\n')]));
	await eventually('the answer', async () => out.includes('42'));
	socket.close();
	t.pass();
});

test('attaching ends with the container, whenever that was, and gives what it wrote', async (t) => {
	const wait = 'while ! test -e /tmp/end; do sleep 0.01; done';
	const names = Array.from({ length: 20 }, (_, index) => `ending-${index}`);
	const attach = (name: string) => run(`/attach/default/${name}/main?input=1&output=1&error=1`, { input: '' });
	await Promise.all(
		names.map(async (name) => {
			const main = { name: 'main', command: ['sh', '-c', `${wait}; echo hello; exit 3`], stdin: true, stdinOnce: true };
			await node.pod(name, { restartPolicy: 'Never', containers: [main] });
			await node.until(name, running);
		}),
	);
	const expected = { out: 'hello\n', err: '', status: { metadata: {}, status: 'Success' } };
	for (const name of names) {
		// It ends before, while or after its streams are joined.
		const told = run(`/exec/default/${name}/main?output=1&${command('touch', '/tmp/end')}`);
		t.deepEqual(await attach(name), expected, name);
		await told;
	}
	const [first = ''] = names;
	await node.until(first, ({ status }) => status?.phase === 'Failed');
	t.deepEqual(await attach(first), expected);
});

test('a command that does not exist, a container that does not run and a port forward are refused with their reason', async (t) => {
	const { status } = await run(exec(`output=1&${command('/no/such')}`));
	t.is(status.status, 'Failure');
	await t.throwsAsync(run('/exec/default/talker/nobody?output=1&command=true'), {
		message: /container nobody is not valid/,
	});
	await t.throwsAsync(run(exec(`${command('true')}`)), { message: /at least one of stdin, stdout, stderr/ });
	await t.throwsAsync(run('/portForward/default/talker'), { message: /port forwarding is not supported/ });
	t.is((await get('/exec/default/talker/main?command=ls')).code, 400);
});

test('the pods and what they use', async (t) => {
	const pods = JSON.parse((await get('/pods')).body) as { items: { metadata: { name: string } }[] };
	t.true(pods.items.some(({ metadata }) => metadata.name === 'talker'));
	const stats = JSON.parse((await get('/stats/summary')).body) as {
		node: { cpu: { usageCoreNanoSeconds: number } };
		pods: { podRef: { name: string }; containers: { memory: { usageBytes: number } }[] }[];
	};
	const talker = stats.pods.find(({ podRef }) => podRef.name === 'talker');
	t.is(talker?.containers.length, 2);
	t.true((talker?.containers[0]?.memory.usageBytes ?? 0) > 0);
	t.true(stats.node.cpu.usageCoreNanoSeconds > 0);
	const resources = (await get('/metrics/resource')).body;
	t.regex(resources, /^node_cpu_usage_seconds_total \d/m);
	t.regex(resources, /^container_memory_working_set_bytes\{container="main",pod="talker",namespace="default"\} [1-9]/m);
	t.regex(resources, /^pod_cpu_usage_seconds_total\{pod="talker",namespace="default"\} \d/m);
	t.regex(resources, /^container_start_time_seconds\{container="main",pod="talker",namespace="default"\} 1\d{9}/m);
	t.regex(resources, /^resource_scrape_error 0$/m);
	t.regex((await get('/metrics')).body, /^kubelet_running_containers\{container_state="running"\} [1-9]/m);
});

interface Amounts {
	readonly cpu: { readonly usageCoreNanoSeconds: number; readonly usageNanoCores?: number };
	readonly memory: { readonly workingSetBytes: number; readonly rssBytes?: number; readonly availableBytes?: number };
}
interface PodSummary extends Amounts {
	readonly podRef: { readonly name: string };
	readonly containers: readonly (Amounts & {
		readonly name: string;
		readonly startTime: string;
		readonly rootfs?: { readonly usedBytes?: number };
		readonly logs?: { readonly usedBytes?: number };
	})[];
	readonly network?: { readonly name: string; readonly rxBytes: number; readonly interfaces: readonly object[] };
	readonly volume?: readonly { readonly name: string; readonly usedBytes?: number }[];
	readonly 'ephemeral-storage'?: { readonly usedBytes: number };
	readonly process_stats?: { readonly process_count: number };
}

const MIB = 1024 * 1024;

test('what a pod uses is what the kernel counts of it: processor, memory, processes, traffic, disk', async (t) => {
	const busy =
		'dd if=/dev/zero of=/scratch/file bs=1M count=8; dd if=/dev/zero of=/own bs=1M count=4; while :; do :; done';
	await node.pod('worker', {
		containers: [
			{
				name: 'main',
				command: ['sh', '-c', busy],
				resources: { limits: { memory: '64Mi' } },
				volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
			},
			{ name: 'idle', command: WAIT },
		],
		volumes: [{ name: 'scratch', emptyDir: {} }],
	});
	await node.until('worker', running);
	const look = async () => {
		const stats = JSON.parse((await get('/stats/summary')).body) as { node: object; pods: PodSummary[] };
		return { node: stats.node, pod: stats.pods.find(({ podRef }) => podRef.name === 'worker') };
	};
	const used = (pod: PodSummary | undefined, name: string) => pod?.containers.find((one) => one.name === name);
	const { pod, node: whole } = await eventually('a busy container, and its disk walked', async () => {
		const seen = await look();
		const [main, volume] = [used(seen.pod, 'main'), seen.pod?.volume?.[0]];
		const done =
			(main?.cpu.usageCoreNanoSeconds ?? 0) > 3e8 &&
			(main?.cpu.usageNanoCores ?? 0) > 0 &&
			main?.rootfs?.usedBytes !== undefined &&
			volume?.usedBytes !== undefined;
		return done && seen;
	});
	const [main, idle] = [used(pod, 'main'), used(pod, 'idle')];
	t.true((idle?.cpu.usageCoreNanoSeconds ?? Number.NaN) < (main?.cpu.usageCoreNanoSeconds ?? 0));
	t.true((pod?.cpu.usageCoreNanoSeconds ?? 0) >= (main?.cpu.usageCoreNanoSeconds ?? 0));
	const available = main?.memory.availableBytes ?? 0;
	t.true(available > 0 && available <= 64 * MIB - (main?.memory.workingSetBytes ?? 0) + MIB);
	t.is(idle?.memory.availableBytes, undefined, 'without a limit nothing is said to be left');
	t.true((pod?.process_stats?.process_count ?? 0) >= 4, 'the sandbox, a loop, a shell and its sleep');
	t.is(pod?.network?.name, 'eth0');
	t.is(pod?.volume?.[0]?.name, 'scratch');
	t.true((main?.startTime ?? '') > '2000');
	const fields = ['cpu', 'memory', 'fs', 'runtime', 'rlimit', 'systemContainers', 'network', 'startTime', 'nodeName'];
	t.deepEqual(
		fields.filter((field) => !(field in whole)),
		[],
	);
	const brief = JSON.parse((await get('/stats/summary?only_cpu_and_memory=true')).body) as { pods: PodSummary[] };
	t.is(brief.pods.find(({ podRef }) => podRef.name === 'worker')?.volume, undefined);

	const details = (await get('/metrics/cadvisor')).body;
	for (const expected of [
		/^container_cpu_usage_seconds_total\{container="main",id="[^"]+",image="[^"]+",name="\w{64}",namespace="default",pod="worker",cpu="total"\} \d/m,
		/^container_memory_working_set_bytes\{container="idle",.*pod="worker"\} [1-9]/m,
		/^container_spec_memory_limit_bytes\{container="main",.*pod="worker"\} 67108864$/m,
		/^container_network_receive_bytes_total\{container="",.*pod="worker",interface="eth0"\} \d/m,
		/^container_threads\{container="main",.*pod="worker"\} [1-9]/m,
		/^machine_cpu_cores [1-9]/m,
	])
		t.regex(details, expected);
});

test('probes are counted by their result', async (t) => {
	await node.pod('probed', {
		containers: [
			{
				name: 'main',
				command: WAIT,
				readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1 },
				livenessProbe: { exec: { command: ['false'] }, periodSeconds: 1, failureThreshold: 1000 },
			},
		],
	});
	await node.until('probed', running);
	const labels = (type: string) => `probe_type="${type}",container="main",pod="probed",namespace="default"`;
	const count = (type: string, result: string) =>
		`prober_probe_total{${labels(type)},pod_uid="[^"]+",result="${result}"} [1-9]`;
	const body = await eventually('counts of both probes', async () => {
		const { body: found } = await get('/metrics/probes');
		return (
			new RegExp(count('Liveness', 'failed')).test(found) &&
			new RegExp(count('Readiness', 'successful')).test(found) &&
			found
		);
	});
	t.true(body.includes(`prober_probe_duration_seconds_count{${labels('Readiness')}}`));
	t.false(body.includes(`prober_probe_duration_seconds_count{${labels('Liveness')}}`), 'only of those that succeeded');
	await node.client.delete(Pod, { namespace: 'default', name: 'probed' });
	await node.untilGone('probed');
	await eventually(
		'the series of a pod end with it',
		async () => !(await get('/metrics/probes')).body.includes('probed'),
	);
});

test('kubectl reads logs and runs commands through the API server', async (t) => {
	using run = kubectl(node.server.kubeconfig);
	t.regex(await run.ok('logs', 'talker', '-c', 'main'), /line 1\n(.*\n)*line 3/);
	const { stdout, stderr, code } = await run(
		'exec',
		'talker',
		'-c',
		'main',
		'--',
		'sh',
		'-c',
		'echo out; echo err >&2; exit 4',
	);
	t.like({ stdout, code }, { stdout: 'out\n', code: 4 });
	t.regex(stderr, /^err\n(.*\n)*.*exit code 4/);
	t.is(await run.ok('exec', '-i', 'talker', '-c', 'main', '--', 'cat', { input: 'typed' }), 'typed');
	t.regex(
		(await run('logs', 'waits')).stderr,
		/container "main" in pod "waits" is waiting to start: ErrImageNeverPull/,
	);
});

test('clients that speak SPDY run commands as well, with their input, their exit codes and a terminal', async (t) => {
	using run = kubectl(node.server.kubeconfig);
	const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false' };
	const at = ['talker', '-c', 'main'];
	const { stdout, stderr, code } = await run('exec', ...at, '--', 'sh', '-c', 'echo out; echo err >&2; exit 4', {
		env,
	});
	t.like({ stdout, code }, { stdout: 'out\n', code: 4 });
	t.regex(stderr, /^err\n(.*\n)*.*exit code 4/);

	const much = Array.from({ length: 100_000 }, (_, index) => `line ${index}\n`).join('');
	t.is(await run.ok('exec', '-i', ...at, '--', 'cat', { env, input: much }), much);
	// The end of the input reaches the command.
	t.is(await run.ok('exec', '-i', ...at, '--', 'wc', '-c', { env, input: 'typed' }), '5\n');
	// A terminal, with its size: script gives kubectl one.
	const wait = `until test "$(stty size)" = "17 91"; do sleep 0.1; done; echo sized`;
	const terminal = `stty rows 17 cols 91; kubectl exec -it ${at.join(' ')} -- sh -c '${wait}'`;
	const shown = await promisify(execFile)('script', ['-qec', terminal, '/dev/null'], {
		env: { PATH: process.env.PATH, HOME: node.server.dataDir, KUBECONFIG: node.server.kubeconfig, ...env },
	});
	t.regex(shown.stdout, /^sized\r?$/m);
	t.regex(
		(await run('exec', 'talker', '-c', 'nobody', '--', 'true', { env })).stderr,
		/container nobody is not valid for pod talker/,
	);
	const missing = await run('exec', ...at, '--', 'no-such-command', { env });
	t.regex(missing.stdout, /"no-such-command": executable file not found/);
	t.is(missing.code, 126);
});

test('a protocol that nobody speaks here is refused with those that are', async (t) => {
	const headers = { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'channel.k8s.io' };
	const path = exec(`${command('true')}&output=1`);
	const { code, body } = await get(path, { ...tls(), method: 'POST', headers });
	t.is(code, 400);
	t.regex(
		body,
		/unable to negotiate protocol: client supports \[channel\.k8s\.io\], server accepts \[v4\.channel\.k8s\.io\]/,
	);
	t.is((await get(path)).code, 400);
	// The server can end afterwards: it waits for all that it began.
	const halfWebSocket = { connection: 'Upgrade', upgrade: 'websocket' };
	t.is((await get(path, { ...tls(), headers: halfWebSocket })).code, 400);
});
