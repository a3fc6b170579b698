import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { Etcd3, type IWatchResponse } from 'etcd3';
import pLimit from 'p-limit';
import { issue, makeAuthority } from '../../src/api/certificates.ts';
import { openEtcd } from '../../src/store/etcd.ts';
import { Members } from '../../src/store/etcd-members.ts';
import { assemble } from '../../src/store/etcd-watch.ts';
import { type EtcdAccess, openStore } from '../../src/store/index.ts';
import { Compacted, Conflict, type Event, type Revision, type Store, Unavailable } from '../../src/store/store.ts';
import { type EtcdCluster, startEtcd } from '../testbed/etcd.ts';
import { bytes, contract, readUntil } from './contract.ts';
import { properties } from './properties.ts';

let cluster: EtcdCluster;
test.before(async () => {
	cluster = await startEtcd();
});
test.after.always(() => cluster?.stop());
let opened = 0;
const open = () => openEtcd({ endpoints: cluster.endpoints, prefix: `/test/${opened++}/` });

contract(test, open);
properties(test, open, { runs: 25 });

/** A log that keeps what was logged. */
function recorder() {
	const lines: string[] = [];
	const add = (_: object, message: string) => void lines.push(message);
	return { lines, log: { debug: add, info: add, warn: add, error: add } };
}

/** Commits `count` keys one after the other through failures, as a caller must: after Unavailable it looks what is there. */
async function commitThrough(
	store: Store,
	prefix: string,
	count: number,
): Promise<{ revisions: Revision[]; failures: number }> {
	const revisions: Revision[] = [];
	let failures = 0;
	while (revisions.length < count) {
		const key = `${prefix}${String(revisions.length).padStart(4, '0')}`;
		try {
			revisions.push(await store.commit({ puts: [{ key, value: bytes(key) }], expect: [{ key, modified: 'absent' }] }));
		} catch (error) {
			if (error instanceof Conflict) {
				// Made after all by the attempt before, whose answer was lost.
				const entry = await store.get(key);
				if (entry) revisions.push(entry.modified);
			} else if (!(error instanceof Unavailable)) throw error;
			failures++;
		}
	}
	return { revisions, failures };
}

/** Watches into a list until the signal aborts. */
function collect(store: Store, prefix: string, after: Revision) {
	const abort = new AbortController();
	const events: Event[] = [];
	const waiting = new Set<() => void>();
	const done = (async () => {
		for await (const batch of store.watch(prefix, after, abort.signal)) {
			events.push(...batch);
			for (const look of waiting) look();
		}
	})();
	return {
		events,
		/** Resolves once so many events have come. */
		async reached(count: number): Promise<void> {
			const { promise, resolve, reject } = Promise.withResolvers<void>();
			const look = () => events.length >= count && resolve();
			waiting.add(look);
			done.catch(reject);
			look();
			await promise;
			waiting.delete(look);
		},
		async stop(): Promise<void> {
			abort.abort();
			await done;
		},
	};
}

/** Waits until etcd has told a watch its progress three times, so that one that began before has been told as well. */
async function progress(endpoints: readonly string[], revision: Revision): Promise<void> {
	const members = new Members({ endpoints });
	const { stream } = await members.watch();
	stream.on('error', () => undefined);
	stream.write({ create_request: { key: Buffer.from('nothing'), progress_notify: true } });
	let signs = 0;
	for await (const response of stream as AsyncIterable<IWatchResponse>) {
		if (!response.created && Number(response.header.revision) >= revision && ++signs === 3) break;
	}
	stream.cancel();
	members.close();
}

async function cluster3(t: ExecutionContext): Promise<EtcdCluster> {
	const three = await startEtcd({ members: 3 });
	t.teardown(() => three.stop());
	return three;
}

test.serial('openStore opens etcd by its url; keys lie under a prefix of their own', async (t) => {
	await using store = await openStore(`etcd://${cluster.endpoints[0]}`, '/nonexistent');
	await store.commit({ puts: [{ key: '/door', value: bytes('x') }] });
	await using raw = await openEtcd({ endpoints: cluster.endpoints, prefix: '' });
	t.deepEqual(await raw.get('/driftless/door').then((entry) => entry?.value), bytes('x'));
	t.is(await raw.get('/door'), undefined);
	t.deepEqual(
		(await store.list('')).entries.map(({ key }) => key),
		['/door'],
	);
});

