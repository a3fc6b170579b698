import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { openPki, writeKubeconfig } from '../../src/api/index.ts';
import { openStore, type Store } from '../../src/store/index.ts';

const day = 24 * 60 * 60 * 1000;

async function inFolder(body: (dataDir: string) => Promise<void>): Promise<void> {
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-pki-'));
	try {
		await body(dataDir);
	} finally {
		await rm(dataDir, { recursive: true });
	}
}

test('an authority signs a server, an administrator, a kubelet client and nodes', async (t) => {
	await inFolder(async (dataDir) => {
		const pki = await openPki({ dataDir, names: ['api.example.com', '192.0.2.7'] });
		const authority = new X509Certificate(pki.authority.cert);
		t.true(authority.ca);
		const node = await pki.node('n1');
		for (const [pair, subject] of [
			[pki.server, 'CN=kube-apiserver'],
			[pki.admin, 'CN=kubernetes-admin\nO=system:masters'],
			[pki.kubelet, 'CN=kube-apiserver-kubelet-client\nO=system:masters'],
			[node, 'CN=system:node:n1\nO=system:nodes'],
		] as const) {
			const certificate = new X509Certificate(pair.cert);
			t.is(certificate.subject, subject);
			t.true(certificate.verify(authority.publicKey));
			t.false(certificate.ca);
		}
		const server = new X509Certificate(pki.server.cert);
		for (const name of ['localhost', 'kubernetes', 'kubernetes.default.svc.cluster.local', 'api.example.com'])
			t.truthy(server.checkHost(name), name);
		for (const address of ['127.0.0.1', '::1', '10.96.0.1', '192.0.2.7']) t.truthy(server.checkIP(address), address);
		await t.throwsAsync(pki.node('../x'), { message: /is no name of a node/ });
	});
});

test('keys are readable by their owner only', async (t) => {
	await inFolder(async (dataDir) => {
		const pki = await openPki({ dataDir });
		const path = join(dataDir, 'kubeconfig');
		await writeFile(path, 'old', { mode: 0o644 });
		await writeKubeconfig({ path, server: 'https://127.0.0.1:6443', authority: pki.authority.cert, client: pki.admin });
		t.is((await stat(path)).mode & 0o777, 0o600);
		for (const file of await readdir(pki.directory))
			t.is((await stat(join(pki.directory, file))).mode & 0o777, file.endsWith('.key') ? 0o600 : 0o644, file);
		const config = parse(await readFile(path, 'utf8'));
		t.is(config.clusters[0].cluster.server, 'https://127.0.0.1:6443');
		t.is(Buffer.from(config.users[0].user['client-key-data'], 'base64').toString(), pki.admin.key);
		t.is(config['current-context'], config.contexts[0].name);
	});
});

test('certificates stay until they are near their end, damaged, or name too little', async (t) => {
	await inFolder(async (dataDir) => {
		// Those of the machine come and go beside other tests.
		const options = { dataDir, addresses: ['192.0.2.1'] };
		const first = await openPki(options);
		const again = await openPki(options);
		t.is(again.server.cert, first.server.cert);
		t.is(again.admin.cert, first.admin.cert);
		const renamed = await openPki({ ...options, names: ['new.example.com'] });
		t.not(renamed.server.cert, first.server.cert, 'the server has a new name');
		t.is(renamed.admin.cert, first.admin.cert);
		const later = await openPki({ ...options, now: () => Date.now() + 300 * day });
		t.not(later.admin.cert, first.admin.cert, 'its end is near');
		t.is(later.authority.cert, first.authority.cert);
		await writeFile(join(dataDir, 'pki', 'admin.crt'), 'damaged');
		const mended = await openPki({ ...options, now: () => Date.now() + 300 * day });
		t.true(new X509Certificate(mended.admin.cert).verify(new X509Certificate(first.authority.cert).publicKey));
	});
});

test('an authority that is damaged, half gone or out of its time is named, and never replaced by itself', async (t) => {
	await inFolder(async (dataDir) => {
		const { authority } = await openPki({ dataDir });
		const file = (name: string) => join(dataDir, 'pki', name);
		const refused = (why: RegExp, now?: () => number) => t.throwsAsync(openPki({ dataDir, now }), { message: why });
		await writeFile(file('ca.crt'), 'damaged');
		await refused(/authority in .*pki cannot be used: ca\.crt is no certificate in PEM\. Restore .* from a backup/);
		await writeFile(file('ca.crt'), authority.cert);
		await writeFile(file('ca.key'), '');
		await refused(/ca\.key is no private key/);
		await inFolder(async (other) => {
			await writeFile(file('ca.key'), (await openPki({ dataDir: other })).authority.key);
		});
		await refused(/ca\.key is not the key of ca\.crt/);
		await rm(file('ca.key'));
		await refused(/of ca\.crt and ca\.key only ca\.crt is there/);
		await writeFile(file('ca.key'), authority.key);
		await refused(/ca\.crt is good until .*, and the clock of this machine says/, () => Date.now() + 4_000 * day);
		await refused(/ca\.crt is good from .* on, and the clock .* set right/, () => Date.now() - day);
		t.is((await openPki({ dataDir })).authority.cert, authority.cert, 'restored, it goes on');
	});
});

