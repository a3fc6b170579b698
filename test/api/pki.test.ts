import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { openPki, writeKubeconfig } from '../../src/api/index.ts';

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
		t.throws(() => pki.node('../x'), { message: /is no name of a node/ });
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
