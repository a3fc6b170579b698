import { spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as packet from 'dns-packet';
import type { ConfigMap } from '../../src/kinds/index.ts';
import type { Log } from '../../src/log.ts';
import { exposition } from '../../src/metrics.ts';
import type { Resolver } from '../../src/proxy/dns/ask.ts';
import { createForwarding, forwardingOf } from '../../src/proxy/dns/forwarding.ts';
import { framed, numbered } from '../../src/proxy/dns/message.ts';
import { createDnsMetrics } from '../../src/proxy/dns/metrics.ts';
import type { Zone } from '../../src/proxy/dns/names.ts';
import { createResolvers, resolversOf } from '../../src/proxy/dns/resolvers.ts';
import { type DnsOptions, serveDns } from '../../src/proxy/dns/server.ts';
import fc from '../testbed/fast-check.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { service, slice } from './objects.ts';
import { zone } from './zone.ts';

const labels = (name: string) => ({ 'kubernetes.io/service-name': name });
const many = Array.from({ length: 200 }, (_, index) => `10.244.1.${index + 1}`);
const cluster = zone(
	[
		service({}),
		service({ clusterIP: 'None' }, { name: 'db' }),
		service({ type: 'ExternalName', clusterIP: undefined, externalName: 'away.example.com' }, { name: 'out' }),
		service({ type: 'ExternalName', clusterIP: undefined, externalName: 'web.shop.svc.cluster.local' }, { name: 'in' }),
		service(
			{ type: 'ExternalName', clusterIP: undefined, externalName: 'loop.shop.svc.cluster.local' },
			{ name: 'loop' },
		),
	],
	[slice(many, { metadata: { name: 'db-1', namespace: 'shop', labels: labels('db') } })],
);
const WEB = 'web.shop.svc.cluster.local';
const DB = 'db.shop.svc.cluster.local';

/** A resolver that answers every A question with this address, by UDP and TCP. */
async function upstream(t: ExecutionContext, ip: string, code = 0): Promise<Resolver & { asked: string[] }> {
	const asked: string[] = [];
	const reply = (query: Buffer) => {
		const { id, questions } = packet.decode(query);
		const name = questions?.[0]?.name ?? '';
		asked.push(name);
		return packet.encode({
			type: 'response',
			id,
			flags: packet.RECURSION_AVAILABLE | code,
			questions,
			answers: code ? [] : [{ type: 'A', name, ttl: 60, data: ip }],
		});
	};
	const port = await free(async () => {
		const udp = createSocket('udp4');
		udp.on('message', (query, from) => udp.send(reply(query), from.port, from.address));
		udp.bind(0, '127.0.0.1');
		await once(udp, 'listening');
		t.teardown(() => udp.close());
		const tcp = createServer((socket) => {
			socket.on('data', (chunk: Buffer) => socket.end(framed(reply(chunk.subarray(2)))));
		}).listen(udp.address().port, '127.0.0.1');
		await once(tcp, 'listening');
		t.teardown(() => tcp.close());
		return udp.address().port;
	});
	return { address: '127.0.0.1', port, asked };
}

/** A port that is free by UDP may be taken by TCP: then another is tried. */
async function free<T>(open: () => Promise<T>): Promise<T> {
	for (;;) {
		try {
			return await open();
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
		}
	}
}

/** A resolver that takes questions and never answers. */
async function silent(t: ExecutionContext): Promise<Resolver & { socket: Socket }> {
	const socket = createSocket('udp4');
	socket.bind(0, '127.0.0.1');
	await once(socket, 'listening');
	t.teardown(() => socket.close());
	return { address: '127.0.0.1', port: socket.address().port, socket };
}

/** A resolver that answers by hand: each question waits in `queries` until it is answered, by anybody who has its socket. */
async function byHand(t: ExecutionContext) {
	const socket = createSocket('udp4');
	socket.bind(0, '127.0.0.1');
	await once(socket, 'listening');
	t.teardown(() => socket.close());
	const queries: { bytes: Buffer; port: number }[] = [];
	let came = Promise.withResolvers<void>();
	socket.on('message', (bytes, { port }) => {
		queries.push({ bytes, port });
		came.resolve();
	});
	return {
		address: '127.0.0.1',
		port: socket.address().port,
		queries,
		async arrived(count: number) {
			while (queries.length < count) {
				await came.promise;
				came = Promise.withResolvers();
			}
		},
		send: (bytes: Buffer, port: number) => socket.send(bytes, port, '127.0.0.1'),
	};
}

/** An answer to a query; what is left out is an A record of a minute. */
function answerTo(bytes: Buffer, { code = 0, ...rest }: Partial<packet.Packet> & { code?: number } = {}): Buffer {
	const { id, questions } = packet.decode(bytes);
	const name = questions?.[0]?.name ?? '';
	const answers: packet.Answer[] = [{ type: 'A', name, ttl: 60, data: '192.0.2.1' }];
	const flags = packet.RECURSION_AVAILABLE | code;
	return packet.encode({ type: 'response', id, flags, questions, answers, ...rest });
}

interface Options extends Partial<DnsOptions> {
	readonly zone?: Zone;
	readonly list?: () => Promise<readonly Resolver[]>;
}

async function serve(t: ExecutionContext, { list = async () => [], ...options }: Options = {}): Promise<number> {
	const resolvers = createResolvers({ list, log: silentLog });
	const open = () =>
		serveDns({
			zone: cluster,
			resolversFor: () => resolvers,
			serves: () => true,
			address: '127.0.0.1',
			port: 0,
			log: silentLog,
			...options,
		});
	const server = await (options.port ? open() : free(open));
	t.teardown(() => server[Symbol.asyncDispose]());
	return server.port;
}

async function exchange(port: number, query: Uint8Array): Promise<Buffer> {
	const socket = createSocket('udp4');
	try {
		socket.send(query, port, '127.0.0.1');
		const [response] = await once(socket, 'message');
		return response;
	} finally {
		socket.close();
	}
}

const query = (name: string, type = 'A', additionals: packet.Answer[] = []) =>
	packet.encode({
		type: 'query',
		id: 4711,
		flags: packet.RECURSION_DESIRED,
		questions: [{ type: type as 'A', name, class: 'IN' }],
		additionals,
	});
const edns = (size: number, version = 0): packet.Answer => ({
	type: 'OPT',
	name: '.',
	udpPayloadSize: size,
	extendedRcode: 0,
	ednsVersion: version,
	flags: 0,
	flag_do: false,
	options: [],
});
const ask = async (port: number, name: string, type?: string, additionals?: packet.Answer[]) =>
	packet.decode(await exchange(port, query(name, type, additionals)));
const dataOf = (answer: packet.Answer | undefined) => String(answer && 'data' in answer ? answer.data : '');
const codeOf = (response: packet.DecodedPacket) => (response.flags ?? 0) & 0xf;

function overTcp(port: number, bytes: Uint8Array): Promise<Buffer> {
	const socket = createConnection(port, '127.0.0.1');
	socket.write(bytes);
	let received = Buffer.alloc(0);
	return new Promise((resolve, reject) => {
		socket.on('error', reject);
		socket.on('close', () => resolve(received));
		socket.on('data', (chunk: Buffer) => {
			received = Buffer.concat([received, chunk]);
			if (received.length >= 2 + received.readUInt16BE(0)) socket.end();
		});
	});
}

test('a name is answered with authority, in the letters in which it was asked', async (t) => {
	const port = await serve(t);
	const response = await ask(port, 'Web.SHOP.svc.Cluster.local');
	t.is(response.id, 4711);
	t.true(response.flag_aa && response.flag_ra && response.flag_rd && response.flag_qr);
	t.like(response.questions?.[0], { name: 'Web.SHOP.svc.Cluster.local', type: 'A' });
	t.like(response.answers?.[0], { name: 'Web.SHOP.svc.Cluster.local', type: 'A', data: '10.96.0.5', ttl: 5 });
});

test('a name that is there has no AAAA: no error, no records, and how long that holds', async (t) => {
	const port = await serve(t);
	const response = await ask(port, WEB, 'AAAA');
	t.is(codeOf(response), 0);
	t.is(response.answers?.length, 0);
	t.like(response.authorities?.[0], { type: 'SOA', name: 'cluster.local', data: { minimum: 5 } });
});

test('a name that is not there is NXDOMAIN, and how long that holds', async (t) => {
	const port = await serve(t);
	const response = await ask(port, 'nope.shop.svc.cluster.local');
	t.is(codeOf(response), 3);
	t.like(response.authorities?.[0], { type: 'SOA', name: 'cluster.local' });
	const reverse = await ask(port, '9.9.244.10.in-addr.arpa', 'PTR');
	t.is(codeOf(reverse), 3);
});

test('while the cluster is not known yet nothing is said not to be there', async (t) => {
	const away = await upstream(t, '192.0.2.1');
	const port = await serve(t, { zone: { ...cluster, ready: false }, list: async () => [away] });
	t.is(codeOf(await ask(port, WEB)), 2);
	t.like((await ask(port, 'example.com')).answers?.[0], { data: '192.0.2.1' });
});

test('SRV records come with the addresses of their targets', async (t) => {
	const port = await serve(t);
	const response = await ask(port, `_http._tcp.${WEB}`, 'SRV');
	t.like(response.answers?.[0], { type: 'SRV', data: { port: 80, target: WEB, priority: 0, weight: 100 } });
	t.like(response.additionals?.[0], { type: 'A', name: WEB, data: '10.96.0.5' });
});

test('PTR and TXT are encoded as others read them', async (t) => {
	const port = await serve(t);
	t.like((await ask(port, '5.0.96.10.in-addr.arpa', 'PTR')).answers?.[0], { type: 'PTR', data: WEB });
	t.is(dataOf((await ask(port, 'dns-version.cluster.local', 'TXT')).answers?.[0]), '1.1.0');
	t.like((await ask(port, 'cluster.local', 'SOA')).answers?.[0], {
		type: 'SOA',
		data: { mname: 'ns.dns.cluster.local' },
	});
});

test('what does not fit into a datagram is cut, and whole over TCP', async (t) => {
	const port = await serve(t);
	const bytes = await exchange(port, query(DB));
	const response = packet.decode(bytes);
	t.true(bytes.length <= 512);
	t.true(response.flag_tc);
	// Names are compressed: 16 bytes an address.
	t.is(response.answers?.length, 29);
	const larger = await exchange(port, query(DB, 'A', [edns(4_096)]));
	t.true(larger.length > 512 && larger.length <= 1_232);
	t.true(packet.decode(larger).flag_tc);
	const whole = packet.decode((await overTcp(port, framed(query(DB)))).subarray(2));
	t.false(whole.flag_tc);
	t.deepEqual(whole.answers?.map(dataOf).sort(), [...many].sort());
});

test('the first address is not always the same', async (t) => {
	const port = await serve(t);
	const first = async () => dataOf((await ask(port, DB)).answers?.[0]);
	const seen = new Set<string>();
	while (seen.size < 2) seen.add(await first());
	t.is(seen.size, 2);
});

test('EDNS is answered with EDNS, and a version that is not known is told so', async (t) => {
	const port = await serve(t);
	t.like((await ask(port, WEB, 'A', [edns(1_400)])).additionals?.at(-1), { type: 'OPT', udpPayloadSize: 1_232 });
	t.is((await ask(port, WEB)).additionals?.length, 0);
	const unknown = await ask(port, WEB, 'A', [edns(1_400, 1)]);
	t.like(unknown.additionals?.at(-1), { type: 'OPT', extendedRcode: 1 });
	t.is(unknown.answers?.length, 0);
});

test('an ExternalName is an alias with what stands behind it', async (t) => {
	const away = await upstream(t, '192.0.2.9');
	const port = await serve(t, { list: async () => [away] });
	const response = await ask(port, 'out.shop.svc.cluster.local');
	t.like(response.answers?.[0], { type: 'CNAME', data: 'away.example.com' });
	t.like(response.answers?.[1], { type: 'A', name: 'away.example.com', data: '192.0.2.9' });
	const inner = await ask(port, 'in.shop.svc.cluster.local');
	t.deepEqual(
		inner.answers?.map(({ type }) => type),
		['CNAME', 'A'],
	);
	const loop = await ask(port, 'loop.shop.svc.cluster.local');
	t.is(loop.answers?.[0]?.type, 'CNAME');
});

test('other names are asked of the resolvers of the machine, by UDP and by TCP', async (t) => {
	const away = await upstream(t, '192.0.2.1');
	const port = await serve(t, { list: async () => [away] });
	const response = await ask(port, 'www.Example.com');
	t.like(response.answers?.[0], { name: 'www.Example.com', data: '192.0.2.1' });
	t.false(response.flag_aa);
	const tcp = packet.decode((await overTcp(port, framed(query('tcp.example.com')))).subarray(2));
	t.like(tcp.answers?.[0], { data: '192.0.2.1' });
	t.deepEqual(away.asked, ['www.Example.com', 'tcp.example.com']);
	// What came by TCP may be too large for UDP.
	await ask(port, 'tcp.example.com');
	await ask(port, 'tcp.example.com');
	await overTcp(port, framed(query('tcp.example.com')));
	t.deepEqual(away.asked.slice(2), ['tcp.example.com']);
});

const config = (data: Record<string, string>): ConfigMap => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: { name: 'kube-dns', namespace: 'kube-system' },
	data,
});
const at = ({ address, port }: Resolver) => `${address}:${port}`;