test('a server that was killed while it wrote its authority goes on with it, and needs nobody', async (t) => {
	await inFolder(async (dataDir) => {
		const { authority } = await openPki({ dataDir });
		const file = (name: string) => join(dataDir, 'pki', name);
		// As its files are at each moment of the write, the last one first.
		await rename(file('ca.crt'), file('ca.crt.new'));
		t.deepEqual((await openPki({ dataDir })).authority, authority);
		await rename(file('ca.crt'), file('ca.crt.new'));
		await rename(file('ca.key'), file('ca.key.new'));
		const anew = await openPki({ dataDir });
		t.not(anew.authority.cert, authority.cert, 'nobody has seen the one that was not whole');
		t.deepEqual((await openPki({ dataDir })).authority, anew.authority);
	});
});

/** Data directories of several servers that share a store. */
async function sharing(body: (server: (name: string) => string, store: Store) => Promise<void>): Promise<void> {
	await inFolder(async (folder) => {
		await using store = await openStore('sqlite', folder);
		await body((name) => join(folder, name), store);
	});
}

test('servers that start at once on one store have one authority, and what one of them signs the others trust', async (t) => {
	await sharing(async (server, store) => {
		const all = await Promise.all(['a', 'b', 'c', 'd'].map((name) => openPki({ dataDir: server(name), store })));
		const [first] = all;
		for (const { authority, admin, directory } of all) {
			t.deepEqual(authority, first?.authority);
			t.is(await readFile(join(directory, 'ca.crt'), 'utf8'), authority.cert);
			t.is((await stat(join(directory, 'ca.key'))).mode & 0o777, 0o600);
			t.true(new X509Certificate(admin.cert).verify(new X509Certificate(first?.authority.cert ?? '').publicKey));
		}
		t.deepEqual((await store.list('/registry/')).entries, [], 'the API has nothing of it to show');
	});
});

test('a server brings the authority that it has to an empty store, and keeps all that was signed by it', async (t) => {
	await sharing(async (server, store) => {
		const before = await openPki({ dataDir: server('old') });
		const after = await openPki({ dataDir: server('old'), store });
		t.deepEqual([after.authority, after.admin], [before.authority, before.admin]);
		const joined = await openPki({ dataDir: server('new'), store });
		t.deepEqual(joined.authority, before.authority);
	});
});

test('a server with another authority than that of the store is refused, and told what to do', async (t) => {
	await sharing(async (server, store) => {
		const { authority } = await openPki({ dataDir: server('first'), store });
		const { directory } = await openPki({ dataDir: server('other') });
		const files = await readdir(directory);
		await t.throwsAsync(openPki({ dataDir: server('other'), store }), {
			message:
				/authority in .*other\/pki is not that of the other servers on this store\. To join them, move .*pki away/,
		});
		t.deepEqual(await readdir(directory), files, 'nothing was changed');
		await rm(directory, { recursive: true });
		t.deepEqual((await openPki({ dataDir: server('other'), store })).authority, authority);
		await writeFile(join(directory, 'ca.crt'), 'damaged');
		await t.throwsAsync(openPki({ dataDir: server('other'), store }), {
			message: /ca\.crt is no certificate in PEM\. Restore .* or move both away, and that of the store is taken/,
		});
		await store.commit({ puts: [{ key: '/authority/ca', value: Buffer.from('damaged') }] });
		await t.throwsAsync(openPki({ dataDir: server('third'), store }), {
			message: /authority in the store cannot be used: ca\.crt is no certificate.* remove the key \/authority\/ca/,
		});
		t.deepEqual(await readdir(join(server('third'), 'pki')), [], 'what cannot be used is not copied');
	});
});

test('what comes close to its end is renewed, nothing else, and at the end of the authority nothing over and over', async (t) => {
	await inFolder(async (dataDir) => {
		let now = Date.now();
		const pki = await openPki({ dataDir, addresses: ['192.0.2.1'], now: () => now });
		const node = await pki.node('n1');
		const first = [pki.server, pki.admin, pki.kubelet, node];
		t.false(await pki.renew());
		now += 270 * day;
		t.false(await pki.renew());
		now += 5 * day;
		t.true(await pki.renew());
		for (const [index, pair] of [pki.server, pki.admin, pki.kubelet, await pki.node('n1')].entries()) {
			t.not(pair.cert, first[index]?.cert);
			t.is(Date.parse(new X509Certificate(pair.cert).validTo), Math.floor((now + 365 * day) / 1000) * 1000);
		}
		t.false(await pki.renew());
		now = Date.parse(new X509Certificate(pki.authority.cert).validTo) - 30 * day;
		t.true(await pki.renew());
		t.false(await pki.renew(), 'a new one would end with the authority as well');
	});
});