test.serial('listings whose values total more than a message holds are whole, and of one revision', async (t) => {
	await using store = await open();
	const value = new Uint8Array(1_400_000).fill(7);
	const keys = Array.from({ length: 12 }, (_, index) => `/large/${String(index).padStart(2, '0')}`);
	for (const key of keys) await store.commit({ puts: [{ key, value }] });
	const listing = await store.list('/large/');
	t.deepEqual(
		listing.entries.map(({ key, value }) => [key, value.byteLength]),
		keys.map((key) => [key, 1_400_000]),
	);
	t.is(listing.revision, await store.revision());
	const page = await store.list('/large/', { limit: 5 });
	t.deepEqual([page.entries.length, page.more], [5, true]);

	// Small entries before large ones: what was learnt of the first is wrong for the last.
	const small = Array.from({ length: 2000 }, (_, index) => `/large/-${String(index).padStart(4, '0')}`);
	for (let from = 0; from < small.length; from += 100) {
		await store.commit({ puts: small.slice(from, from + 100).map((key) => ({ key, value: bytes('small') })) });
	}
	t.deepEqual(
		(await store.list('/large/')).entries.map(({ key }) => key),
		[...small, ...keys],
	);
});

test.serial('a watch that catches up on more than a message holds sees each commit whole', async (t) => {
	await using store = await open();
	const before = await store.revision();
	const value = new Uint8Array(120_000).fill(7);
	let last = before;
	for (let index = 0; index < 10; index++) {
		last = await store.commit({ puts: Array.from({ length: 12 }, (_, part) => ({ key: `/${index}/${part}`, value })) });
	}
	const batches = await readUntil(store, '/', before, last);
	t.is(batches.flat().length, 120);
	for (const batch of batches) {
		for (const revision of new Set(batch.map((event) => event.revision))) {
			t.is(batch.filter((event) => event.revision === revision).length, 12);
		}
	}
});

test.serial('a watch that catches up on thousands of commits sees each once, in order', async (t) => {
	await using store = await open();
	const before = await store.revision();
	const keys = Array.from({ length: 3000 }, (_, index) => `/many/${index % 50}`);
	// As many at once as a slow machine commits before a call gives up.
	const limit = pLimit(100);
	const commit = (key: string) => limit(() => store.commit({ puts: [{ key, value: bytes(key) }] }));
	const revisions = await Promise.all(keys.map(commit));
	const seen = (await readUntil(store, '/many/', before, Math.max(...revisions))).flat();
	t.deepEqual(
		seen.map(({ revision }) => revision),
		revisions.toSorted((a, b) => a - b),
	);
});

test.serial('watches and writes go on without gap or repetition over kill -9 and restart of etcd', async (t) => {
	const { lines, log } = recorder();
	await using store = await openEtcd({ endpoints: cluster.endpoints, prefix: `/restart/${opened++}`, log });
	const before = await store.revision();
	const watched = collect(store, '/w/', before);
	const idle = collect(store, '/idle/', before);
	const writing = commitThrough(store, '/w/', 600);
	for (const wait of [100, 250, 400]) {
		await watched.reached(wait);
		await cluster.kill(0);
		await cluster.start(0);
	}
	const { revisions, failures } = await writing;
	await watched.reached(600);
	t.deepEqual(
		watched.events.map(({ revision }) => revision),
		revisions,
	);
	t.true(failures > 0, 'the restarts were felt');
	await store.commit({ puts: [{ key: '/idle/1', value: bytes('x') }] });
	await idle.reached(1);
	t.is(idle.events.length, 1);
	await watched.stop();
	await idle.stop();
	const faults = lines.filter((line) => line.includes('fails')).length;
	t.true(faults >= 1 && faults <= 3 * 2, `a fault is logged once, not at each attempt: ${faults}`);
	t.true(lines.some((line) => line.includes('answers again')));
});

test.serial(
	'while etcd is down each call is Unavailable in bounded time, and all goes on when it is back',
	async (t) => {
		await using store = await open();
		const revision = await store.commit({ puts: [{ key: '/a', value: bytes('a') }] });
		const watched = collect(store, '/', revision);
		await cluster.kill(0);
		const outcomes = await Promise.all(
			[
				() => store.get('/a'),
				() => store.list('/'),
				() => store.revision(),
				() => store.compact(revision),
				() => store.commit({ puts: [{ key: '/b', value: bytes('b') }] }),
				() => openEtcd({ endpoints: cluster.endpoints }),
			].map((call) =>
				call().then(
					() => undefined,
					(reason: unknown) => reason,
				),
			),
		);
		// That they came to an end, with etcd still down, is the bound.
		for (const error of outcomes) {
			t.true(error instanceof Unavailable, String(error));
			t.regex(String(error), new RegExp(`${cluster.endpoints[0]}.*(ECONNREFUSED|ECONNRESET)`));
		}
		await cluster.start(0);
		const [last = 0] = (await commitThrough(store, '/back/', 1)).revisions;
		t.true(last > revision);
		t.is((await store.get('/a'))?.modified, revision);
		await watched.reached(1);
		t.deepEqual(
			watched.events.filter(({ key }) => key.startsWith('/back/')).map((event) => event.revision),
			[last],
		);
		await watched.stop();
	},
);