test('names of a stub domain are asked of its resolvers, the longest domain first, and others of the upstream that is named', async (t) => {
	const [company, team, other, machine] = await Promise.all(
		['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'].map((ip) => upstream(t, ip)),
	);
	if (!company || !team || !other || !machine) throw new Error('four resolvers are needed');
	let now: ConfigMap | undefined;
	const lines: string[] = [];
	const log: Log = { ...silentLog, warn: (about, line) => void lines.push(`${line} ${JSON.stringify(about)}`) };
	const resolversFor = createForwarding({
		config: () => now,
		machine: async () => [machine],
		self: '127.0.0.9',
		log,
	});
	const port = await serve(t, { resolversFor });
	const ip = async (name: string) => {
		const [first] = (await ask(port, name)).answers ?? [];
		return first?.type === 'A' ? first.data : undefined;
	};
	t.is(await ip('a.corp.example'), '192.0.2.4');
	const stubDomains = { 'Corp.Example.': [at(company)], 'team.corp.example': ['127.0.0.9', at(team)] };
	now = config({ stubDomains: JSON.stringify(stubDomains) });
	t.is(await ip('b.corp.example'), '192.0.2.1');
	t.is(await ip('corp.example'), '192.0.2.1');
	t.is(await ip('x.y.team.corp.example'), '192.0.2.2');
	t.is(await ip('notcorp.example'), '192.0.2.4');
	// What is broken leaves what was there.
	now = config({ stubDomains: '{"corp.example": "10.0.0.1"}' });
	t.is(await ip('c.corp.example'), '192.0.2.1');
	t.regex(lines.join(), /the ConfigMap kube-dns in kube-system cannot be read/);
	t.regex(lines.join(), /stubDomains\[corp\.example\] must be a list of 1 to 16 resolvers/);
	now = config({ stubDomains: JSON.stringify({ 'only.example': [at(other)] }) });
	t.is(await ip('d.corp.example'), '192.0.2.4');
	t.is(await ip('d.only.example'), '192.0.2.3');
});

