/** The gRPC between a node and its plugins, over real sockets: what they answer, how they fail, hang and die. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
	Server,
	ServerCredentials,
	type ServerUnaryCall,
	type ServerWritableStream,
	type sendUnaryData,
	status,
} from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import { PluginError, pluginClient } from '../../src/agents/plugins/client.ts';
import { type ServiceName, serviceNamed } from '../../src/agents/plugins/protocol.ts';

type Unary = (call: ServerUnaryCall<object, object>, answer: sendUnaryData<object>) => void;
type Streaming = (call: ServerWritableStream<object, object>) => void;

async function folder(t: ExecutionContext): Promise<string> {
	const made = await mkdtemp(join(tmpdir(), 'driftless-plugins-'));
	t.teardown(() => rm(made, { recursive: true, force: true }));
	return made;
}

/** A plugin that answers as told; the methods that are not told answer UNIMPLEMENTED. */
async function serve(
	t: ExecutionContext,
	socket: string,
	service: ServiceName,
	methods: Record<string, Unary | Streaming>,
) {
	const server = new Server();
	server.addService(serviceNamed(service), methods);
	await new Promise<void>((resolve, reject) =>
		server.bindAsync(`unix://${socket}`, ServerCredentials.createInsecure(), (error) =>
			error ? reject(error) : resolve(),
		),
	);
	t.teardown(() => server.forceShutdown());
	return server;
}

const PATIENCE_MS = 60_000;

test('a plugin is asked in the words of its protocol, and its answer has those too', async (t) => {
	const socket = join(await folder(t), 'csi.sock');
	let asked: unknown;
	await serve(t, socket, 'csi.v1.Controller', {
		CreateVolume: (call: ServerUnaryCall<object, object>, answer: sendUnaryData<object>) => {
			asked = call.request;
			answer(null, { volume: { volumeId: 'v-1', capacityBytes: '9007199254740993', volumeContext: { pool: 'fast' } } });
		},
	});
	using client = pluginClient(socket, 'csi.v1.Controller');
	const request = {
		name: 'pvc-1',
		capacityRange: { requiredBytes: '1073741824' },
		volumeCapabilities: [
			{ mount: { fsType: 'ext4', mountFlags: ['noatime'] }, accessMode: { mode: 'SINGLE_NODE_WRITER' } },
		],
		parameters: { tier: 'gold' },
	};
	const { volume } = await client.call<{ volume: object }>('CreateVolume', request, { deadline: PATIENCE_MS });
	t.like(volume, { volumeId: 'v-1', capacityBytes: '9007199254740993', volumeContext: { pool: 'fast' } });
	t.like(asked, {
		name: 'pvc-1',
		capacityRange: { requiredBytes: '1073741824', limitBytes: '0' },
		parameters: { tier: 'gold' },
	});
	const [capability] = (asked as { volumeCapabilities: object[] }).volumeCapabilities;
	t.like(capability, { accessType: 'mount', accessMode: { mode: 'SINGLE_NODE_WRITER' } });
});

test('an error of a plugin has its code and its text, and what it does not have is UNIMPLEMENTED', async (t) => {
	const socket = join(await folder(t), 'csi.sock');
	await serve(t, socket, 'csi.v1.Controller', {
		DeleteVolume: (_: ServerUnaryCall<object, object>, answer: sendUnaryData<object>) =>
			answer({ code: status.FAILED_PRECONDITION, details: `in use ${'x'.repeat(10_000)}` }),
	});
	using client = pluginClient(socket, 'csi.v1.Controller');
	const failed = await t.throwsAsync(client.call('DeleteVolume', { volumeId: 'v' }, { deadline: PATIENCE_MS }), {
		instanceOf: PluginError,
	});
	t.is(failed?.code, 'FAILED_PRECONDITION');
	t.regex(failed?.message ?? '', /^in use x+$/);
	t.true((failed?.message.length ?? 0) <= 1024);
	const lacks = await t.throwsAsync(client.call('GetCapacity', {}, { deadline: PATIENCE_MS }), {
		instanceOf: PluginError,
	});
	t.is(lacks?.code, 'UNIMPLEMENTED');
});

test('a plugin that hangs is given up at the deadline, or when nobody wants the answer any more', async (t) => {
	const socket = join(await folder(t), 'csi.sock');
	await serve(t, socket, 'csi.v1.Identity', { Probe: () => {} });
	using client = pluginClient(socket, 'csi.v1.Identity');
	const late = await t.throwsAsync(client.call('Probe', {}, { deadline: 50 }), { instanceOf: PluginError });
	t.is(late?.code, 'DEADLINE_EXCEEDED');
	const stop = new AbortController();
	const waiting = client.call('Probe', {}, { deadline: PATIENCE_MS, signal: stop.signal });
	stop.abort();
	const stopped = await t.throwsAsync(waiting, { instanceOf: PluginError });
	t.is(stopped?.code, 'CANCELLED');
});

test('a plugin that is not there, or dies, is UNAVAILABLE, and is found again when it is back', async (t) => {
	const socket = join(await folder(t), 'csi.sock');
	using client = pluginClient(socket, 'csi.v1.Identity');
	const call = () => client.call<{ name: string }>('GetPluginInfo', {}, { deadline: PATIENCE_MS });
	const absent = await t.throwsAsync(call(), { instanceOf: PluginError });
	t.is(absent?.code, 'UNAVAILABLE');
	const methods: Record<string, Unary> = {
		GetPluginInfo: (_, answer) => answer(null, { name: 'a', vendorVersion: '1' }),
	};
	const first = await serve(t, socket, 'csi.v1.Identity', methods);
	const until = Date.now() + PATIENCE_MS;
	const again = async () => {
		for (;;) {
			try {
				return (await call()).name;
			} catch (error) {
				if (Date.now() > until) throw error;
			}
		}
	};
	t.is(await again(), 'a');
	first.forceShutdown();
	await rm(socket, { force: true });
	await t.throwsAsync(call(), { instanceOf: PluginError });
	await serve(t, socket, 'csi.v1.Identity', methods);
	t.is(await again(), 'a');
});

test('a stream of a plugin ends where the reader stops, and throws where the plugin breaks off', async (t) => {
	const socket = join(await folder(t), 'device.sock');
	let cancelled = () => {};
	const gone = new Promise<void>((resolve) => {
		cancelled = resolve;
	});
	let lists = 0;
	let end = () => {};
	const server = await serve(t, socket, 'v1beta1.DevicePlugin', {
		ListAndWatch: (call: ServerWritableStream<object, object>) => {
			call.on('cancelled', cancelled);
			call.write({ devices: [{ ID: 'd0', health: 'Healthy' }] });
			// The second reader sees the plugin die.
			if (++lists === 2) end();
		},
	});
	end = () => server.forceShutdown();
	using client = pluginClient(socket, 'v1beta1.DevicePlugin');
	const stop = new AbortController();
	const seen: object[] = [];
	for await (const answer of client.stream<{ devices: object[] }>('ListAndWatch', {}, { signal: stop.signal })) {
		seen.push(...answer.devices);
		stop.abort();
	}
	t.like(seen, [{ ID: 'd0', health: 'Healthy' }]);
	await gone;
	const broken = await t.throwsAsync(
		(async () => {
			for await (const _ of client.stream('ListAndWatch', {}, { signal: new AbortController().signal }));
		})(),
		{ instanceOf: PluginError },
	);
	t.regex(broken?.code ?? '', /^(UNAVAILABLE|CANCELLED)$/, broken?.message);
});