test.serial('a cluster that loses any one member, by death or by hanging, goes on', async (t) => {
	const three = await cluster3(t);
	await using store = await openEtcd({ endpoints: three.endpoints });
	await using other = await openEtcd({ endpoints: three.endpoints.toReversed() });
	const before = await store.revision();
	const watches = [collect(store, '/w/', before), collect(other, '/w/', before)];
	const writing = commitThrough(store, '/w/', 600);
	for (const [member, wait] of [50, 200, 350].entries()) {
		await watches[0]?.reached(wait);
		await three.kill(member);
		await Promise.all(watches.map((watched) => watched.reached(wait + 50)));
		await three.start(member);
	}
	three.signal(0, 'SIGSTOP');
	await watches[0]?.reached(550);
	three.signal(0, 'SIGCONT');
	const { revisions } = await writing;
	for (const watched of watches) {
		await watched.reached(600);
		t.deepEqual(
			watched.events.map(({ revision }) => revision),
			revisions,
		);
		await watched.stop();
	}
	t.is(await store.revision(), await other.revision());
});

test.serial('the history is cut by itself: what is older than it is to be kept is forgotten', async (t) => {
	const history = { keep: 100, every: 25 };
	await using store = await openEtcd({ endpoints: cluster.endpoints, prefix: '/cut', history });
	const old = await store.commit({ puts: [{ key: '/a', value: bytes('1') }] });
	const next = await store.commit({ puts: [{ key: '/a', value: bytes('2') }] });
	for (;;) {
		const error = await store.list('/', { revision: old }).then(
			() => undefined,
			(reason: unknown) => reason,
		);
		if (error instanceof Compacted) break;
		t.is(error, undefined);
	}
	// The newest revision is never cut, however old.
	t.is((await store.list('/', { revision: next })).entries.length, 1);
});

test.serial('an etcd without room says so once and what is to be done, and all goes on when it is', async (t) => {
	const own = await startEtcd({ flags: ['--quota-backend-bytes', '8000000'] });
	t.teardown(() => own.stop());
	const { lines, log } = recorder();
	await using store = await openEtcd({ endpoints: own.endpoints, log });
	const value = new Uint8Array(1_000_000).fill(7);
	const put = (key: string) => store.commit({ puts: [{ key, value }] });
	const full = await t.throwsAsync(
		async () => {
			// It looks at its file, which grows ten times a second.
			for (let index = 0; index < 1000; index++) await put(`/${index}`);
		},
		{ instanceOf: Unavailable },
	);
	t.regex(full?.message ?? '', /no room left .* compact and defragment it or raise its --quota-backend-bytes/);
	const { entries, revision } = await store.list('/');
	await t.throwsAsync(put('/more'), { instanceOf: Unavailable });
	await store.commit({ deletes: entries.map(({ key }) => key) });
	await t.throwsAsync(put('/more'), { instanceOf: Unavailable }, 'what was deleted is still in the history');
	await store.compact(revision + 1);
	for (const command of [['defrag'], ['alarm', 'disarm']]) {
		const env = { ...process.env, ETCDCTL_API: '3' };
		await promisify(execFile)('etcdctl', ['--endpoints', ...own.endpoints, ...command], { env });
	}
	await put('/more');
	t.is(lines.length, 2, lines.join('\n'));
	t.regex(lines[0] ?? '', /alarm NOSPACE/);
	t.is(lines[1], 'etcd has room again');
});

test.serial('an etcd that hangs is told in the same words each time, so that who retries tells it once', async (t) => {
	const own = await startEtcd();
	t.teardown(() => own.stop());
	await using store = await openEtcd({ endpoints: own.endpoints });
	own.signal(0, 'SIGSTOP');
	for (let attempt = 0; attempt < 3; attempt++) {
		const writing = store.commit({ puts: [{ key: '/a', value: bytes('a') }] });
		for (const call of [writing, store.get('/a')]) {
			const error = await t.throwsAsync(call, { instanceOf: Unavailable });
			t.regex(error?.message ?? '', /: (no answer in time|Connection dropped)$/);
		}
	}
	own.signal(0, 'SIGCONT');
});