test('upstreamNameservers go before the resolvers of the machine', async (t) => {
	const [named, machine] = await Promise.all(['192.0.2.3', '192.0.2.4'].map((ip) => upstream(t, ip)));
	if (!named || !machine) throw new Error('two resolvers are needed');
	const now = config({ upstreamNameservers: JSON.stringify([at(named)]) });
	const options = { config: () => now, machine: async () => [machine], self: '127.0.0.9', log: silentLog };
	const port = await serve(t, { resolversFor: createForwarding(options) });
	t.like((await ask(port, 'www.example.com')).answers?.[0], { data: '192.0.2.3' });
});

test('what the ConfigMap of cluster DNS says wrongly is named by its field', (t) => {
	const wrong = (data: Record<string, string>, message: RegExp) => t.throws(() => forwardingOf(data), { message });
	wrong({ stubDomains: '{' }, /^stubDomains is not JSON: /);
	wrong({ stubDomains: '[]' }, /^stubDomains must be an object of domains/);
	wrong({ stubDomains: '{"a b": ["10.0.0.1"]}' }, /^stubDomains: "a b" is no domain/);
	wrong({ stubDomains: '{"a": []}' }, /^stubDomains\[a\] must be a list/);
	wrong({ stubDomains: '{"a": ["dns.example"]}' }, /^stubDomains\[a\]: "dns.example" is no address/);
	wrong({ upstreamNameservers: '["10.0.0.1:0"]' }, /^upstreamNameservers: "10.0.0.1:0" is no address/);
	t.deepEqual(forwardingOf({ upstreamNameservers: '["10.0.0.1:5353", "fd00::1"]' }).upstream, [
		{ address: '10.0.0.1', port: 5353 },
		{ address: 'fd00::1' },
	]);
});

