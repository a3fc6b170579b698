/** Cluster DNS as a process of its own, against a real API, on addresses of the loopback net. */
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import * as packet from 'dns-packet';
import { type DnsProcessOptions, keepDnsRunning, stopDns } from '../../src/proxy/dns/process.ts';
import { serveTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';

const PATIENCE_MS = 60_000;
/** As a resolver does: one that does not answer is asked once more. */
const ATTEMPTS = 3;
const ATTEMPT_MS = 5_000;

/** The addresses of a name; undefined where no answer came, or another than that it is or is not. */
async function lookUp(server: string, name: string): Promise<readonly string[] | undefined> {
	for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
		const socket = createSocket('udp4');
		try {
			const answer = Promise.withResolvers<Buffer | undefined>();
			const timer = setTimeout(() => answer.resolve(undefined), ATTEMPT_MS);
			socket.on('message', answer.resolve);
			socket.on('error', () => answer.resolve(undefined));
			const query = packet.encode({ type: 'query', id: attempt + 1, questions: [{ type: 'A', name }] });
			socket.connect(53, server, () => socket.send(query));
			const bytes = await answer.promise;
			clearTimeout(timer);
			if (!bytes) {
				await delay(50);
				continue;
			}
			const { answers = [], flags = 0 } = packet.decode(bytes);
			// SERVFAIL: it cannot tell yet.
			if ((flags & 0xf) === 2) return undefined;
			return answers.flatMap((each) => (each.type === 'A' ? [each.data] : []));
		} finally {
			socket.close();
		}
	}
	return undefined;
}

async function until<T>(what: string, look: () => Promise<T>, condition: (seen: T) => boolean): Promise<T> {
	const deadline = Date.now() + PATIENCE_MS;
	for (;;) {
		const seen = await look();
		if (condition(seen)) return seen;
		if (Date.now() > deadline) throw new Error(`${what}: not within a minute; last seen: ${JSON.stringify(seen)}`);
		await delay(50);
	}
}

let used = 0;

async function open(t: ExecutionContext, below = '') {
	const top = await mkdtemp(join(tmpdir(), 'driftless-dns-'));
	const folder = join(top, below);
	const server = await serveTestApi();
	const address = `127.77.${process.pid % 250}.${++used}`;
	const options: DnsProcessOptions = {
		folder,
		kubeconfig: server.kubeconfig,
		podNetwork: '10.244.0.0/16',
		serviceNetwork: '10.96.0.0/12',
		clusterDns: address,
		clusterDomain: 'cluster.local',
		log: silentLog,
	};
	const running: { stop: AbortController; ended: Promise<void> }[] = [];
	t.teardown(async () => {
		for (const { stop } of running) stop.abort();
		await Promise.all(running.map(({ ended }) => ended));
		await stopDns(folder);
		if (!t.passed) t.log(await readFile(join(folder, 'dns.log'), 'utf8').catch(() => 'no log'));
		await server[Symbol.asyncDispose]();
		await rm(top, { recursive: true, force: true });
	});
	return {
		folder,
		server,
		address,
		options,
		/** Begins to keep it running; the function returned stops keeping it. */
		keep(more: Partial<DnsProcessOptions> = {}) {
			const stop = new AbortController();
			const ended = keepDnsRunning({ ...options, ...more }, stop.signal);
			running.push({ stop, ended });
			return async () => {
				stop.abort();
				await ended;
			};
		},
		async service(name: string) {
			const spec = { ports: [{ port: 80 }] };
			const body = { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec };
			const made = await server.ask('/api/v1/namespaces/default/services', { body });
			if (made.code !== 201) throw new Error(made.text);
			return made.body.spec.clusterIP as string;
		},
		look: (name: string) => lookUp(address, `${name}.default.svc.cluster.local`),
		/** The processes that were started for the folder, by the machine's own list. */
		async processes(): Promise<number[]> {
			const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid,args']);
			const ours = stdout.split('\n').filter((line) => line.includes(`${folder}/config.json`));
			return ours.map((line) => Number.parseInt(line, 10));
		},
		/** The process that serves, by the number it says. */
		async pid(): Promise<number> {
			const file = (await readdir(folder)).find((file) => file.endsWith('.sock'));
			const socket = connect(join(folder, file ?? 'none'));
			try {
				for await (const chunk of socket) return (JSON.parse(String(chunk)) as { pid: number }).pid;
				throw new Error('it says nothing');
			} finally {
				socket.destroy();
			}
		},
	};
}

const has = (ip: string) => (seen: readonly string[] | undefined) => seen?.includes(ip) ?? false;

test('names are answered by a process that goes on without who started it, and is taken over by the next', async (t) => {
	const dns = await open(t);
	const end = dns.keep();
	const ip = await dns.service('web');
	await until('the name of a service', () => dns.look('web'), has(ip));
	const pid = await dns.pid();
	await end();
	t.deepEqual(await dns.look('web'), [ip]);
	const later = await dns.service('later');
	await until('a service that came without a keeper', () => dns.look('later'), has(later));
	dns.keep();
	await until('the name again', () => dns.look('web'), has(ip));
	t.is(await dns.pid(), pid);
});