test.serial('a member without a vote that is named among the others costs no commit', async (t) => {
	const own = await startEtcd();
	t.teardown(() => own.stop());
	const learner = await own.addLearner();
	const put = { request_put: { key: bytes('/a'), value: bytes('x') } };
	// Each begins with any of the two.
	for (let index = 0; index < 12; index++) {
		const members = new Members({ endpoints: [learner, ...own.endpoints] });
		const call = members.call('txn', { compare: [], success: [put], failure: [] }, { repeatable: false });
		await t.notThrowsAsync(call);
		members.close();
	}
});

test.serial('a watch on which nothing happens resumes where etcd was, not where it began', async (t) => {
	const own = await startEtcd({ flags: ['--experimental-watch-progress-notify-interval', '100ms'] });
	t.teardown(() => own.stop());
	await using store = await openEtcd({ endpoints: own.endpoints });
	const before = await store.revision();
	let last = await store.commit({ puts: [{ key: '/idle/0', value: bytes('x') }] });
	const idle = collect(store, '/idle/', before);
	await idle.reached(1);
	for (let index = 0; index < 100; index++) last = await store.commit({ puts: [{ key: '/busy', value: bytes('x') }] });
	await progress(own.endpoints, last);
	await store.compact(last);
	await own.kill(0);
	await own.start(0);
	await commitThrough(store, '/idle/after/', 1);
	await idle.reached(2);
	t.deepEqual(
		idle.events.map(({ key }) => key),
		['/idle/0', '/idle/after/0000'],
	);
	await idle.stop();
});

test.serial(
	'etcd with users is used by name and password, also after a restart in which it forgets its tokens',
	async (t) => {
		const own = await startEtcd();
		t.teardown(() => own.stop());
		const admin = new Etcd3({ hosts: [...own.endpoints] });
		const root = await admin.user('root').create('secret');
		await admin.role('root').create();
		await root.addRole('root');
		const role = admin.role('driftless');
		await role.create();
		await role.grant({ permission: 'Readwrite', range: admin.range({ prefix: '/driftless' }) });
		await (await admin.user('driftless').create('secret')).addRole('driftless');
		await admin.auth.authEnable();
		admin.close();
		const folder = await mkdtemp(join(tmpdir(), 'driftless-etcd-user-'));
		t.teardown(() => rm(folder, { recursive: true }));
		const passwordFile = join(folder, 'password');
		await writeFile(passwordFile, 'secret\n');
		const url = `etcd://${own.endpoints[0]}`;
		const as = (password: Partial<EtcdAccess>) =>
			openStore(url, folder, { etcd: { username: 'driftless', ...password } });
		await t.throwsAsync(as({ password: 'wrong' }), { message: /refuses the user name or the password/ });
		await t.throwsAsync(openStore(url, folder), { message: /etcd refuses the range: .*user name/ });
		await using store = await as({ passwordFile });
		const watched = collect(store, '/', await store.revision());
		const first = await store.commit({ puts: [{ key: '/a', value: bytes('a') }] });
		await watched.reached(1);
		await own.kill(0);
		await own.start(0);
		await commitThrough(store, '/b/', 10);
		await watched.reached(11);
		await t.notThrowsAsync(store.compact(first));
		await watched.stop();
	},
);