test('questions are counted by zone, protocol, type and outcome', async (t) => {
	const away = await upstream(t, '192.0.2.1');
	const metrics = createDnsMetrics();
	const port = await serve(t, { list: async () => [away], metrics });
	await ask(port, 'web.shop.svc.cluster.local');
	await ask(port, 'nothing.shop.svc.cluster.local');
	await overTcp(port, framed(query('www.example.com', 'AAAA')));
	const text = exposition(metrics.families());
	const has = (line: string) => t.true(text.includes(line), `${line} in ${text}`);
	const ours = 'server="dns://:53",zone="cluster.local.",view=""';
	has(`coredns_dns_requests_total{${ours},proto="udp",family="1",type="A"} 2`);
	has(`coredns_dns_requests_total{server="dns://:53",zone=".",view="",proto="tcp",family="1",type="AAAA"} 1`);
	has(`coredns_dns_responses_total{${ours},rcode="NOERROR",plugin="kubernetes"} 1`);
	has(`coredns_dns_responses_total{${ours},rcode="NXDOMAIN",plugin="kubernetes"} 1`);
	has(`coredns_dns_responses_total{server="dns://:53",zone=".",view="",rcode="NOERROR",plugin="forward"} 1`);
	has(`coredns_dns_request_duration_seconds_count{${ours}} 2`);
});