test('it asks whom the ConfigMap kube-dns names, and tells its figures where CoreDNS has them', async (t) => {
	const dns = await open(t);
	const resolver = createSocket('udp4');
	t.teardown(() => void resolver.close());
	resolver.on('message', (bytes, from) => {
		const { id, questions } = packet.decode(bytes);
		const answers: packet.Answer[] = [{ type: 'A', name: questions?.[0]?.name ?? '', ttl: 60, data: '192.0.2.7' }];
		resolver.send(packet.encode({ type: 'response', id, questions, answers }), from.port, from.address);
	});
	await new Promise<void>((resolve) => resolver.bind(0, '127.0.0.1', resolve));
	dns.keep();
	const ip = await dns.service('web');
	await until('the name of a service', () => dns.look('web'), has(ip));
	const stubDomains = JSON.stringify({ 'corp.example': [`127.0.0.1:${resolver.address().port}`] });
	const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kube-dns' }, data: { stubDomains } };
	t.is((await dns.server.ask('/api/v1/namespaces/kube-system/configmaps', { body })).code, 201);
	let tried = 0;
	await until(
		'a name of the stub domain',
		() => lookUp(dns.address, `n${tried++}.corp.example`),
		(seen) => seen?.[0] === '192.0.2.7',
	);
	const figures = await (await fetch(`http://${dns.address}:9153/metrics`)).text();
	t.regex(figures, /^coredns_dns_requests_total\{.*zone="cluster\.local\."/m);
	t.regex(figures, /^coredns_dns_responses_total\{.*rcode="NOERROR",plugin="forward"/m);
});

test('a process that dies while the API is away is started again, and knows what the one before it knew', async (t) => {
	const dns = await open(t);
	dns.keep();
	const ip = await dns.service('web');
	await until('the name of a service', () => dns.look('web'), has(ip));
	const gone = await dns.service('gone');
	await until('the other name', () => dns.look('gone'), has(gone));
	await dns.server.ask('/api/v1/namespaces/default/services/gone', { method: 'DELETE' });
	await until(
		'the name of a service that has gone',
		() => dns.look('gone'),
		(seen) => seen?.length === 0,
	);
	// What is known is gathered for a moment before it is written.
	await delay(1_500);
	await dns.server.served.close();
	const pid = await dns.pid();
	process.kill(pid, 'SIGKILL');
	await until(
		'another process',
		() => dns.pid().catch(() => pid),
		(now) => now !== pid,
	);
	await until('the name, as it was known', () => dns.look('web'), has(ip));
	t.deepEqual(await dns.look('gone'), []);
	t.deepEqual(await dns.look('never'), []);
});

test('a process of another configuration is relieved by a new one, and no question stays without an answer', async (t) => {
	const dns = await open(t);
	const end = dns.keep();
	const ip = await dns.service('web');
	await until('the name of a service', () => dns.look('web'), has(ip));
	const before = await dns.pid();
	let asked = 0;
	const unanswered: number[] = [];
	const stop = new AbortController();
	const asking = Promise.all(
		Array.from({ length: 4 }, async () => {
			while (!stop.signal.aborted) {
				const number = asked++;
				if (!has(ip)(await dns.look('web'))) unanswered.push(number);
			}
		}),
	);
	await end();
	dns.keep({ podNetwork: '10.245.0.0/16' });
	await until(
		'the end of the old process',
		async () => {
			try {
				return process.kill(before, 0);
			} catch {
				return false;
			}
		},
		(alive) => !alive,
	);
	stop.abort();
	await asking;
	t.true(asked > 0);
	t.deepEqual(unanswered, []);
	t.not(await dns.pid(), before);
});

test('it has ended when it is said to have, and leaves nothing that runs or writes', async (t) => {
	const dns = await open(t);
	const end = dns.keep();
	const ip = await dns.service('web');
	await until('the name of a service', () => dns.look('web'), has(ip));
	await end();
	await stopDns(dns.folder);
	t.deepEqual(await dns.processes(), []);
	t.deepEqual((await readdir(dns.folder)).sort(), ['dns.log', 'known.db']);
	t.is(await lookUp(dns.address, 'web.default.svc.cluster.local'), undefined);
});

test('one that has only just been started is ended too', async (t) => {
	const dns = await open(t);
	const end = dns.keep();
	await until(
		'a process',
		() => dns.processes(),
		(all) => all.length > 0,
	);
	await end();
	await stopDns(dns.folder);
	t.deepEqual(await dns.processes(), []);
	t.notRegex((await readdir(dns.folder)).join(), /sock|-wal|json/);
});

test('a process whose folder was made anew is relieved, and takes nothing of the new one with it', async (t) => {
	const dns = await open(t);
	const end = dns.keep();
	const ip = await dns.service('web');
	await until('the name of a service', () => dns.look('web'), has(ip));
	const before = await dns.pid();
	await end();
	const config = await readFile(join(dns.folder, 'config.json'));
	await rm(dns.folder, { recursive: true });
	await mkdir(dns.folder);
	await writeFile(join(dns.folder, 'config.json'), config);
	const again = dns.keep();
	const [now = 0] = await until(
		'one process, and another',
		() => dns.processes(),
		(all) => all.length === 1 && !all.includes(before),
	);
	t.is(await dns.pid(), now);
	await again();
	dns.keep();
	await until('the name again', () => dns.look('web'), has(ip));
	t.deepEqual(await dns.processes(), [now]);
});

test('a folder may have a path that is longer than that of a socket', async (t) => {
	const dns = await open(t, 'x'.repeat(150));
	const end = dns.keep();
	const ip = await dns.service('web');
	await until('the name of a service', () => dns.look('web'), has(ip));
	const before = await dns.processes();
	t.is(before.length, 1);
	await end();
	dns.keep({ podNetwork: '10.245.0.0/16' });
	await until(
		'another process',
		() => dns.processes(),
		(all) => all.length === 1 && !all.includes(before[0] ?? 0),
	);
	t.deepEqual(await dns.look('web'), [ip]);
});