test.serial(
	'etcd over TLS is used by the certificates that are named, also when they have been renewed while it runs',
	async (t) => {
		const folder = await mkdtemp(join(tmpdir(), 'driftless-etcd-tls-'));
		t.teardown(() => rm(folder, { recursive: true }));
		const file = (name: string) => join(folder, name);
		/** New certificates of a new authority, in the same files. */
		const renew = async () => {
			const authority = await makeAuthority('etcd-ca', Date.now());
			const server = { commonName: 'etcd', usage: 'server', names: ['127.0.0.1'] } as const;
			const client = { commonName: 'driftless', usage: 'client' } as const;
			const all = {
				ca: authority,
				server: await issue(authority, server, Date.now()),
				client: await issue(authority, client, Date.now()),
			};
			for (const [name, { cert, key }] of Object.entries(all)) {
				await writeFile(file(`${name}.crt`), cert);
				await writeFile(file(`${name}.key`), key);
			}
		};
		await renew();
		const own = await startEtcd({ tls: { ca: file('ca.crt'), cert: file('server.crt'), key: file('server.key') } });
		t.teardown(() => own.stop());
		const url = `etcds://${own.endpoints[0]}`;
		const caFile = file('ca.crt');
		const pair = { certFile: file('client.crt'), keyFile: file('client.key') };
		const refused = (etcd: EtcdAccess, message: RegExp, at = url) =>
			t.throwsAsync(openStore(at, folder, { etcd }), { message });
		await refused({ caFile }, /no member of etcd answers .*(certificate|ECONNRESET|handshake|socket|closed)/i);
		await refused(pair, /no member of etcd answers .*certificate/);
		await refused({ caFile: file('none'), ...pair }, /\/none, given for etcd, cannot be used: ENOENT/);
		await refused({ caFile: file('ca.key'), ...pair }, /\/ca\.key, given for etcd, cannot be used/);
		await refused({ caFile, ...pair, keyFile: file('ca.key') }, /it is not the key of .*client\.crt/);
		await refused({ caFile, certFile: pair.certFile }, /given both or not at all/);
		await refused({ caFile }, /certificates for etcd need TLS: name the store "etcds:/, `etcd://${own.endpoints[0]}`);

		await using store = await openStore(url, folder, { etcd: { caFile, ...pair } });
		const watched = collect(store, '/', await store.revision());
		await store.commit({ puts: [{ key: '/a', value: bytes('a') }] });
		await watched.reached(1);
		await own.kill(0);
		await renew();
		await own.start(0);
		await commitThrough(store, '/b/', 3);
		await watched.reached(4);
		await watched.stop();
	},
);

test.serial('two clients race for a key: one wins, the other gets a Conflict', async (t) => {
	await using one = await openEtcd({ endpoints: cluster.endpoints, prefix: '/race' });
	await using two = await openEtcd({ endpoints: cluster.endpoints, prefix: '/race' });
	for (let round = 0; round < 20; round++) {
		const expect = [{ key: `/${round}`, modified: 'absent' as const }];
		const outcomes = await Promise.allSettled(
			[one, two].map((store) => store.commit({ puts: [{ key: `/${round}`, value: bytes('x') }], expect })),
		);
		t.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
	}
});

test('fragments of a watch are put together to whole commits, and what was seen already is dropped', (t) => {
	const toEvent = (raw: { kv: { mod_revision: string; key: Buffer } }): Event => ({
		type: 'delete',
		key: String(raw.kv.key),
		revision: Number(raw.kv.mod_revision),
	});
	const response = (revisions: number[], { fragment = false, header = 100, created = false } = {}) => ({
		created,
		fragment,
		header: { revision: String(header) },
		events: revisions.map((revision) => ({ kv: { mod_revision: String(revision), key: Buffer.from('k') } })),
	});
	const table: [
		what: string,
		after: number,
		responses: ReturnType<typeof response>[],
		expected: [number[], number][],
	][] = [
		['the confirmation tells no progress', 5, [response([], { created: true })], [[[], 5]]],
		['a sign of progress does', 5, [response([], { header: 9 })], [[[], 9]]],
		['but never goes back', 5, [response([], { header: 3 })], [[[], 5]]],
		['events', 5, [response([6, 6, 7])], [[[6, 6, 7], 7]]],
		['the revision asked from is dropped', 5, [response([5, 5, 6])], [[[6], 6]]],
		['nothing but it', 5, [response([5])], [[[], 5]]],
		[
			'a revision cut in two is held until it is whole',
			5,
			[response([6, 7], { fragment: true }), response([7, 8])],
			[
				[[6], 6],
				[[7, 7, 8], 8],
			],
		],
		[
			'a revision cut in three',
			5,
			[response([6], { fragment: true }), response([6], { fragment: true }), response([6])],
			[
				[[], 5],
				[[], 5],
				[[6, 6, 6], 6],
			],
		],
		[
			'fragments cut between revisions',
			5,
			[response([6, 6], { fragment: true }), response([7])],
			[
				[[], 5],
				[[6, 6, 7], 7],
			],
		],
	];
	for (const [what, after, responses, expected] of table) {
		const assembly = assemble(toEvent as Parameters<typeof assemble>[0], after);
		const passages = responses.map((each) => assembly(each as unknown as Parameters<typeof assembly>[0]));
		t.deepEqual(
			passages.map(({ events, upTo }) => [events.map(({ revision }) => revision), upTo]),
			expected,
			what,
		);
	}
});