test('a resolver that is dead, or cannot tell, is passed over, and asked last from then on', async (t) => {
	const dead = { address: '127.0.0.1', port: 1 };
	const lost = await upstream(t, '', 2);
	const good = await upstream(t, '192.0.2.1');
	const port = await serve(t, { list: async () => [dead, lost, good] });
	for (const name of ['a.example.com', 'b.example.com'])
		t.like((await ask(port, name)).answers?.[0], { data: '192.0.2.1' });
	t.deepEqual(lost.asked, ['a.example.com']);
});

test('where no resolver answers the client is told, and what they say is passed on', async (t) => {
	t.is(codeOf(await ask(await serve(t), 'example.com')), 2);
	const unwilling = await upstream(t, '', 5);
	t.is(codeOf(await ask(await serve(t, { list: async () => [unwilling] }), 'example.com')), 5);
	// One that no socket can be connected to, like any while the machine is cut off from its network.
	const nowhere = { address: '255.255.255.255' };
	t.is(codeOf(await ask(await serve(t, { list: async () => [nowhere] }), 'example.com')), 2);
});

test('names of the cluster are answered while resolvers hang, and one client cannot take all that wait', async (t) => {
	const hanging = await silent(t);
	const port = await serve(t, { list: async () => [hanging] });
	let arrived = 0;
	const all = new Promise<void>((resolve) => {
		hanging.socket.on('message', () => {
			if (++arrived === 100) resolve();
		});
	});
	const client = createSocket('udp4');
	t.teardown(() => client.close());
	const refused = once(client, 'message');
	for (let index = 0; index < 100; index++) client.send(query(`${index}.example.com`), port, '127.0.0.1');
	await all;
	client.send(query('one-too-many.example.com'), port, '127.0.0.1');
	const [response] = await refused;
	t.is(codeOf(packet.decode(response)), 2);
	t.is(packet.decode(response).questions?.[0]?.name, 'one-too-many.example.com');
	t.like((await ask(port, WEB)).answers?.[0], { data: '10.96.0.5' });
});

test('outsiders get no answer from here', async (t) => {
	const away = await upstream(t, '192.0.2.1');
	const port = await serve(t, { serves: () => false, list: async () => [away] });
	for (const name of [WEB, 'example.com']) {
		const response = await ask(port, name);
		t.is(codeOf(response), 5);
		t.is(response.answers?.length, 0);
	}
	t.deepEqual(away.asked, []);
});

test('what is no query is told so or ignored, and the server lives', async (t) => {
	const port = await serve(t);
	const good = query(WEB);
	const change = (at: number, value: number) => Buffer.from(good.map((byte, index) => (index === at ? value : byte)));
	t.is(codeOf(packet.decode(await exchange(port, change(2, 0x28)))), 4, 'an operation that is not known');
	t.is((await exchange(port, good.subarray(0, 20))).readUInt8(3) & 0xf, 1, 'cut off in the middle');
	t.is((await exchange(port, change(5, 0))).readUInt8(3) & 0xf, 1, 'no question');
	t.is((await exchange(port, change(5, 2))).readUInt8(3) & 0xf, 1, 'more questions than there are');
	const pointer = Buffer.concat([good.subarray(0, 12), Buffer.from([0xc0, 0x0c, 0, 1, 0, 1])]);
	t.is((await exchange(port, pointer)).readUInt8(3) & 0xf, 1, 'a name that points to itself');
	const chaos = packet.encode({
		type: 'query',
		id: 1,
		questions: [{ type: 'TXT', name: 'version.bind', class: 'CH' }],
	});
	t.is(codeOf(packet.decode(await exchange(port, chaos))), 5, 'another class');
	t.like((await ask(port, WEB)).answers?.[0], { data: '10.96.0.5' });
});

test('a query from port 0, to which nothing can be sent, leaves the server at work', async (t) => {
	const port = await serve(t);
	const ports = Buffer.alloc(8);
	ports.writeUInt16BE(port, 2);
	ports.writeUInt16BE(8 + query(WEB).length, 4);
	// Sockets of the kernel's own choosing never have that port; one that writes the header of UDP itself may.
	const script = `use Socket; socket(my $s, PF_INET, SOCK_RAW, 17) or die $!;
		send($s, pack("H*", shift), 0, sockaddr_in(0, inet_aton("127.0.0.1"))) or die $!;`;
	const sent = spawn('perl', ['-e', script, Buffer.concat([ports, query(WEB)]).toString('hex')], { stdio: 'inherit' });
	t.deepEqual(await once(sent, 'exit'), [0, null]);
	t.like((await ask(port, WEB)).answers?.[0], { data: '10.96.0.5' });
});

test('no bytes whatever end the server, and it never answers an answer', async (t) => {
	const port = await serve(t);
	const socket = createSocket('udp4');
	t.teardown(() => socket.close());
	const answered: Buffer[] = [];
	socket.on('message', (message) => answered.push(message));
	const send = (bytes: Uint8Array) =>
		new Promise<void>((resolve, reject) => {
			socket.send(bytes, port, '127.0.0.1', (error) => (error ? reject(error) : resolve()));
		});
	const answer = Buffer.from(query(WEB));
	answer[2] = (answer[2] ?? 0) | 0x80;
	answer.writeUInt16BE(1, 0);
	await send(answer);
	const bytes = fc.uint8Array({ minLength: 0, maxLength: 80 });
	const almost = fc
		.tuple(fc.nat(good.length - 1), fc.nat(255))
		.map(([at, value]) => Buffer.from(good.map((byte, index) => (index === at ? value : byte))));
	await fc.assert(
		fc.asyncProperty(fc.oneof(bytes, almost), (garbage) => send(garbage)),
		{ numRuns: 300 },
	);
	await send(good);
	while (!answered.some((message) => message.readUInt16BE(0) === 4711 && message.length > 60))
		await once(socket, 'message');
	t.false(answered.some((message) => message.readUInt16BE(0) === 1 && message.readUInt16BE(6) === 1));
	for (const message of answered) t.true((message.readUInt8(2) & 0x80) !== 0);
});
const good = query(WEB);

test('TCP: several queries on one connection, in pieces', async (t) => {
	const port = await serve(t);
	const socket = createConnection(port, '127.0.0.1');
	t.teardown(() => socket.destroy());
	const both = Buffer.concat([framed(query(WEB)), framed(query('nope.shop.svc.cluster.local'))]);
	socket.setNoDelay(true);
	socket.write(both.subarray(0, 1));
	socket.write(both.subarray(1, 30));
	socket.write(both.subarray(30));
	let received = Buffer.alloc(0);
	const codes: number[] = [];
	while (codes.length < 2) {
		const [chunk] = await once(socket, 'data');
		received = Buffer.concat([received, chunk]);
		while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
			const end = 2 + received.readUInt16BE(0);
			codes.push(codeOf(packet.decode(received.subarray(2, end))));
			received = received.subarray(end);
		}
	}
	t.deepEqual(codes, [0, 3]);
});

test('TCP: one client has so many connections and no more', async (t) => {
	const port = await serve(t);
	const sockets = Array.from({ length: 32 }, () => createConnection(port, '127.0.0.1'));
	t.teardown(() => {
		for (const socket of sockets) socket.destroy();
	});
	await Promise.all(sockets.map((socket) => once(socket, 'connect')));
	const one = () => overTcp(port, framed(query(WEB))).catch(() => Buffer.alloc(0));
	t.is((await one()).length, 0);
	const [first] = sockets;
	first?.destroy();
	let answered = 0;
	while (answered === 0) answered = (await one()).length;
	t.true(answered > 0);
});

test('a port that is taken is an error, and nothing stays open', async (t) => {
	const tcp = createServer().listen(0, '127.0.0.1');
	await once(tcp, 'listening');
	t.teardown(() => tcp.close());
	const address = tcp.address();
	const port = typeof address === 'object' && address ? address.port : 0;
	await t.throwsAsync(serve(t, { port }), { message: /EADDRINUSE/ });
	const udp = createSocket('udp4');
	t.teardown(() => udp.close());
	udp.bind(port, '127.0.0.1');
	await once(udp, 'listening');
	t.pass();
});

test('the resolvers of the machine are those of resolv.conf but for this server, read again now and then', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'driftless-dns-'));
	t.teardown(() => rm(folder, { recursive: true }));
	const path = join(folder, 'resolv.conf');
	await writeFile(
		path,
		'# by hand\nnameserver 192.0.2.1\n nameserver fe80::1%eth0\nnameserver 10.96.0.10\nnameserver what\n',
	);
	t.deepEqual(await resolversOf(path, '10.96.0.10'), [{ address: '192.0.2.1' }, { address: 'fe80::1%eth0' }]);
	t.deepEqual(await resolversOf(join(folder, 'absent'), ''), []);

	const [one, two] = [await upstream(t, '192.0.2.1'), await upstream(t, '192.0.2.2')];
	let now = 0;
	let list: Resolver[] = [one];
	const resolvers = createResolvers({ list: async () => list, log: silentLog, now: () => now });
	const first = async () => {
		const bytes = await resolvers.ask(query('example.com'), 'udp', 'client');
		return bytes && dataOf(packet.decode(bytes).answers?.[0]);
	};
	t.is(await first(), '192.0.2.1');
	list = [two];
	t.is(await first(), '192.0.2.1');
	now = 5_000;
	t.is(await first(), '192.0.2.2');
});

const A_CLIENT = 'client';

test('an answer is kept for as long as it says, gets older, and is that of the resolvers there are', async (t) => {
	const away = await byHand(t);
	let now = 0;
	let list: Resolver[] = [away];
	const resolvers = createResolvers({ list: async () => list, log: silentLog, now: () => now });
	const asks = async (bytes: Buffer, reply: Parameters<typeof answerTo>[1]) => {
		const before = away.queries.length;
		const answer = resolvers.ask(bytes, 'udp', A_CLIENT);
		const first = await Promise.race([answer.then(() => false), away.arrived(before + 1).then(() => true)]);
		const got = away.queries[before];
		if (first && got) away.send(answerTo(got.bytes, reply), got.port);
		const response = packet.decode((await answer) ?? Buffer.alloc(0));
		return { asked: away.queries.length > before, response };
	};
	const name = 'www.example.com';
	const ttl = (seconds: number): packet.Answer[] => [{ type: 'A', name, ttl: seconds, data: '192.0.2.1' }];
	const soa = (minimum: number): packet.Answer[] => [
		{ type: 'SOA', name: 'example.com', ttl: 600, data: { mname: 'a', rname: 'b', minimum } },
	];
	t.true((await asks(query(name), { answers: ttl(10) })).asked);
	now = 4_000;
	const later = await asks(Buffer.from(query(name)), {});
	t.false(later.asked);
	t.is(later.response.id, 4711);
	t.like(later.response.answers?.[0], { data: '192.0.2.1', ttl: 6 });
	t.true((await asks(query(name, 'AAAA'), { answers: [], authorities: soa(10) })).asked, 'another question');
	t.true((await asks(query(name, 'A', [edns(1_400)]), {})).asked, 'other options');
	t.true((await asks(query('WWW.example.com'), {})).asked, 'other letters: the answer has those of the question');
	now = 10_000;
	t.true((await asks(query(name), { answers: ttl(3_600) })).asked, 'its time is over');
	t.false((await asks(query(name, 'AAAA'), {})).asked, 'that there is nothing is kept as long as the zone says');
	now = 39_000;
	t.false((await asks(query(name), {})).asked);
	t.true((await asks(query(name, 'AAAA'), {})).asked);
	now = 40_000;
	t.true((await asks(query(name), {})).asked, 'half a minute is the longest');

	const never: [string, Parameters<typeof answerTo>[1]][] = [
		['fault.example.com', { code: 2, answers: [] }],
		['cut.example.com', { flags: packet.TRUNCATED_RESPONSE }],
		['zero.example.com', { answers: [{ type: 'A', name: 'zero.example.com', ttl: 0, data: '192.0.2.1' }] }],
		['nothing.example.com', { answers: [] }],
		['refused.example.com', { code: 5, answers: [] }],
	];
	for (const [each, reply] of never)
		for (const time of ['at first', 'again']) t.true((await asks(query(each), reply)).asked, `${each} ${time}`);
	t.true((await asks(query('gone.example.com'), { code: 3, answers: [], authorities: soa(10) })).asked);
	const gone = await asks(query('gone.example.com'), {});
	t.false(gone.asked);
	t.is(codeOf(gone.response), 3);

	const other = await upstream(t, '192.0.2.2');
	list = [other];
	now = 45_000;
	t.is(dataOf((await asks(query('gone.example.com'), {})).response.answers?.[0]), '192.0.2.2');
});

test('who asks the same at the same time waits for one answer, and each gets it under the own number', async (t) => {
	const away = await byHand(t);
	const port = await serve(t, { list: async () => [away] });
	const numbers = [1, 2, 3];
	const all = numbers.map((id) => exchange(port, numbered(query('same.example.com'), id)));
	await away.arrived(1);
	// Asked after the others, and answered: so they have been heard.
	t.like((await ask(port, WEB)).answers?.[0], { data: '10.96.0.5' });
	const [one] = away.queries;
	if (one) away.send(answerTo(one.bytes), one.port);
	t.deepEqual((await Promise.all(all)).map((bytes) => packet.decode(bytes).id).sort(), numbers);
	t.is(away.queries.length, 1);
});

test('what is not the answer to a question that waits is not taken', async (t) => {
	const away = await byHand(t);
	const port = await serve(t, { list: async () => [away] });
	const waiting = exchange(port, query('www.example.com'));
	await away.arrived(1);
	const [one] = away.queries;
	if (!one) return t.fail();
	const poison: packet.Answer[] = [{ type: 'A', name: 'www.example.com', ttl: 60, data: '203.0.113.66' }];
	const forged = answerTo(one.bytes, { answers: poison });
	t.not(one.bytes.readUInt16BE(0), 4711, 'the number is not that of the client');
	away.send(numbered(forged, (one.bytes.readUInt16BE(0) + 1) % 65_536), one.port);
	away.send(answerTo(one.bytes, { questions: [{ type: 'A', name: 'evil.example.com' }], answers: poison }), one.port);
	away.send(Buffer.alloc(3), one.port);
	const stranger = createSocket('udp4');
	t.teardown(() => stranger.close());
	await new Promise((resolve) => stranger.send(forged, one.port, '127.0.0.1', resolve));
	away.send(answerTo(one.bytes), one.port);
	t.is(dataOf(packet.decode(await waiting).answers?.[0]), '192.0.2.1');
});

test('many questions share few sockets, which change', async (t) => {
	const away = await byHand(t);
	const resolvers = createResolvers({ list: async () => [away], log: silentLog });
	// No more than the buffer of a socket holds.
	const COUNT = 100;
	const round = async (from: number) => {
		const clients = Array.from({ length: COUNT }, (_, index) => index);
		const all = clients.map((index) =>
			resolvers.ask(query(`${from + index}.example.com`), 'udp', `client ${index % 4}`),
		);
		await away.arrived(from + COUNT);
		const asked = away.queries.slice(from);
		for (const { bytes, port } of asked) away.send(answerTo(bytes), port);
		t.true((await Promise.all(all)).every(Boolean));
		return new Set(asked.map(({ port }) => port));
	};
	const first = await round(0);
	t.true(first.size <= 32, `${first.size} ports`);
	t.true(first.size >= 2);
	const second = await round(COUNT);
	t.true(second.intersection(first).size < second.size, 'nobody waited: they were closed');
});
